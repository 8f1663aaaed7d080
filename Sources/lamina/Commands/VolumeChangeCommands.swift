import ArgumentParser
import Management

struct VolumeResize: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resize", abstract: "Make a volume larger or smaller, while it is in use.",
    discussion: """
      A larger volume shows zeros behind its old end. A smaller one needs --shrink: what lies \
      beyond the new end is gone, and its space comes back; snapshots keep theirs. Make a file \
      system smaller before its volume. Hosts see the new size when they connect again.

      Examples:
        lamina volume resize tank/disk 20T
        lamina volume resize tank/disk 100G --shrink
      """)

  @Argument(help: ArgumentHelp("The volume.", valueName: "pool/volume"))
  var volume: String

  @Argument(help: ArgumentHelp("Its new size: bytes, or with K, M, G, T, P (powers of 1024)."))
  var size: String

  @Flag(help: "Cut off what lies beyond a smaller size.")
  var shrink = false

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let reference = try VolumeReference(volume)
      let bytes = try SizeText.parse(size)
      let access = PoolAccess(state: state)
      let changed = try await access.use(reference.pool) { (service) throws(ManagementError) in
        try await service.resizeVolume(named: reference.volume, to: bytes, shrink: shrink)
      }
      return VolumeResult(output: changed, nextCommand: nil)
    }
  }
}

struct VolumeRename: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rename", abstract: "Give a volume another name, while it is in use.",
    discussion: """
      Hosts that use it go on; new ones find it under the new name only. Its snapshots are called \
      after the new name, too.

      Example:
        lamina volume rename tank/disk data
      """)

  @Argument(help: ArgumentHelp("The volume.", valueName: "pool/volume"))
  var volume: String

  @Argument(help: ArgumentHelp("Its new name.", valueName: "name"))
  var name: String

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let reference = try VolumeReference(volume)
      let newName = try VolumeName(name)
      let access = PoolAccess(state: state)
      let changed = try await access.use(reference.pool) { (service) throws(ManagementError) in
        try await service.renameVolume(named: reference.volume, to: newName)
      }
      return VolumeResult(output: changed, nextCommand: nil)
    }
  }
}

struct VolumeSet: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "set", abstract: "Change a policy of a volume, while it is in use.",
    discussion: """
      --full says what a write does when the pool has no space: wait for some (60 seconds, or as \
      many as are named) and fail then, or fail at once. Writes that wait already keep their time.

      Examples:
        lamina volume set tank/disk --full wait:600
        lamina volume set tank/disk --full error
      """)

  @Argument(help: ArgumentHelp("The volume.", valueName: "pool/volume"))
  var volume: String

  @Option(help: ArgumentHelp("wait, wait:SECONDS or error.", valueName: "policy"))
  var full: String

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let reference = try VolumeReference(volume)
      let policy = try FullPolicy(full)
      let access = PoolAccess(state: state)
      let changed = try await access.use(reference.pool) { (service) throws(ManagementError) in
        try await service.setFullPolicy(of: reference.volume, to: policy)
      }
      return VolumeResult(output: changed, nextCommand: nil)
    }
  }
}

struct SnapshotRename: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rename", abstract: "Give a snapshot another name, while it is in use.",
    discussion: """
      Example:
        lamina snapshot rename tank/disk@monday before-upgrade
      """)

  @Argument(help: ArgumentHelp("The snapshot.", valueName: "pool/volume@snapshot"))
  var snapshot: String

  @Argument(help: ArgumentHelp("Its own new name, without its volume's.", valueName: "name"))
  var name: String

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let reference = try SnapshotReference(snapshot)
      let newName = try SnapshotName("\(reference.snapshot.volume)@\(name)")
      let access = PoolAccess(state: state)
      let changed = try await access.use(reference.pool) { (service) throws(ManagementError) in
        try await service.renameSnapshot(reference.snapshot, to: newName)
      }
      return SnapshotListResult(output: SnapshotList(snapshots: [changed]), nextCommand: nil)
    }
  }
}
