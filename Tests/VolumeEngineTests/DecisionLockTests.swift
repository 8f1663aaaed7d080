import BlockExport
import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import Testing

@testable import VolumeEngine

@Suite struct DecisionLockTests {
  // write A, block 0              write B, block 1
  // takes extent E, in flight
  //                               shares E, in flight
  //                               completes: record E {1}
  // completes: record E {0, 1}
  @Test func writesToDifferentBlocksShareOneFreshExtent() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    let a = rig.submit(.write, v, at: 0, bytes: pattern(1, 4096))
    let b = rig.submit(.write, v, at: 4096, bytes: pattern(2, 4096))
    rig.turn()
    #expect(rig.inFlight(.write) == 2)
    while let last = rig.disks.inFlight.lastIndex(where: { $0.operation == .write }) {
      rig.complete(at: last)
    }
    rig.settle()
    #expect(rig.outcome(a) == nil)
    #expect(rig.outcome(b) == nil)
    #expect(rig.record(v).allocatedExtents == 1)
    expectSame(rig.read(v, at: 0, 8192), pattern(1, 4096) + pattern(2, 4096))
  }

  // write A, block 0              write B, block 0
  // in flight
  //                               waits: two writes to one place are not ordered on a device
  // completes, record
  //                               in flight, completes
  @Test func aSecondWriteToABlockWaits() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    rig.submit(.write, v, at: 0, bytes: pattern(1, 4096))
    let b = rig.submit(.write, v, at: 512, bytes: pattern(2, 512))
    rig.turn()
    #expect(rig.inFlight(.write) == 1)
    rig.completeAll(.write)
    rig.settle()
    #expect(rig.outcome(b) == nil)
    #expect(rig.disks.overlappingWrites == 0)
    expectSame(
      rig.read(v, at: 0, 4096),
      pattern(1, 4096)[..<512] + pattern(2, 512) + pattern(1, 4096)[1024...])
  }

  // write A, block 0              discard D, whole extent        write C, block 2
  // in flight
  //                               waits for A's record
  //                                                              waits behind D
  // completes, record
  //                               clears, releases the extent
  //                                                              takes a fresh extent
  @Test func aDiscardWaitsForWritesAndNobodyPassesIt() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    rig.submit(.write, v, at: 0, bytes: pattern(1, 4096))
    let behind = rig.submit(.write, v, at: 4096, bytes: pattern(2, 4096))
    // The discard looks for mapped extents: let one write be applied before it comes.
    rig.complete()
    let d = rig.submit(.discard, v, at: 0, length: 64 << 10)
    let c = rig.submit(.write, v, at: 8192, bytes: pattern(3, 4096))
    rig.turn()
    #expect(!rig.isAnswered(d))
    #expect(rig.inFlight(.write) == 1)
    rig.settle()
    #expect(rig.outcome(d) == nil)
    #expect(rig.outcome(c) == nil)
    #expect(rig.outcome(behind) == nil)
    expectSame(rig.read(v, at: 0, 3 * 4096), [UInt8](repeating: 0, count: 8192) + pattern(3, 4096))
    #expect(rig.record(v).allocatedExtents == 1)
  }

  @Test func writesToOneExtentOverwriteInParallel() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 64 << 10)) == nil)
    for block in 0..<16 {
      rig.submit(.write, v, at: UInt64(block * 4096), bytes: pattern(block, 4096))
    }
    rig.turn()
    #expect(rig.inFlight(.write) == 16)
    rig.settle()
    expectSame(rig.read(v, at: 0, 64 << 10), (0..<16).flatMap { pattern($0, 4096) })
  }

  // write A, block 0 (fails)      write B, block 1
  // takes extent E, in flight
  //                               shares E, in flight
  // fails: no record
  //                               completes: record E {1}; E stays
  @Test func aFailedWriteDoesNotTakeTheSharedExtentAway() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    for device in rig.disks.devices {
      device.inject(.init(.error(errno: 5), on: .write, number: 1))
    }
    let a = rig.submit(.write, v, at: 0, bytes: pattern(1, 4096))
    let b = rig.submit(.write, v, at: 4096, bytes: pattern(2, 4096))
    rig.turn()
    rig.completeAll(.write)
    #expect(rig.outcome(a) == .inputOutput)
    #expect(rig.outcome(b) == nil)
    for device in rig.disks.devices { device.clearFaults() }
    rig.settle()
    expectSame(rig.read(v, at: 0, 8192), [UInt8](repeating: 0, count: 4096) + pattern(2, 4096))
  }

  @Test func theTableFindsWhatItHoldsAndNothingElse() {
    let locks = DecisionLocks(capacity: 8)
    let v = VolumeSlot(index: 3)
    var held: [UInt64: LockIndex] = [:]
    var random = SeededRandom(seed: 5)
    for _ in 0..<2000 {
      let x = UInt64(random.below(40)) * 1024
      let found = locks.find(v, VirtualExtent(index: x))
      #expect(found == held[x] ?? .none)
      #expect(locks.find(VolumeSlot(index: 4), VirtualExtent(index: x)) == .none)
      if !found.isNone {
        #expect(locks.leave(found))
        _ = locks.remove(found)
        held[x] = nil
      } else if held.count < 8 {
        let l = locks.create(v, VirtualExtent(index: x), shareEpoch: .zero)
        locks.join(l, blocks: .all, exclusively: true)
        held[x] = l
      }
      #expect(locks.count == held.count)
    }
  }
}
