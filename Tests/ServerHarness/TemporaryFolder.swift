public import Foundation

/// A folder of a test's own on a real file system, removed with its last user.
///
/// It is under /var/tmp and not /tmp: the latter may be in memory, where O_DIRECT is not the same.
/// `LAMINA_TEST_FOLDER` names another place. Names are short because a unix socket's path is.
public final class TemporaryFolder: Sendable {
  public let url: URL

  public init() throws {
    let parent = ProcessInfo.processInfo.environment["LAMINA_TEST_FOLDER"] ?? "/var/tmp"
    let name = "lamina-\(UUID().uuidString.prefix(8).lowercased())"
    url = URL(fileURLWithPath: parent).appending(path: name)
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit {
    try? FileManager.default.removeItem(at: url)
  }

  public func path(_ name: String) -> String { url.appending(path: name).path }

  /// Runs a program to its end.
  @discardableResult
  public func run(
    _ program: String, _ arguments: [String], seconds: Double = 60,
    environment: [String: String] = [:]
  ) throws -> ProgramResult {
    try ChildProcess(program, arguments, in: url, environment: environment).wait(seconds: seconds)
  }

  /// Runs a program that must succeed; gives what it printed.
  @discardableResult
  public func output(
    of program: String, _ arguments: [String], seconds: Double = 60
  ) throws -> String {
    let result = try run(program, arguments, seconds: seconds)
    guard result.succeeded else { throw HarnessFailure(result.description) }
    return result.output
  }

  /// A sparse file of `size` bytes.
  public func sparseFile(_ name: String, size: UInt64) throws -> String {
    let file = path(name)
    guard FileManager.default.createFile(atPath: file, contents: nil) else {
      throw HarnessFailure("cannot create \(file)")
    }
    let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: file))
    try handle.truncate(atOffset: size)
    try handle.close()
    return file
  }

  /// A file with `bytes`.
  public func file(_ name: String, holding bytes: [UInt8]) throws -> String {
    let file = path(name)
    try Data(bytes).write(to: URL(fileURLWithPath: file))
    return file
  }
}
