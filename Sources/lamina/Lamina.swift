import ArgumentParser
import Management

@main struct Lamina: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lamina", abstract: "Thin-provisioned block storage with crash-safe pools.",
    discussion: """
      Examples:
        lamina pool create tank --device /srv/a.img:100G
        lamina volume create tank/disk 10T
        lamina serve tank --listen 127.0.0.1:10809
        lamina pool status tank --json
      """,
    version: LaminaVersion.current.version,
    subcommands: [
      PoolCommand.self, VolumeCommand.self, SnapshotCommand.self, BookmarkCommand.self,
      HoldCommand.self, ReleaseCommand.self, HoldsCommand.self, TrashCommand.self,
      SendCommand.self, ReceiveCommand.self, ServeCommand.self, WaitCommand.self,
      ExplainCommand.self,
      VersionCommand.self,
    ])
}
