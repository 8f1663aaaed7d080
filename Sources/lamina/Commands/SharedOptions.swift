import ArgumentParser
import Management

/// The options that every command has, and how a command runs and reports with them.
struct SharedOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The state folder, which lists the pools.",
      discussion: "Default: LAMINA_HOME, else /var/lib/lamina for root and"
        + " $XDG_STATE_HOME/lamina or ~/.local/state/lamina for others.",
      valueName: "folder"))
  var home: String?

  @Flag(help: "Write JSON for programs: see Docs/CommandLine.md.")
  var json = false

  /// As `report`, for a command whose standard output is something else: what it gives is shown on
  /// standard error.
  func reportAside<Result: CommandResult>(
    _ command: (StateFolder) async throws(ManagementError) -> Result
  ) async throws {
    do throws(ManagementError) {
      let state = try StateFolder(option: home, environment: .current)
      let result = try await command(state)
      if json {
        let data = try ManagementJSON.encode(VersionedOutput(result.output), forPeople: true)
        StandardStreams.writeError(String(decoding: data, as: UTF8.self))
      } else if let text = result.text {
        StandardStreams.writeError(text)
      }
    } catch {
      StandardStreams.writeError(json ? ErrorText.json(error) : ErrorText.text(error))
      throw ExitCode(error.code.exitCode)
    }
  }

  /// Runs a command and shows what it gives, whose exit code ends the program; a `ManagementError`
  /// is shown on standard error and ends the program with its own.
  func report<Result: CommandResult>(
    _ command: (StateFolder) async throws(ManagementError) -> Result
  ) async throws {
    let exitCode: Int32
    do throws(ManagementError) {
      let state = try StateFolder(option: home, environment: .current)
      let result = try await command(state)
      try show(result)
      exitCode = result.exitCode
    } catch {
      StandardStreams.writeError(json ? ErrorText.json(error) : ErrorText.text(error))
      throw ExitCode(error.code.exitCode)
    }
    if exitCode != 0 { throw ExitCode(exitCode) }
  }

  private func show(_ result: some CommandResult) throws(ManagementError) {
    guard !json else {
      let data = try ManagementJSON.encode(VersionedOutput(result.output), forPeople: true)
      return StandardStreams.writeOutput(String(decoding: data, as: UTF8.self))
    }
    if let text = result.text { StandardStreams.writeOutput(text) }
    if let next = result.nextCommand, StandardStreams.outputIsTerminal {
      StandardStreams.writeError("\nNext: \(next)")
    }
  }

  /// The state folder as a command would write it in a suggestion: nothing if it need not be named.
  var homeArgument: String { home.map { " --home \($0)" } ?? "" }
}

/// What a command gives: the same facts for programs and for people.
protocol CommandResult: Sendable {
  associatedtype Output: Encodable
  var output: Output { get }
  /// Nil: nothing is written.
  var text: String? { get }
  /// The useful command after this one, shown on a terminal.
  var nextCommand: String? { get }
  /// What the program ends with: 0 unless the result says something worse.
  var exitCode: Int32 { get }
}

extension CommandResult {
  var exitCode: Int32 { 0 }
}

/// A result's fields with the version of their form beside them.
struct VersionedOutput<Output: Encodable>: Encodable {
  private enum CodingKeys: String, CodingKey { case outputVersion }
  private let output: Output

  init(_ output: Output) { self.output = output }

  func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode(LaminaVersion.current.outputVersion, forKey: .outputVersion)
    try output.encode(to: encoder)
  }
}

/// What a command gives that does one of two things.
enum EitherResult<First: CommandResult, Second: CommandResult>: CommandResult {
  case first(First)
  case second(Second)

  enum Output: Encodable {
    case first(First.Output)
    case second(Second.Output)

    func encode(to encoder: any Encoder) throws {
      switch self {
      case .first(let output): try output.encode(to: encoder)
      case .second(let output): try output.encode(to: encoder)
      }
    }
  }

  var output: Output {
    switch self {
    case .first(let result): .first(result.output)
    case .second(let result): .second(result.output)
    }
  }
  var text: String? {
    switch self {
    case .first(let result): result.text
    case .second(let result): result.text
    }
  }
  var nextCommand: String? {
    switch self {
    case .first(let result): result.nextCommand
    case .second(let result): result.nextCommand
    }
  }
}
