import Foundation

/// A pool of a test's own, its devices, and the real server that serves it on a unix socket.
public final class LaminaServer {
  /// A device of the pool: a file of this size, or an existing block device.
  public enum Device: Sendable {
    case file(String, size: String)
    case block(path: String)
  }

  /// The program that serves the pool.
  public enum Program: Sendable {
    case lamina
    /// The same server on devices that lose what was not flushed when it is killed; what they do
    /// is drawn from the seed, anew at each start. `lies`: a flush does nothing.
    case volatile(seed: UInt64, lies: Bool)
  }

  public let folder: TemporaryFolder
  public let pool: String
  public let deviceArguments: [String]
  private let serveArguments: [String]
  private let program: Program
  private var starts: UInt64 = 0
  private var process: ChildProcess?

  /// Two file devices of different sizes.
  public static let twoFiles: [Device] = [
    .file("a.img", size: "512M"), .file("b.img", size: "256M"),
  ]

  /// Creates the pool and starts its server.
  public init(
    devices: [Device] = twoFiles, poolOptions: [String] = [], serveOptions: [String] = [],
    program: Program = .lamina
  ) throws {
    self.program = program
    folder = try TemporaryFolder()
    pool = "tank"
    serveArguments = serveOptions
    let folder = folder
    deviceArguments = devices.flatMap { device in
      switch device {
      case .file(let name, let size): ["--device", "\(folder.path(name)):\(size)"]
      case .block(let path): ["--device", path]
      }
    }
    try command(["pool", "create", pool] + deviceArguments + poolOptions)
    try start()
  }

  deinit {
    process?.send(signal: SIGKILL)
    _ = try? process?.wait(seconds: 20)
    if let tailPath { try? FileManager.default.removeItem(atPath: tailPath) }
  }

  // MARK: Addresses

  public var home: String { folder.path("home") }
  public var socket: String { folder.path("nbd.sock") }
  /// Where the process that holds the pool, or held it last, keeps its tail; it is in memory, and
  /// nobody else removes what a killed server leaves.
  public var tailPath: String? {
    struct Holder: Decodable { var tailPath: String? }
    let file = URL(fileURLWithPath: "\(home)/\(pool).holder.json")
    guard let data = try? Data(contentsOf: file) else { return nil }
    return (try? JSONDecoder().decode(Holder.self, from: data))?.tailPath
  }

  public var controlSocket: String { folder.path("home/\(pool).control") }
  public var processIdentifier: Int32? { process?.processIdentifier }
  public var isRunning: Bool { process?.isRunning == true }

  public func uri(_ volume: String) -> String { "nbd+unix:///\(volume)?socket=\(socket)" }

  public func connect(_ volume: String, deadlineSeconds: Int = 30) throws -> NBDConnection {
    try NBDConnection(socket: socket, export: volume, deadlineSeconds: deadlineSeconds)
  }

  // MARK: Life

  /// Starts the process, and does not wait for it.
  private func launch() throws -> ChildProcess {
    starts += 1
    let place = ["--home", home, "--listen", "unix:\(socket)"] + serveArguments
    switch program {
    case .lamina:
      return try ChildProcess(Machine.lamina, ["serve", pool] + place, in: folder.url)
    case .volatile(let seed, let lies):
      return try ChildProcess(
        Machine.beside("lamina-volatile"),
        [pool, "--seed", "\(seed &+ starts)"] + (lies ? ["--lie-about-flushes"] : []) + place,
        in: folder.url)
    }
  }

  /// Starts the server and waits until it says that it is ready, and greets a client.
  public func start(seconds: Double = 30) throws {
    let server = try launch()
    process = server
    let deadline = ContinuousClock.now + .seconds(seconds)
    while server.outputSoFar.isEmpty || !greets() {
      guard server.isRunning else {
        throw HarnessFailure("the server ended: \(try server.wait())")
      }
      guard ContinuousClock.now < deadline else {
        server.send(signal: SIGKILL)
        throw HarnessFailure("no greeting in \(seconds) s: \(try server.wait())")
      }
      usleep(10_000)
    }
  }

