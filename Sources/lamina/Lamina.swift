import ArgumentParser

@main struct Lamina: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Thin-provisioned block storage with crash-safe pools.")
}
