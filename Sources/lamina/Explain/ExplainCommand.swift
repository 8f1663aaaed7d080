import ArgumentParser
import Management

struct ExplainCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain", abstract: "Explain a code that a message ends with.",
    discussion: """
      Every refusal and failure has a code, in brackets behind the message. Its page says what \
      happened, why, what to do and what is not affected. Without a code, lists all of them.

      Examples:
        lamina explain pool-in-use
        lamina explain
      """)

  @Argument(help: "The code, as in pool-in-use.")
  var code: String?

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (_) throws(ManagementError) in
      guard let code else { return EitherResult<CodePage, CodeList>.second(CodeList()) }
      return .first(try CodePage(code))
    }
  }
}

/// The page of a code.
struct CodePage: CommandResult {
  struct Output: Encodable, Sendable {
    var code: String
    var summary: String
    /// Markdown.
    var page: String
  }

  var output: Output

  /// Throws `invalidArgument` if there is no such code.
  init(_ text: String) throws(ManagementError) {
    let code = text.lowercased().filter { $0 != "[" && $0 != "]" }
    guard let page = MessagePages.all[code] else {
      let like = MessagePages.all.keys.filter { known in
        code.split(separator: "-").contains { $0.count > 2 && known.contains($0) }
      }
      throw ManagementError(
        .invalidArgument, "'\(text)' is no code of Lamina",
        details: like.isEmpty ? [] : ["Like it: " + like.sorted().joined(separator: ", ") + "."],
        correction: "'lamina explain' lists all codes.",
        objects: [ManagementObject(.option, text)])
    }
    output = Output(code: code, summary: Self.summary(of: page), page: page)
  }

  /// What follows the code in the page's first line.
  static func summary(of page: String) -> String {
    let title = page.prefix { $0 != "\n" }
    guard let colon = title.firstIndex(of: ":") else { return String(title) }
    return String(title[colon...].dropFirst(2))
  }

  var text: String? { output.page }
  var nextCommand: String? { nil }
}

/// All codes.
struct CodeList: CommandResult {
  struct Output: Encodable, Sendable {
    struct Code: Encodable, Sendable {
      var code: String
      var summary: String
    }
    var codes: [Code]
  }

  var output: Output {
    Output(
      codes: MessagePages.all.sorted { $0.key < $1.key }.map {
        Output.Code(code: $0.key, summary: CodePage.summary(of: $0.value))
      })
  }

  var text: String? {
    var table = TextTable([("code", .left), ("says", .left)])
    for code in output.codes { table.add([code.code, code.summary]) }
    return table.text
  }
  var nextCommand: String? { "lamina explain CODE" }
}
