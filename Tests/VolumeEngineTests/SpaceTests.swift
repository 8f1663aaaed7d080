import BlockExport
import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import Testing

@testable import VolumeEngine

@Suite struct SpaceTests {
  private func smallRig() -> EngineRig {
    var options = RigOptions()
    options.segments = [12]
    options.shift = 6
    return EngineRig(options)
  }

  /// Writes extents one after the other until there is no space, also after a checkpoint (which
  /// turns what was reserved for its nodes into nodes); returns how many went.
  private func fill(_ rig: EngineRig, _ v: VolumeID) -> Int {
    var count = 0
    var isSettled = false
    while count < 1000 {
      let error = rig.write(v, at: UInt64(count) << 16, pattern(count, 64 << 10))
      if error == .noSpace {
        if isSettled { return count }
        #expect(rig.manage { $0.checkpoint(token: $1) } == .done)
        isSettled = true
        continue
      }
      #expect(error == nil)
      isSettled = false
      count += 1
    }
    return count
  }

  @Test func aFullPoolTellsSoAndBreaksNothing() {
    let rig = smallRig()
    let v = rig.createVolume(size: 1 << 30)
    let count = fill(rig, v)
    #expect(count > 8)
    #expect(count < 48)
    #expect(rig.write(v, at: 512 << 20, pattern(1, 4096)) == .noSpace)
    // Reads, overwrites in place and flushes go on.
    #expect(rig.write(v, at: 0, pattern(77, 64 << 10)) == nil)
    #expect(rig.run(.flush, v) == nil)
    expectSame(rig.read(v, at: 0, 64 << 10), pattern(77, 64 << 10))
    for i in 1..<count {
      expectSame(rig.read(v, at: UInt64(i) << 16, 64 << 10), pattern(i, 64 << 10))
    }
    // What a discard gives back is usable after a checkpoint, which the next write starts.
    #expect(rig.run(.discard, v, at: 0, length: 4 << 16) == nil)
    let checkpoints = rig.engine.statistics.checkpoints
    #expect(rig.write(v, at: 512 << 20, pattern(5, 4096)) == nil)
    #expect(rig.engine.statistics.checkpoints > checkpoints)
    expectSame(rig.read(v, at: 512 << 20, 4096), pattern(5, 4096))
  }

  @Test func aParkedWriteResumesWhenADiscardHelps() {
    let rig = smallRig()
    let v = rig.createVolume(size: 1 << 30, policy: .wait(seconds: 60))
    let e = rig.createVolume("e", size: 1 << 30)
    let count = fill(rig, e)
    let parked = rig.submit(.write, v, at: 0, bytes: pattern(1, 64 << 10))
    rig.settle()
    #expect(!rig.isAnswered(parked))
    #expect(rig.engine.statistics.parkedRequests == 1)
    #expect(rig.run(.discard, e, at: 0, length: UInt64(count) << 16) == nil)
    rig.settle()
    #expect(rig.outcome(parked) == nil)
    expectSame(rig.read(v, at: 0, 64 << 10), pattern(1, 64 << 10))
    #expect(rig.engine.statistics.parkedRequests == 0)
  }

  @Test func aParkedWriteFailsWhenItsTimeIsOver() {
    let rig = smallRig()
    let v = rig.createVolume(size: 1 << 30, policy: .wait(seconds: 3))
    let e = rig.createVolume("e", size: 1 << 30)
    _ = fill(rig, e)
    let parked = rig.submit(.write, v, at: 0, bytes: pattern(1, 4096))
    rig.settle()
    #expect(!rig.isAnswered(parked))
    rig.clock.advance(milliseconds: 2500)
    rig.settle()
    #expect(!rig.isAnswered(parked))
    #expect(rig.engine.nextDeadline != nil)
    rig.clock.advance(milliseconds: 600)
    rig.settle()
    #expect(rig.outcome(parked) == .noSpace)
  }

  @Test func parkedWritesLeaveSlotsForTheDiscardThatHelps() {
    let rig = smallRig()
    let v = rig.createVolume(size: 1 << 30, policy: .wait(seconds: .max))
    let e = rig.createVolume("e", size: 1 << 30)
    let count = fill(rig, e)
    let tokens = (0..<30).map {
      rig.submit(.write, v, at: UInt64($0) << 16, bytes: pattern($0, 4096))
    }
    rig.settle()
    // The quota is 16: the rest was told at once.
    #expect(tokens.filter { rig.isAnswered($0) }.count == 14)
    #expect(rig.run(.discard, e, at: 0, length: UInt64(count) << 16) == nil)
    rig.settle()
    #expect(tokens.allSatisfy { rig.isAnswered($0) })
    #expect(tokens.filter { rig.outcome($0) == nil }.count == 16)
  }

  @Test func deletingAVolumeGivesItsSpaceBackInTheBackground() {
    let rig = smallRig()
    let e = rig.createVolume("e", size: 1 << 30)
    let free = rig.pool.usage.freeBytes
    let count = fill(rig, e)
    #expect(rig.manage { $0.deleteVolume(e, token: $1) } == .done)
    rig.settle()
    #expect(!rig.pool.hasDoomed)
    let v = rig.createVolume(size: 1 << 30)
    #expect(fill(rig, v) >= count - 1)
    #expect(rig.manage { $0.deleteVolume(v, token: $1) } == .done)
    #expect(rig.manage { $0.checkpoint(token: $1) } == .done)
    #expect(rig.manage { $0.checkpoint(token: $1) } == .done)
    #expect(rig.pool.usage.freeBytes + (1 << 20) >= free)
  }

  // read R                        discard, checkpoint            write W
  // looks up extent E
  //                               E is freed, durably
  //                                                              needs space: E is not given to it
  // its read of E completes
  //                                                              takes E
  @Test func freedSpaceIsNotReusedWhileAReadMayStillLookAtIt() {
    let rig = smallRig()
    let e = rig.createVolume("e", size: 1 << 30)
    let v = rig.createVolume(size: 1 << 30, policy: .wait(seconds: .max))
    let count = fill(rig, e)
    let read = rig.submit(.read, e, at: 0, length: 4096)
    #expect(rig.inFlight(.read) == 1)
    let discard = rig.submit(.discard, e, at: 0, length: UInt64(count) << 16)
    let write = rig.submit(.write, v, at: 0, bytes: pattern(9, 4096))
    // Everything but the read completes.
    for _ in 0..<1000 {
      rig.turn()
      guard let index = rig.disks.inFlight.firstIndex(where: { $0.operation != .read }) else {
        break
      }
      rig.complete(at: index)
    }
    #expect(rig.isAnswered(discard))
    #expect(!rig.isAnswered(write))
    #expect(rig.inFlight(.read) == 1)
    rig.settle()
    #expect(rig.outcome(write) == nil)
    expectSame(rig.bytes(read, at: 0, count: 4096), Array(pattern(0, 64 << 10)[..<4096]))
  }

  @Test func aSmallJournalIsKeptGoingByCheckpoints() {
    var options = RigOptions()
    options.journalBlocks = 16
    options.recordBytes = 8 << 10
    let rig = EngineRig(options)
    let v = rig.createVolume(size: 1 << 30)
    for i in 0..<300 {
      #expect(rig.write(v, at: UInt64(i * 37 % 500) << 16, pattern(i, 4096)) == nil)
      if i % 3 == 0 { #expect(rig.run(.flush, v) == nil) }
      rig.clock.advance(milliseconds: 10)
    }
    #expect(rig.engine.statistics.checkpoints > 5)
    #expect(!rig.engine.isReadOnly)
  }
}
