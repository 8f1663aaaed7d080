import BlockExport
import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import Testing

@testable import VolumeEngine

/// Snapshots, clones and rollback while hosts write.
@Suite struct BranchTests {
  private static let uuid = StorageUUID(high: 4, low: 4)

  private static func snapshot(
    _ rig: EngineRig, _ volume: VolumeID, _ name: String
  ) throws -> VolumeID {
    let result = rig.manage {
      $0.createSnapshots(
        [SnapshotOrder(source: volume, name: name, uuid: uuid, createdAt: 1)], token: $1)
    }
    guard case .branched(let ids) = result else {
      Issue.record("\(String(describing: result))")
      throw ExportError.invalidRequest
    }
    return try #require(ids.first)
  }

  private static func clone(
    _ rig: EngineRig, _ snapshot: VolumeID, _ name: String
  ) throws -> VolumeID {
    let result = rig.manage {
      $0.cloneSnapshot(snapshot, as: name, uuid: uuid, createdAt: 1, token: $1)
    }
    guard case .branched(let ids) = result else { throw ExportError.invalidRequest }
    return try #require(ids.first)
  }

  @Test func aSnapshotKeepsWhatWasThereAndNothingIsCopied() throws {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 65536)) == nil)
    let s = try Self.snapshot(rig, v, "s")
    let reads = rig.dataReads
    let writes = rig.dataWrites
    #expect(rig.write(v, at: 4096, pattern(2, 4096)) == nil)
    #expect(rig.dataReads == reads, "a write after a snapshot copies nothing")
    #expect(rig.dataWrites == writes + 1)
    expectSame(rig.read(s, at: 0, 65536), pattern(1, 65536))
    expectSame(rig.read(v, at: 4096, 4096), pattern(2, 4096))
    expectSame(rig.read(v, at: 8192, 4096), Array(pattern(1, 65536)[8192..<12288]))
    #expect(rig.write(s, at: 0, pattern(3, 4096)) == .readOnly)
    #expect(rig.engine.export(named: "v@s")?.isReadOnly == true)
    #expect(rig.engine.exportNames() == ["v", "v@s"])
  }

  // write, in place                snapshot
  // in flight
  //                                is asked for: waits for the write
  // completes, answered
  //                                is made: the write is in it
  // write 2 goes to a fresh extent
  @Test func aSnapshotWaitsForDecisionsInForceAndHoldsNewOnes() throws {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 8192)) == nil)
    let first = rig.submit(.write, v, at: 0, bytes: pattern(2, 4096))
    rig.turn()
    let token = rig.beginManagement {
      $0.createSnapshots(
        [SnapshotOrder(source: v, name: "s", uuid: Self.uuid, createdAt: 1)], token: $1)
    }
    let second = rig.submit(.write, v, at: 4096, bytes: pattern(3, 4096))
    let read = rig.submit(.read, v, at: 0, length: 512)
    rig.turn()
    #expect(rig.managementAnswers[token] == nil)
    #expect(rig.inFlight(.write) == 1, "the second write is held")
    rig.completeAll(.read)
    #expect(rig.isAnswered(read), "reads go on")
    rig.completeAll(.write)
    rig.settle()
    #expect(rig.outcome(first) == nil)
    #expect(rig.outcome(second) == nil)
    guard case .branched(let ids) = rig.managementAnswers[token] else {
      Issue.record("no snapshot")
      return
    }
    expectSame(rig.read(ids[0], at: 0, 4096), pattern(2, 4096))
    expectSame(rig.read(ids[0], at: 4096, 4096), Array(pattern(1, 8192)[4096...]))
    expectSame(rig.read(v, at: 4096, 4096), pattern(3, 4096))
  }

  @Test func snapshotsOfSeveralVolumesAreMadeAllOrNone() throws {
    let rig = EngineRig()
    let a = rig.createVolume("a", size: 1 << 20)
    let b = rig.createVolume("b", size: 1 << 20)
    let orders = [a, b].map {
      SnapshotOrder(source: $0, name: "x", uuid: Self.uuid, createdAt: 1)
    }
    guard case .branched(let ids) = rig.manage({ $0.createSnapshots(orders, token: $1) }) else {
      Issue.record("not made")
      return
    }
    #expect(ids.count == 2)
    let again = [
      SnapshotOrder(source: a, name: "y", uuid: Self.uuid, createdAt: 1),
      SnapshotOrder(source: b, name: "x", uuid: Self.uuid, createdAt: 1),
    ]
    #expect(
      rig.manage({ $0.createSnapshots(again, token: $1) }) == .refused(.volumeExists("b@x")))
    #expect(rig.engine.exportNames() == ["a", "a@x", "b", "b@x"])
  }

  @Test func aRollbackBringsTheSnapshotBackAndKeepsLaterOnes() throws {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 4096)) == nil)
    let old = try Self.snapshot(rig, v, "old")
    #expect(rig.write(v, at: 0, pattern(2, 4096)) == nil)
    let later = try Self.snapshot(rig, v, "later")
    #expect(rig.write(v, at: 0, pattern(3, 4096)) == nil)
    #expect(rig.manage { $0.rollBack(v, to: old, token: $1) } == .done)
    expectSame(rig.read(v, at: 0, 4096), pattern(1, 4096))
    expectSame(rig.read(later, at: 0, 4096), pattern(2, 4096))
    #expect(rig.write(v, at: 0, pattern(4, 4096)) == nil)
    expectSame(rig.read(old, at: 0, 4096), pattern(1, 4096))
    #expect(rig.manage { $0.rollBack(v, to: later, token: $1) } == .done)
    expectSame(rig.read(v, at: 0, 4096), pattern(2, 4096))
  }

  @Test func anOriginMayGoAndItsCloneStays() throws {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 65536)) == nil)
    let s = try Self.snapshot(rig, v, "s")
    let c = try Self.clone(rig, s, "c")
    #expect(rig.write(c, at: 0, pattern(2, 4096)) == nil)
    #expect(
      rig.manage { $0.deleteVolume(v, token: $1) } == .refused(.hasSnapshots("v", ["v@s"])))
    #expect(rig.manage { $0.deleteVolume(s, token: $1) } == .done)
    #expect(rig.manage { $0.deleteVolume(v, token: $1) } == .done)
    for _ in 0..<6 {
      rig.clock.advance(milliseconds: 3000)
      rig.settle()
    }
    expectSame(rig.read(c, at: 0, 4096), pattern(2, 4096))
    expectSame(rig.read(c, at: 4096, 4096), Array(pattern(1, 65536)[4096..<8192]))
    #expect(rig.record(c).shareEpoch == .zero, "nothing else holds anything of it")
    // In place again: no fresh extent.
    let allocated = rig.record(c).allocatedExtents
    #expect(rig.write(c, at: 0, pattern(3, 4096)) == nil)
    #expect(rig.record(c).allocatedExtents == allocated)
  }

  /// Where most writes meet a third layer.
  @Test func manySnapshotsUnderRandomWritesKeepTheirContents() throws {
    let rig = EngineRig()
    let v = rig.createVolume(size: 256 << 10)
    var random = SeededRandom(seed: 5)
    var now = [UInt8](repeating: 0, count: 256 << 10)
    var kept: [(VolumeID, [UInt8])] = []
    for turn in 0..<40 {
      for _ in 0..<6 {
        let block = random.below(64)
        let bytes = pattern(turn * 100 + block, 4096)
        #expect(rig.write(v, at: UInt64(block) * 4096, bytes) == nil)
        now.replaceSubrange(block * 4096..<(block + 1) * 4096, with: bytes)
      }
      if random.oneIn(4) {
        let block = random.below(60)
        #expect(rig.run(.discard, v, at: UInt64(block) * 4096, length: 16384) == nil)
        for i in block * 4096..<block * 4096 + 16384 { now[i] = 0 }
      }
      if random.oneIn(5) {
        let extent = UInt64(random.below(4)) << 16
        #expect(
          rig.run(.writeZeroes, v, at: extent + 4096, length: 8192, flags: .noHole) == nil)
        for i in Int(extent) + 4096..<Int(extent) + 12288 { now[i] = 0 }
      }
      kept.append((try Self.snapshot(rig, v, "s\(turn)"), now))
      if turn % 3 == 2 {
        let gone = kept.remove(at: random.below(kept.count))
        #expect(rig.manage { $0.deleteVolume(gone.0, token: $1) } == .done)
        rig.clock.advance(milliseconds: 2500)
        rig.settle()
      }
      expectSame(rig.read(v, at: 0, 256 << 10), now)
    }
    for (id, bytes) in kept { expectSame(rig.read(id, at: 0, 256 << 10), bytes) }
    #expect(rig.engine.statistics.merges > 0)
  }
}