  private func greets() -> Bool {
    guard let socket = try? UnixSocket(path: socket, deadlineSeconds: 2) else { return false }
    return (try? socket.receive(8)) == Array("NBDMAGIC".utf8)
  }

  /// Ends the server as an administrator does, and checks that it calls that a success.
  public func stop(seconds: Double = 60) throws {
    guard let server = process else { return }
    server.send(signal: SIGTERM)
    let result = try server.wait(seconds: seconds)
    guard result.succeeded else { throw HarnessFailure("not a clean stop: \(result)") }
    process = nil
  }

  /// Ends the server as a bug or the kernel's memory killer does.
  public func kill() throws {
    guard let server = process else { return }
    server.send(signal: SIGKILL)
    _ = try server.wait(seconds: 20)
    process = nil
  }

  public func killAndRestart() throws {
    try kill()
    try start()
  }

  public func stopAndRestart() throws {
    try stop()
    try start()
  }

  /// Starts a server and kills it shortly after, wherever it then is.
  public func killStart(afterMilliseconds milliseconds: UInt32) throws {
    let server = try launch()
    usleep(milliseconds * 1000)
    server.send(signal: SIGKILL)
    _ = try server.wait(seconds: 20)
  }

  /// Starts a server that is expected to refuse, and gives what it said.
  public func refusedStart(seconds: Double = 40) throws -> ProgramResult {
    let result = try launch().wait(seconds: seconds)
    guard !result.succeeded else { throw HarnessFailure("it started: \(result)") }
    return result
  }

  /// Where its file devices lie.
  public var devicePaths: [String] {
    deviceArguments.filter { $0 != "--device" }.map { argument in
      argument.lastIndex(of: ":").map { String(argument[..<$0]) } ?? argument
    }
  }

  /// What the server has said on standard error.
  public var errorsSoFar: String { process?.errorsSoFar ?? "" }

  // MARK: Command line

  /// Runs a command that may fail.
  public func attempt(_ arguments: [String], seconds: Double = 60) throws -> ProgramResult {
    try folder.run(Machine.lamina, arguments + ["--home", home], seconds: seconds)
  }

  /// Runs a command that must succeed; gives what it printed.
  @discardableResult
  public func command(_ arguments: [String], seconds: Double = 60) throws -> String {
    try folder.output(of: Machine.lamina, arguments + ["--home", home], seconds: seconds)
  }

  private func decode<Value: Decodable>(_ arguments: [String]) throws -> Value {
    let text = try command(arguments + ["--json"])
    do {
      return try JSONDecoder().decode(Value.self, from: Data(text.utf8))
    } catch {
      throw HarnessFailure("\(arguments) printed what is not \(Value.self): \(error)\n\(text)")
    }
  }

  public func createVolume(_ name: String, _ size: String, _ options: [String] = []) throws {
    try command(["volume", "create", "\(pool)/\(name)", size] + options)
  }

  public func status() throws -> PoolFigures {
    try decode(["pool", "status", pool])
  }

  public func volume(_ name: String) throws -> VolumeFigures {
    try decode(["volume", "show", "\(pool)/\(name)"])
  }
}

/// What the tests read of `lamina pool status --json`.
public struct PoolFigures: Decodable, Sendable {
  public struct Device: Decodable, Sendable {
    public let path: String
    public let sizeBytes: UInt64
    public let usedBytes: UInt64
    public let dataReads: UInt64
    public let dataWrites: UInt64
    public let flushes: UInt64
  }

  public let sizeBytes: UInt64
  public let usedBytes: UInt64
  public let freeBytes: UInt64
  public let volumeCount: Int
  public let devices: [Device]

  /// Reads of hosts' data from all devices.
  public var dataReads: UInt64 { devices.reduce(0) { $0 + $1.dataReads } }
  public var dataWrites: UInt64 { devices.reduce(0) { $0 + $1.dataWrites } }
}

/// What the tests read of `lamina volume show --json`.
public struct VolumeFigures: Decodable, Sendable {
  public let name: String
  public let sizeBytes: UInt64
  /// Physical space held.
  public let allocatedBytes: UInt64
  /// Valid blocks.
  public let mappedBytes: UInt64
}
