import BlockExport
import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import VolumeEngine

/// One random history, step by step, with the reference model beside it.
public final class SimulationRun {
  public let scenario: SimulationScenario
  public private(set) var session: HostSession
  /// What is wrong; the run goes no further.
  public internal(set) var problems: [String] = []
  /// A start was refused for damage that the scenario allows: the history ends.
  public internal(set) var isRefused = false
  public internal(set) var figures = SimulationFigures()
  /// Tells histories apart: of every I/O and all bytes of it.
  public private(set) var digest: UInt64 = 0
  /// The media of earlier starts, for devices that return old.
  var earlierStarts: [(media: SimulatedMedia, superblock: UInt64)] = []
  private var starts: UInt64 = 0
  /// The server has been told to stop.
  var isStopping = false
  /// What the session has noted that was looked at.
  private var judgedProblems = 0

  public init(_ scenario: SimulationScenario) throws {
    self.scenario = scenario
    let media = try SimulatedMedia.create(scenario.options)
    let server = try SimulatedServer(media, seed: scenario.seed)
    session = HostSession(server, CrashExpectation())
    figures.histories = 1
    begin(session)
    guard scenario.ballastBytes > 0 else { return }
    CreateVolumeOperation(sizeBytes: 2 << 30).issue(in: session)
    session.server.settle()
    session.fill(VolumeID(1), bytes: scenario.ballastBytes)
  }

  var server: SimulatedServer { session.server }
  public var hasEnded: Bool { !problems.isEmpty || isRefused }

  // MARK: A life of the server

  /// A server has started: hosts and faults may come.
  func begin(_ session: HostSession) {
    let server = session.server
    self.session = session
    starts += 1
    judgedProblems = 0
    server.disks.keepsDigest = true
    session.fullPolicies = scenario.policies
    session.expectation.isShortOfSpace = scenario.ballastBytes > 0
    watch(session)
    earlierStarts.append((server.media(), server.pool.superblockSequence))
    if earlierStarts.count > 4 { earlierStarts.removeFirst() }
  }

  /// A session of the next life.
  func nextSession(_ server: SimulatedServer, _ expectation: CrashExpectation) -> HostSession {
    HostSession(server, expectation, firstName: starts << 12)
  }

  var nextSeed: UInt64 { SeededRandom.mix(scenario.seed &+ starts &* 0x9E37_79B9_7F4A_7C15) }

  /// The server is about to end: what it did is counted.
  func end() {
    for device in server.disks.devices { figures.faults = figures.faults + device.faultCounts }
    digest = SeededRandom.mix(digest ^ server.disks.digest)
    if server.disks.overlappingWrites > 0 { problems.append("writes in flight overlapped") }
    if server.disks.changedBuffers > 0 { problems.append("a buffer changed under a write") }
  }

  // MARK: Steps

  public func apply(_ step: SimulationStep) {
    guard !hasEnded else { return }
    switch step {
    case .operate(let operation):
      guard operation.isPossible(in: session), session.requestsInFlight < 20 else { break }
      figures.operations += 1
      operation.issue(in: session)
      server.turn()
    case .complete: server.completeOne()
    case .advance(let milliseconds): server.advance(milliseconds: milliseconds)
    case .inject(let fault, let device): server.disks.devices[device].inject(fault)
    case .limitSpace(let bytes?, let device):
      server.disks.devices[device].limitSpace(freeBytes: bytes, backedBelow: 2 << 20)
    case .limitSpace(nil, let device): server.disks.devices[device].endSpaceLimit()
    case .rot(let device, let seed, let tablesOnly):
      rot(server.disks.devices[device], seed: seed, tablesOnly: tablesOnly)
    case .restart(let how): restart(how)
    }
    takeProblems()
  }

  /// Ends what is in flight, stops and starts once more.
  public func finish() {
    apply(.restart(SimulationStep.Restart(ending: .stop, seed: scenario.seed)))
    guard !hasEnded else { return }
    end()
  }

  func takeProblems() {
    let new = session.problems[judgedProblems...]
    judgedProblems = session.problems.count
    if scenario.kind == .lying {
      problems += new.filter { !$0.hasPrefix("read: ") }
    } else {
      problems += new
    }
  }

  // MARK: Rot

  /// Flips a bit of a page that holds something. Of a superblock's two copies the first alone, and
  /// where there is one device, not of the journal: nothing vouches for its last block there.
  private func rot(_ device: SimulatedDevice, seed: UInt64, tablesOnly: Bool) {
    var random = SeededRandom(seed: seed)
    let pages = device.sizeBytes >> 12
    let journalEnd = 256 + UInt64(scenario.options.journalBlocks)
    var page = random.oneIn(2) ? UInt64(random.below(512)) : UInt64(random.below(Int(pages)))
    for _ in 0..<pages {
      defer { page = (page + 1) % pages }
      let isSecondCopy = page >= 48 && page < 256
      let isJournal = page >= 256 && page < journalEnd
      if isSecondCopy || isJournal && !scenario.hasTwoPlaces { continue }
      let bytes = device.contents(at: DeviceByteOffset(page << 12), count: 4096)
      let isZero = bytes.allSatisfy { $0 == 0 }
      if isZero || tablesOnly && Self.isStamped(bytes) { continue }
      // Much of a page means nothing yet: half of the bits are those of a byte that says something.
      let telling = bytes.indices.filter { bytes[$0] != 0 }
      let byte = random.oneIn(2) ? telling[random.below(telling.count)] : random.below(4096)
      let at = page << 12 + UInt64(byte)
      device.rot(at: DeviceByteOffset(at), bit: random.below(8))
      return
    }
  }

  private static func isStamped(_ bytes: [UInt8]) -> Bool {
    unsafe bytes.withUnsafeBytes { all in
      for at in stride(from: 0, to: all.count, by: 512) {
        let sector = unsafe UnsafeRawBufferPointer(rebasing: all[at..<at + 512])
        if case .stamped = unsafe StampedSector.read(sector) { return true }
      }
      return false
    }
  }
}
