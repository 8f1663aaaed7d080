import ArgumentParser

/// Proves things about Lamina on simulated devices.
@main struct ProveCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lamina-prove",
    abstract: "Tries Lamina's crash safety on simulated devices.",
    subcommands: [ExploreCommand.self, SimulateCommand.self, FailIOCommand.self])
}
