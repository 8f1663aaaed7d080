import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import Testing

@testable import VolumeEngine

@Suite struct OpeningTests {
  static let mib: UInt64 = 1 << 20

  private func newPool(_ sizes: [UInt64], journalBlocks: UInt32? = 16) throws -> [SimulatedDevice] {
    let devices = OpeningTestServer.newDevices(sizes)
    try OpeningTestServer.create(devices, journalBlocks: journalBlocks)
    return devices
  }

  private func powerCut(_ devices: [SimulatedDevice], seed: UInt64) {
    var chooser = SeededCrash(seed: seed)
    for device in devices { device.powerCut(choosing: &chooser) }
  }

  // MARK: Creation

  @Test(arguments: [
    [32 * mib], [64 * mib], [32 * mib, 16 * mib], [24 * mib, 100 * mib, 40 * mib],
  ])
  func aNewPoolIsDurableAndOpens(sizes: [UInt64]) throws {
    let devices = try newPool(sizes, journalBlocks: nil)
    for device in devices { #expect(device.unflushedWrites.isEmpty) }
    for nonce in 1...3 as ClosedRange<UInt64> {
      let server = try OpeningTestServer(devices, nonce: nonce)
      #expect(server.report.wasClean == (nonce == 1))
      #expect(server.pool.name == "pool")
      #expect(server.pool.devices.count == sizes.count)
      #expect(server.journal.logGeneration == nonce + 1)
      #expect(server.pool.volumeCount == 0)
    }
  }

  @Test func aDeviceOfAPoolIsNotTakenUnlessForced() throws {
    let devices = try newPool([32 * Self.mib])
    let settings = OpeningTestServer.settings(1, name: "other", pool: 2)
    #expect(throws: PoolCreationError.carriesPool("disk0", pool: "pool")) {
      try PoolCreation.create(devices, settings: settings)
    }
    #expect(try OpeningTestServer(devices, nonce: 1).pool.name == "pool")
    try PoolCreation.create(
      devices, settings: OpeningTestServer.settings(1, name: "other", pool: 2, isForced: true))
    #expect(try OpeningTestServer(devices, nonce: 1).pool.name == "other")
  }

