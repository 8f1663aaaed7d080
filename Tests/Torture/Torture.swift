import BlockIO
import Foundation
import PoolInspection
import ServerHarness
import StorageUnits

/// Kills a real server under load, again and again, and checks after each start that nothing is
/// lost, nothing is leaked and nothing shows in a wrong place.
///
/// The seed draws what is asked for and when the server is killed; how threads and processes
/// interleave is the machine's own, so a failure may need several runs to come back.
public struct Torture {
  public enum Crash: String, Sendable, CaseIterable {
    /// The process dies: every answered write must be there.
    case process
    /// The power goes: every flushed write must be there, and nothing torn inside a sector.
    case power
    /// As `power`, on devices that answer flushes and do nothing: the torture must fail.
    case lies
  }

  public let crash: Crash
  public let rounds: Int
  public let seed: UInt64
  /// One line for each round.
  private let report: (String) -> Void

  public init(
    _ crash: Crash, rounds: Int, seed: UInt64, report: @escaping (String) -> Void = { _ in }
  ) {
    self.crash = crash
    self.rounds = rounds
    self.seed = seed
    self.report = report
  }

  /// The line that runs it again.
  public var command: String {
    "make torture CRASH=\(crash.rawValue) ROUNDS=\(rounds) SEED=\(seed)"
  }

  /// What was done.
  public struct Tally: Sendable {
    public var kills = 0
    public var answers = 0
    public var volumeChanges = 0
    public var checkpoints = 0
  }

  /// Throws what it finds, with the line that runs it again.
  @discardableResult
  public func run() throws -> Tally {
    var generator = SeededGenerator(seed: seed)
    // In the small pool freed space is used again all the time.
    let isSmall = Bool.random(using: &generator)
    let server = try LaminaServer(
      devices: isSmall ? Self.small : LaminaServer.twoFiles, program: program)
    var tally = Tally()
    do {
      for name in ["one", "two"] { try server.createVolume(name, "8G") }
      let workers = (0..<4).map { n in
        TortureWorker(
          volume: ["one", "two"][n % 2], volumeNumber: UInt64(n % 2 + 1), connection: n,
          losesUnflushed: crash != .process, seed: generator.next())
      }
      let volumes = TortureVolumes(seed: generator.next())
      for round in 1...rounds {
        try play(round, server, workers, volumes, &generator, &tally)
      }
      try server.stop()
      try inspect(server, afterStop: true)
    } catch {
      throw HarnessFailure(
        "\(error)\nRun it again with: \(command)\nThe server said: \(server.errorsSoFar)")
    }
    return tally
  }

  private static let small: [LaminaServer.Device] = [
    .file("a.img", size: "64M"), .file("b.img", size: "48M"),
  ]

  private var program: LaminaServer.Program {
    switch crash {
    case .process: .lamina
    case .power: .volatile(seed: seed, lies: false)
    case .lies: .volatile(seed: seed, lies: true)
    }
  }

  private func play(
    _ round: Int, _ server: LaminaServer, _ workers: [TortureWorker], _ volumes: TortureVolumes,
    _ generator: inout SeededGenerator, _ tally: inout Tally
  ) throws {
    let milliseconds = UInt32.random(in: 20...600, using: &generator)
    let group = DispatchGroup()
    let mark = KillMark()
    let (socket, control) = (server.socket, server.controlSocket)
    for worker in workers {
      Self.start(in: group) { worker.run(on: socket, until: mark) }
    }
    Self.start(in: group) { volumes.run(on: control, hosts: socket, until: mark) }
    usleep(milliseconds * 1000)
    let wasRunning = server.isRunning
    mark.set()
    try server.kill()
    guard group.wait(timeout: .now() + 60) == .success else {
      throw HarnessFailure("round \(round): a client does not end after its server")
    }
    guard wasRunning else { throw HarnessFailure("round \(round): the server ended by itself") }
    if let failure = workers.compactMap(\.failure).first ?? volumes.failure {
      throw HarnessFailure("round \(round), before the kill: \(failure)")
    }
    try inspect(server, afterStop: false)
    tally.kills += 1
    // Now and then the recovery is killed, too.
    while Int.random(in: 0..<3, using: &generator) == 0 {
      try server.killStart(afterMilliseconds: UInt32.random(in: 1...80, using: &generator))
      tally.kills += 1
    }
    try server.start()
    for worker in workers { try worker.check(on: socket) }
    try volumes.check(on: control)
    tally.answers = workers.reduce(0) { $0 + $1.answers }
    tally.volumeChanges = volumes.answers
    tally.checkpoints = volumes.checkpoints
    report(
      "\(crash.rawValue) round \(round) of \(rounds): killed after \(milliseconds) ms;"
        + " \(tally.kills) kills, \(tally.answers) answers, \(tally.volumeChanges) volume changes,"
        + " \(tally.checkpoints) checkpoints")
  }

  /// Threads of their own: the pool of the machine's queues has one for each core, and these block.
  private static func start(in group: DispatchGroup, _ body: @escaping @Sendable () -> Void) {
    group.enter()
    let thread = Thread {
      body()
      group.leave()
    }
    thread.start()
  }

  /// Recounts the pool from its devices. Where a superblock was being written, its two copies may
  /// differ, which is a notice; after a clean stop nothing may be found.
  private func inspect(_ server: LaminaServer, afterStop: Bool) throws {
    var devices: [FileDevice] = []
    defer { for device in devices { try? device.close() } }
    for path in server.devicePaths { devices.append(try locked(path)) }
    let found = PoolInspector.inspect(devices: devices).findings
    let counted = afterStop ? found : found.filter { $0.severity > .notice }
    guard counted.isEmpty else {
      throw HarnessFailure(
        "the recount \(afterStop ? "after the stop" : "after the kill") found \(counted)")
    }
  }

  /// The lock of a killed server falls when its last write in flight has ended.
  private func locked(_ path: String) throws -> FileDevice {
    let deadline = ContinuousClock.now + .seconds(10)
    while true {
      do throws(DeviceOpenError) {
        return try FileDevice.open(path, cache: .buffered)
      } catch {
        guard error.problem == .heldByAnother, ContinuousClock.now < deadline else { throw error }
        usleep(10_000)
      }
    }
  }
}
