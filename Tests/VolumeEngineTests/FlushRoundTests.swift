import BlockExport
import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import Testing

@testable import VolumeEngine

@Suite struct FlushRoundTests {
  @Test func aFlushWithoutNewRecordsIsOneBarrierForEachDirtyDevice() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 4096)) == nil)
    #expect(rig.run(.flush, v) == nil)
    let before = rig.flushes
    #expect(rig.run(.flush, v) == nil)
    #expect(rig.flushes == before)
    #expect(rig.write(v, at: 0, pattern(2, 4096)) == nil)
    #expect(rig.run(.flush, v) == nil)
    #expect(rig.flushes == before + 1)
  }

  @Test func aFlushWithNewRecordsIsTwoBarriersAndTheJournalBetween() {
    var options = RigOptions()
    options.segments = [40]
    let rig = EngineRig(options)
    let v = rig.createVolume(size: 1 << 20)
    #expect(rig.run(.flush, v) == nil)
    #expect(rig.write(v, at: 0, pattern(1, 4096)) == nil)
    rig.disks.keepsLog = true
    #expect(rig.run(.flush, v) == nil)
    #expect(
      rig.disks.log.map(\.operation) == [.flush, .flush, .write, .write, .flush, .flush])
  }

  @Test func theSmallestRingServesAndNeverFills() {
    var options = RigOptions()
    options.journalBlocks = 8
    options.recordBytes = JournalRing.batchBytes(blockCount: 8, limit: 1 << 20)
    let rig = EngineRig(options)
    let v = rig.createVolume(size: 64 << 20)
    for i in 0..<200 as Range<UInt64> {
      #expect(rig.write(v, at: i << 16, pattern(Int(i), 4096)) == nil)
      if i % 3 == 0 { #expect(rig.run(.flush, v) == nil) }
    }
    #expect(rig.engine.statistics.checkpoints > 0)
    expectSame(rig.read(v, at: 199 << 16, 4096), pattern(199, 4096))
  }

  // write A                       round                          flush F
  //                               cut, barrier submitted
  // completes during the barrier
  //                                                              arrives: next round
  //                               ends
  //                                                              answered by a round of its own
  @Test func aFlushThatCameAfterALaterWriteTakesTheNextRound() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 8192)) == nil)
    #expect(rig.run(.flush, v) == nil)
    #expect(rig.write(v, at: 0, pattern(2, 4096)) == nil)
    let a = rig.submit(.write, v, at: 4096, bytes: pattern(3, 4096))
    let first = rig.submit(.flush, v)
    rig.turn()
    #expect(rig.inFlight(.flush) == 1)
    rig.completeAll(.write)
    #expect(rig.isAnswered(a))
    let second = rig.submit(.flush, v)
    rig.complete()
    #expect(rig.isAnswered(first))
    #expect(!rig.isAnswered(second))
    #expect(rig.inFlight(.flush) == 1)
    rig.complete()
    #expect(rig.isAnswered(second))
  }

  @Test func aFlushJoinsARunningRoundThatCoversEverything() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 4096)) == nil)
    let rounds = rig.engine.statistics.rounds
    let first = rig.submit(.flush, v)
    rig.turn()
    let second = rig.submit(.flush, v)
    rig.settle()
    #expect(rig.outcome(first) == nil)
    #expect(rig.outcome(second) == nil)
    #expect(rig.engine.statistics.rounds == rounds + 1)
  }

  @Test func flushesOfOneTurnShareOneRound() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 4096)) == nil)
    let rounds = rig.engine.statistics.rounds
    let tokens = (0..<20).map { _ in rig.submit(.flush, v) }
    rig.settle()
    #expect(tokens.allSatisfy { rig.outcome($0) == nil })
    #expect(rig.engine.statistics.rounds == rounds + 1)
  }

  @Test func forcedUnitAccessIsAnsweredByARound() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    let token = rig.submit(.write, v, at: 0, bytes: pattern(1, 4096), flags: .forceUnitAccess)
    rig.turn()
    rig.completeAll(.write)
    #expect(!rig.isAnswered(token) || rig.inFlight(.flush) == 0)
    rig.settle()
    #expect(rig.outcome(token) == nil)
    #expect(rig.pool.records.recordCount == 0)
  }

  @Test func recordsAreJournalledAfterASecondWithoutAFlush() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    #expect(rig.run(.flush, v) == nil)
    #expect(rig.write(v, at: 0, pattern(1, 4096)) == nil)
    #expect(rig.pool.records.recordCount > 0)
    guard let deadline = rig.engine.nextDeadline else {
      Issue.record("no deadline")
      return
    }
    #expect(deadline <= rig.clock.now.adding(milliseconds: 1000))
    rig.clock.advance(milliseconds: 1000)
    rig.settle()
    #expect(rig.pool.records.recordCount == 0)
    #expect(rig.engine.nextDeadline == nil)
  }

  @Test(arguments: [IOCommand.Operation.flush, .write], [1, 2, 3])
  func aFailedBarrierOrJournalWriteIsFinal(operation: IOCommand.Operation, number: Int) {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 8192)) == nil)
    let isFlush = operation == .flush
    for device in rig.disks.devices {
      device.inject(.init(.error(errno: 5), on: operation, number: isFlush ? number : 1))
    }
    var failed = false
    for i in 0..<4 where !failed {
      if isFlush { _ = rig.write(v, at: 0, pattern(i, 4096)) }
      failed = rig.run(.flush, v) == .inputOutput
    }
    #expect(failed)
    #expect(rig.engine.isReadOnly)
    for device in rig.disks.devices { device.clearFaults() }
    // Nothing is retried and reported as success; reads go on.
    #expect(rig.run(.flush, v) == .inputOutput)
    #expect(rig.write(v, at: 0, pattern(9, 4096)) == .readOnly)
    #expect(rig.run(.discard, v, length: 1 << 20) == .readOnly)
    expectSame(rig.read(v, at: 4096, 4096), Array(pattern(1, 8192)[4096...]))
    rig.clock.advance(milliseconds: 5000)
    rig.settle()
    #expect(rig.manage { $0.checkpoint(token: $1) } == .failed(.readOnly))
    #expect(rig.manage { $0.stop(token: $1) } == .failed(.inputOutput))
  }
}