  @Test func whatIsRefusedAtCreationChangesNothing() throws {
    let devices = OpeningTestServer.newDevices([32 * Self.mib, 1 * Self.mib])
    #expect(throws: PoolCreationError.self) {
      try PoolCreation.create(devices, settings: OpeningTestServer.settings(2))
    }
    var named = OpeningTestServer.settings(1, name: "a b")
    #expect(throws: PoolCreationError.badName("a b")) {
      try PoolCreation.create([devices[0]], settings: named)
    }
    named.name = "ab"
    named.allocationRunExtents = 0
    #expect(throws: PoolCreationError.badAllocationRun(extents: 0)) {
      try PoolCreation.create([devices[0]], settings: named)
    }
    for device in devices { #expect(device.counts.writes == 0) }
  }

  @Test func aCreationThatCrashesAnywhereLeavesNoPoolOrAWholeOne() throws {
    let whole = OpeningTestServer.newDevices([32 * Self.mib, 32 * Self.mib])
    let counter = CrashPoint()
    for device in whole { device.crashPoint = counter }
    try OpeningTestServer.create(whole)
    for limit in 0..<counter.events {
      let devices = OpeningTestServer.newDevices([32 * Self.mib, 32 * Self.mib])
      let point = CrashPoint(limit: limit)
      for device in devices { device.crashPoint = point }
      #expect(throws: PoolCreationError.self) { try OpeningTestServer.create(devices) }
      for device in devices { device.crashPoint = CrashPoint() }
      powerCut(devices, seed: UInt64(limit))
      do throws(PoolOpeningError) {
        let server = try OpeningTestServer(devices, nonce: 1)
        #expect(server.pool.volumeCount == 0)
      } catch {
        switch error {
        case .notAPoolDevice, .superblockDamaged: break
        default: Issue.record("\(error) after \(limit) events")
        }
      }
    }
  }

  // MARK: Replay

  @Test(arguments: [[48 * mib], [40 * mib, 48 * mib]])
  func flushedRecordsSurviveAPowerCutAndOthersMay(sizes: [UInt64]) throws {
    let devices = try newPool(sizes)
    var server = try OpeningTestServer(devices, nonce: 1)
    let volume = try server.createVolume("v")
    for n in 0..<100 as Range<UInt64> { try server.write(volume, n * 7, .all) }
    try server.flush()
    let flushed = try server.contents()
    try server.write(volume, 5000, .all)
    powerCut(devices, seed: 4)
    server = try OpeningTestServer(devices, nonce: 2)
    #expect(server.report.journalRecords >= 101)
    #expect(server.report.previousOpening.process == 7)
    #expect(!server.report.wasClean)
    #expect(try server.contents() == flushed)
    #expect(
      server.pool.record(of: try #require(server.pool.volume(named: "v"))).mappedBlocks == 1600)
  }

  @Test func aCleanStopLeavesNothingToReplay() throws {
    let devices = try newPool([48 * Self.mib])
    var server = try OpeningTestServer(devices, nonce: 1)
    let volume = try server.createVolume("v")
    try server.write(volume, 3, BlockMask(first: 2, count: 3))
    try server.flush()
    try server.checkpoint(isOpen: false)
    let before = try server.contents()
    server = try OpeningTestServer(devices, nonce: 2)
    #expect(server.report.wasClean)
    #expect(server.report.journalRecords == 0)
    #expect(try server.contents() == before)
  }

  @Test func theTailBringsBackWhatWasAnsweredAndNotFlushed() throws {
    let devices = try newPool([48 * Self.mib])
    let memory = TailMemory()
    var server = try OpeningTestServer(devices, nonce: 1, tail: memory)
    let volume = try server.createVolume("v")
    try server.write(volume, 1, .all)
    try server.flush()
    try server.write(volume, 2, .all)
    try server.write(volume, 3, .all)
    let answered = try server.contents()
    // The process dies, the machine does not.
    server = try OpeningTestServer(devices, nonce: 2, tail: memory)
    #expect(server.report.tailStanding == .continues)
    #expect(server.report.tailRecords >= 2)
    #expect(try server.contents() == answered)
    // The machine restarts: what the tail held is ignored.
    try server.write(try #require(server.pool.volume(named: "v")), 9, .all)
    memory.boot = StorageUUID(high: 4, low: 4)
    server = try OpeningTestServer(devices, nonce: 3, tail: memory)
    #expect(server.report.tailStanding == .otherBoot)
    #expect(try server.contents() == answered)
  }

  @Test func aJournalThatWrapsManyTimesIsReplayed() throws {
    let devices = try newPool([48 * Self.mib, 48 * Self.mib], journalBlocks: 8)
    var server = try OpeningTestServer(devices, nonce: 1)
    let volume = try server.createVolume("v")
    for n in 0..<200 as Range<UInt64> {
      try server.write(volume, n, BlockMask(first: Int(n % 16), count: 1))
      if n % 3 == 0 { try server.flush() }
    }
    try server.flush()
    #expect(server.journal.nextSequence > 50)
    let flushed = try server.contents()
    powerCut(devices, seed: 9)
    server = try OpeningTestServer(devices, nonce: 2)
    #expect(try server.contents() == flushed)
  }

  // MARK: Crashes

  /// Each history crashes in the middle, perhaps inside a checkpoint, and is opened again: the
  /// state is one that the pool had after the last finished flush or later. Then the start itself
  /// crashes, and is repeated.
  @Test(arguments: 1...24 as ClosedRange<UInt64>)
  func afterAnyCrashTheStateIsOneThatWasAnswered(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let sizes = random.oneIn(2) ? [48 * Self.mib] : [40 * Self.mib, 48 * Self.mib]
    let devices = try newPool(sizes, journalBlocks: random.oneIn(2) ? 8 : 24)
    var nonce: UInt64 = 1
    let possible = History()
    for _ in 0..<4 {
      let server = try OpeningTestServer(devices, nonce: nonce)
      nonce += 1
      possible.note(recovered: try server.contents())
      let point = CrashPoint(limit: 20 + random.below(400))
      for device in devices { device.crashPoint = point }
      do {
        try work(on: server, possible, &random)
      } catch {}
      for device in devices { device.crashPoint = CrashPoint() }
      powerCut(devices, seed: random.next())
      // The start crashes too, and what it did half is lost or not.
      let startPoint = CrashPoint(limit: random.below(120))
      for device in devices { device.crashPoint = startPoint }
      if let early = try? OpeningTestServer(devices, nonce: nonce),
        let state = try? early.contents()
      {
        #expect(possible.contains(state), "seed \(seed)")
      }
      nonce += 1
      for device in devices { device.crashPoint = CrashPoint() }
      powerCut(devices, seed: random.next())
      let again = try OpeningTestServer(devices, nonce: nonce)
      nonce += 1
      #expect(possible.contains(try again.contents()), "seed \(seed)")
    }
  }

  // MARK: The end of a checkpoint

  /// A pool whose next checkpoint is cut off after `events` of its I/Os; nil: not at all. The
  /// devices are left as they are at that moment. Gives what was flushed.
  private func interruptCheckpoint(
    _ devices: [SimulatedDevice], _ base: [SimulatedDevice.State], after events: Int?
  ) throws -> (flushed: [String: [UInt64: MapEntry]], events: Int) {
    for (device, state) in zip(devices, base) { device.restore(state) }
    let server = try OpeningTestServer(devices, nonce: 2)
    let volume = try #require(server.pool.volume(named: "v"))
    for n in 0..<20 as Range<UInt64> { try server.write(volume, n * 700, .all) }
    try server.flush()
    let flushed = try server.contents()
    let point = CrashPoint(limit: events)
    for device in devices { device.crashPoint = point }
    try? server.checkpoint()
    for device in devices {
      device.crashPoint = CrashPoint()
      device.processDeath(.inFlightLands)
    }
    return (flushed, point.events)
  }

  private func poolWithHistory() throws -> [SimulatedDevice] {
    let devices = try newPool([40 * Self.mib, 48 * Self.mib], journalBlocks: 24)
    let server = try OpeningTestServer(devices, nonce: 1)
    let volume = try server.createVolume("v")
    for n in 0..<60 as Range<UInt64> { try server.write(volume, n * 250, .all) }
    try server.flush()
    try server.checkpoint()
    return devices
  }

  /// Superblocks are torn in every way: the other slot still holds the one before.
  @Test func aPowerCutAtTheEndOfACheckpointLosesNothingFlushed() throws {
    let devices = try poolWithHistory()
    let base = devices.map { $0.snapshot() }
    let whole = try interruptCheckpoint(devices, base, after: nil)
    for events in whole.events - 8...whole.events {
      let cut = try interruptCheckpoint(devices, base, after: events)
      let interrupted = devices.map { $0.snapshot() }
      for seed in 0..<10 as Range<UInt64> {
        for (device, state) in zip(devices, interrupted) { device.restore(state) }
        powerCut(devices, seed: seed)
        let server = try OpeningTestServer(devices, nonce: 3)
        #expect(try server.contents() == cut.flushed, "\(events) events, seed \(seed)")
      }
    }
  }

  /// The process dies between the superblocks and the barrier after them. The start sees them; were
  /// they not flushed first, it would overwrite what only they show as free, and a power cut could
  /// then bring back the superblocks before.
  @Test func aStartRestsOnlyOnWhatAPowerCutCannotTakeBack() throws {
    let devices = try poolWithHistory()
    let base = devices.map { $0.snapshot() }
    let whole = try interruptCheckpoint(devices, base, after: nil)
    // The superblocks are written, the barriers on two devices have not begun.
    let cut = try interruptCheckpoint(devices, base, after: whole.events - 2)
    let interrupted = devices.map { $0.snapshot() }
    var startEvents = 0
    var hasFinished = false
    while !hasFinished {
      for (device, state) in zip(devices, interrupted) { device.restore(state) }
      let point = CrashPoint(limit: startEvents)
      for device in devices { device.crashPoint = point }
      hasFinished = (try? OpeningTestServer(devices, nonce: 3)) != nil
      for device in devices {
        device.crashPoint = CrashPoint()
        var chooser = SuperblockCrash(.absent)
        device.powerCut(choosing: &chooser)
      }
      let server = try OpeningTestServer(devices, nonce: 4)
      #expect(try server.contents() == cut.flushed, "\(startEvents) events")
      startEvents += 1
    }
  }

  /// Both copies of a superblock that is being written may be lost, on every device.
  @Test func aTornSuperblockLeavesTheOneBefore() throws {
    let devices = try poolWithHistory()
    let base = devices.map { $0.snapshot() }
    let whole = try interruptCheckpoint(devices, base, after: nil)
    let cut = try interruptCheckpoint(devices, base, after: whole.events - 2)
    for device in devices {
      var chooser = SuperblockCrash(.prefix(atoms: 1))
      device.powerCut(choosing: &chooser)
    }
    let server = try OpeningTestServer(devices, nonce: 3)
    #expect(server.report.damagedSuperblockCopies == 4)
    #expect(try server.contents() == cut.flushed)
  }

  /// Superblocks meet this fate, everything else is kept.
  private struct SuperblockCrash: CrashChooser {
    let superblocks: WriteFate
    init(_ superblocks: WriteFate) { self.superblocks = superblocks }
    mutating func fate(of write: UnflushedWrite, index: Int, count: Int) -> WriteFate {
      write.offset.bytes < FormatConstants.systemAreaOffset ? superblocks : .whole
    }
  }

  /// What the pool may show after a crash: every state since the last finished flush.
  private final class History {
    private var states: [[String: [UInt64: MapEntry]]] = []

    func note(recovered state: [String: [UInt64: MapEntry]]) { states = [state] }
    func note(_ volume: String, _ extent: UInt64, _ entry: MapEntry) {
      var state = states[states.count - 1]
      state[volume]?[extent] = entry.isNone ? nil : entry
      states.append(state)
    }
    func note(_ volume: String, exists: Bool) {
      var state = states[states.count - 1]
      state[volume] = exists ? [:] : nil
      states.append(state)
    }
    func noteFlushed() { states.removeFirst(states.count - 1) }
    func contains(_ state: [String: [UInt64: MapEntry]]) -> Bool { states.contains(state) }
  }

  private func work(
    on server: OpeningTestServer, _ possible: History, _ random: inout SeededRandom
  ) throws {
    while true {
      switch random.below(20) {
      case 0:
        let name = "v\(random.below(1000))"
        if server.pool.volumeCount < 4 && server.pool.volume(named: name) == nil {
          try server.createVolume(name)
          possible.note(name, exists: true)
        }
      case 1:
        if random.oneIn(4), let volume = server.pool.volumeSlots.first {
          let name = server.pool.record(of: volume).name
          try server.delete(volume)
          possible.note(name, exists: false)
        }
      case 2, 3: try server.drop()
      case 4, 5, 6:
        try server.flush()
        possible.noteFlushed()
      case 7:
        try server.checkpoint {
          if random.oneIn(3) { try self.change(server, possible, &random) }
        }
      default: try change(server, possible, &random)
      }
    }
  }

  private func change(
    _ server: OpeningTestServer, _ possible: History, _ random: inout SeededRandom
  ) throws {
    let slots = server.pool.volumeSlots
    guard !slots.isEmpty,
      !server.pool.isCheckpointRunning || server.pool.records.hasRoom(forRecords: 8)
    else { return }
    let volume = slots[random.below(slots.count)]
    let first = random.below(16)
    let mask = BlockMask(first: first, count: 1 + random.below(16 - first))
    let extent = UInt64(random.below(16_000))
    if random.oneIn(4) {
      try server.clear(volume, extent, mask)
    } else {
      try server.write(volume, extent, mask)
    }
    possible.note(
      server.pool.record(of: volume).name, extent,
      try server.entry(volume, VirtualExtent(index: extent)))
  }
}
