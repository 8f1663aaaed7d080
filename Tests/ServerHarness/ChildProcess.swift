import Dispatch
public import Foundation

/// What a program that has ended leaves behind.
public struct ProgramResult: Sendable {
  public let program: String
  public let arguments: [String]
  /// The exit code; 128 + signal if a signal ended it.
  public let status: Int32
  public let output: String
  public let errors: String

  public var succeeded: Bool { status == 0 }
}

extension ProgramResult: CustomStringConvertible {
  public var description: String {
    """
    \(program) \(arguments.joined(separator: " ")) ended with \(status)
    --- standard output
    \(output.suffix(8000))
    --- standard error
    \(errors.suffix(8000))
    """
  }
}

/// Something that a program or a server did not do as the test needs it.
public struct HarnessFailure: Error, CustomStringConvertible {
  public let description: String

  public init(_ description: String) {
    self.description = description
  }
}

/// A running program. Its output goes to files: a pipe that nobody drains would stop it, and a
/// pipe that it leaves to a child of its own would never end.
public final class ChildProcess: Sendable {
  public let program: String
  public let arguments: [String]
  private let process: Process
  private let outputFile: URL
  private let errorFile: URL
  private let ended = DispatchSemaphore(value: 0)

  /// Starts `program`, found on a search path that has the system's folders first (an interpreter
  /// of a user's own would lack the libraries that the system's packages bring).
  public init(
    _ program: String, _ arguments: [String], in folder: URL, environment: [String: String] = [:]
  ) throws {
    self.program = program
    self.arguments = arguments
    let number = UUID().uuidString.prefix(8)
    let name = URL(fileURLWithPath: program).lastPathComponent
    outputFile = folder.appending(path: "\(name)-\(number).out")
    errorFile = folder.appending(path: "\(name)-\(number).err")
    for file in [outputFile, errorFile] {
      try Data().write(to: file)
    }
    process = Process()
    process.executableURL = try Machine.locate(program)
    process.arguments = arguments
    process.currentDirectoryURL = folder
    process.environment = Machine.environment.merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: outputFile)
    process.standardError = try FileHandle(forWritingTo: errorFile)
    process.terminationHandler = { [ended] _ in ended.signal() }
    try Self.withSignalsUnblocked { try process.run() }
  }

  /// A child inherits the signal mask of the thread that starts it. Threads of the task pool block
  /// nearly everything, and a server that cannot hear SIGTERM would not stop.
  private static func withSignalsUnblocked(_ body: () throws -> Void) rethrows {
    var none = sigset_t()
    var before = sigset_t()
    unsafe sigemptyset(&none)
    unsafe pthread_sigmask(SIG_SETMASK, &none, &before)
    defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
    try body()
  }

  public var processIdentifier: Int32 { process.processIdentifier }
  public var isRunning: Bool { process.isRunning }

  /// What it has said so far.
  public var outputSoFar: String { Self.text(outputFile) }
  public var errorsSoFar: String { Self.text(errorFile) }

  public func send(signal: Int32) {
    guard process.isRunning else { return }
    kill(process.processIdentifier, signal)
  }

  /// Waits for its end. Throws, after ending it, when that takes longer than `seconds`.
  public func wait(seconds: Double = 60) throws -> ProgramResult {
    guard ended.wait(timeout: .now() + seconds) == .success else {
      kill(process.processIdentifier, SIGKILL)
      _ = ended.wait(timeout: .now() + 10)
      throw HarnessFailure("no end after \(seconds) s, killed: \(result)")
    }
    ended.signal()
    return result
  }

  private var result: ProgramResult {
    let code =
      process.isRunning
      ? -1
      : process.terminationReason == .exit
        ? process.terminationStatus : 128 + process.terminationStatus
    return ProgramResult(
      program: program, arguments: arguments, status: code, output: outputSoFar,
      errors: errorsSoFar)
  }

  private static func text(_ file: URL) -> String {
    String(decoding: (try? Data(contentsOf: file)) ?? Data(), as: UTF8.self)
  }
}
