import Foundation
import Management
import ServerHarness
import Testing

/// The built program: which stream says what, and with which exit code it ends.
struct ProgramTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func run(_ line: String) throws -> ProgramResult {
    try folder.run(
      Machine.lamina,
      line.split(separator: " ").map(String.init) + ["--home", folder.path("home")])
  }

  @Test func `a result is on standard output, alone`() throws {
    let result = try run("version --json")
    #expect(result.status == 0)
    #expect(result.errors.isEmpty)
    let version = try ManagementJSON.decode(LaminaVersion.self, from: Data(result.output.utf8))
    #expect(version == LaminaVersion.current)
    #expect(try run("version").output.hasPrefix("lamina \(LaminaVersion.current.version) "))
  }

  @Test(arguments: [
    ("pool status none", 1, "pool-not-found"), ("volume list none", 1, "pool-not-found"),
    ("volume show none/disk", 1, "pool-not-found"), ("serve none", 1, "pool-not-found"),
    ("volume delete none/disk", 1, "pool-not-found"), ("volume show none", 64, "invalid-name"),
    ("volume create none/disk 10GB", 64, "invalid-size"),
    ("pool create p@q --device x", 64, "invalid-name"),
    ("serve none --listen x:y", 64, "address-invalid"),
    ("volume show none/disk@snapshot", 1, "not-supported"),
  ])
  func `a refusal is on standard error, alone, with its code`(
    line: String, status: Int32, code: String
  ) throws {
    let text = try run(line)
    #expect(text.status == status)
    #expect(text.output.isEmpty)
    #expect(text.errors.hasPrefix("lamina: ") && text.errors.contains(" [\(code)]\n"))
    #expect(text.errors.contains("\n  Next: "))
    let json = try run(line + " --json")
    #expect(json.status == status)
    #expect(json.output.isEmpty)
    let problem = try ManagementJSON.decode(ManagementError.self, from: Data(json.errors.utf8))
    #expect(problem.code.rawValue == code)
    #expect(!FileManager.default.fileExists(atPath: folder.path("home")))
  }

  @Test(arguments: ["pool", "volume create", "pool create x", "frobnicate", "version --what"])
  func `a command line that cannot be parsed ends with 64 and its usage`(line: String) throws {
    let result = try folder.run(Machine.lamina, line.split(separator: " ").map(String.init))
    guard line != "pool" else { return #expect(result.output.contains("SUBCOMMANDS")) }
    #expect(result.status == 64)
    #expect(result.errors.contains("Usage: lamina"))
  }

  @Test(arguments: [
    "pool create", "pool status", "pool check", "pool dump", "volume create", "volume list",
    "volume show",
    "volume delete", "serve", "version",
  ])
  func `every command explains itself with an example`(command: String) throws {
    let help = try folder.output(
      of: Machine.lamina, command.split(separator: " ").map(String.init) + ["--help"])
    #expect(help.contains("Example"))
    #expect(help.contains("  lamina \(command) "))
    #expect(help.contains("--json") && help.contains("--home"))
  }
}
