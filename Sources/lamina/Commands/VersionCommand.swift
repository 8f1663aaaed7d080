import ArgumentParser
import Management

struct VersionCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "version", abstract: "Show the version of this program and of what it speaks.",
    discussion: """
      Example:
        lamina version --json | jq .formatVersions
      """)

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (_) throws(ManagementError) in VersionResult() }
  }
}

struct VersionResult: CommandResult {
  var output: LaminaVersion { .current }
  var nextCommand: String? { nil }

  var text: String? {
    let formats = output.formatVersions.map(String.init).joined(separator: ", ")
    return "lamina \(output.version) (on-disk format \(formats), control API \(output.apiVersion))"
  }
}