@Suite struct DeviceBarriersTests {
  /// Every history of at most `depth` events on one device against a model that knows for each
  /// write whether a successful barrier was submitted after it had completed.
  @Test func aDeviceIsCleanExactlyWhenEveryCompletedWriteIsDurable() {
    var histories = 0
    func check(_ events: [Int]) {
      let device = DeviceIndex(index: 0)
      let barriers = DeviceBarriers(deviceCount: 1)
      var durable: [Bool] = []
      var inFlight: [(sample: UInt64, covers: Int)] = []
      var hadBarrier = false
      for event in events {
        switch event {
        case 0:
          barriers.writeCompleted(on: device, isJournal: false)
          durable.append(false)
        case 1: inFlight.append((barriers.sample(device), durable.count))
        default:
          guard !inFlight.isEmpty else { return }
          // 2: the oldest succeeds, 3: the newest succeeds, 4: the oldest fails.
          let barrier = event == 3 ? inFlight.removeLast() : inFlight.removeFirst()
          if event == 4 { continue }
          hadBarrier = true
          for i in 0..<barrier.covers { durable[i] = true }
          barriers.barrierSucceeded(on: device, sample: barrier.sample)
        }
        let isClean = hadBarrier && durable.allSatisfy { $0 }
        if barriers.isClean(device) != isClean { Issue.record("\(events)") }
      }
      histories += 1
    }
    func extend(_ events: [Int], _ depth: Int) {
      check(events)
      if depth > 0 { for event in 0..<5 { extend(events + [event], depth - 1) } }
    }
    extend([], 7)
    #expect(histories > 5_000)
  }
}

@Suite struct GraceEpochsTests {
  @Test func anEpochHasEndedWhenEverybodyWhoEnteredItOrOneBeforeHasLeft() {
    let grace = GraceEpochs()
    var open: [UInt64] = []
    var closed: [UInt64] = []
    var random = SeededRandom(seed: 11)
    for _ in 0..<20_000 {
      switch random.below(5) {
      case 0, 1: open.append(grace.enter())
      case 2, 3: if !open.isEmpty { grace.leave(open.remove(at: random.below(open.count))) }
      default: if closed.count < 20 { closed.append(grace.advance()) }
      }
      closed.removeAll { epoch in
        let hasEnded = grace.hasEnded(epoch)
        if hasEnded { #expect(!open.contains { $0 <= epoch }) }
        return hasEnded
      }
    }
    for epoch in open { grace.leave(epoch) }
    let last = grace.advance()
    #expect(grace.hasEnded(last))
  }
}
