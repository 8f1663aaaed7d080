import BlockExport
import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import Testing

@testable import VolumeEngine

@Suite struct ManagementOperationTests {
  @Test func volumesAreCreatedFoundListedAndDeleted() {
    let rig = EngineRig()
    let b = rig.createVolume("b", size: 1 << 20)
    let a = rig.createVolume("a", size: (1 << 20) + 512)
    #expect(rig.engine.exportNames() == ["a", "b"])
    #expect(rig.engine.export(named: "a")?.volume == a)
    #expect(rig.engine.export(named: "a")?.sizeBytes == (1 << 20) + 512)
    #expect(rig.engine.export(named: "c") == nil)
    #expect(rig.manage { $0.deleteVolume(b, token: $1) } == .done)
    #expect(rig.engine.exportNames() == ["a"])
    #expect(rig.run(.read, b, length: 512) == .volumeGone)
    #expect(rig.manage { $0.deleteVolume(b, token: $1) } == .refused(.noSuchVolume("1")))
  }

  // write W                       delete
  // in flight
  //                               waits for it; new requests are refused
  // completes: no record, volumeGone
  //                               record, round, answer
  @Test func deletingAVolumeEndsWhatIsInWork() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 30)
    #expect(rig.write(v, at: 0, pattern(1, 1 << 20)) == nil)
    let fresh = rig.submit(.write, v, at: 8 << 20, bytes: pattern(2, 64 << 10))
    let read = rig.submit(.read, v, at: 0, length: 4096)
    let waiting = rig.submit(.write, v, at: 8 << 20, bytes: pattern(3, 4096))
    rig.turn()
    let delete = rig.beginManagement { $0.deleteVolume(v, token: $1) }
    #expect(rig.managementAnswers[delete] == nil)
    let late = rig.submit(.read, v, at: 0, length: 4096)
    #expect(rig.outcome(late) == .volumeGone)
    rig.settle()
    #expect(rig.managementAnswers[delete] == .done)
    #expect(rig.outcome(fresh) == .volumeGone)
    #expect(rig.outcome(waiting) == .volumeGone)
    #expect(rig.isAnswered(read))
    #expect(!rig.pool.hasDoomed)
    #expect(rig.engine.isIdle)
  }

  @Test func deletingAVolumeEndsItsParkedWrites() {
    var options = RigOptions()
    options.segments = [12]
    options.shift = 6
    let rig = EngineRig(options)
    let v = rig.createVolume(size: 1 << 30, policy: .wait(seconds: .max))
    var tokens: [UInt64] = []
    for i in 0..<60 {
      tokens.append(rig.submit(.write, v, at: UInt64(i) << 16, bytes: pattern(i, 4096)))
      rig.settle()
    }
    #expect(rig.engine.statistics.parkedRequests > 0)
    #expect(rig.manage { $0.deleteVolume(v, token: $1) } == .done)
    #expect(tokens.allSatisfy { rig.isAnswered($0) })
    #expect(rig.engine.statistics.parkedRequests == 0)
  }

  @Test func stoppingDrainsAndClosesThePool() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 30)
    let write = rig.submit(.write, v, at: 0, bytes: pattern(1, 1 << 20))
    let stop = rig.beginManagement { $0.stop(token: $1) }
    let late = rig.submit(.write, v, at: 0, bytes: pattern(1, 4096))
    #expect(rig.outcome(late) == .shuttingDown)
    rig.settle()
    #expect(rig.outcome(write) == nil)
    #expect(rig.managementAnswers[stop] == .done)
    #expect(rig.engine.isIdle)
    #expect(!rig.pool.superblock(for: DeviceIndex(index: 0)).isOpen)
    #expect(rig.disks.inFlightCount == 0)
  }

  @Test func aVolumeAndASnapshotAreRenamedInUse() throws {
    let rig = EngineRig()
    let v = rig.createVolume("v", size: 1 << 20)
    let other = rig.createVolume("other", size: 1 << 20)
    let orders = [v, other].map {
      SnapshotOrder(source: $0, name: "s", uuid: StorageUUID(high: 4, low: 4), createdAt: 1)
    }
    guard case .branched(let snapshots) = rig.manage({ $0.createSnapshots(orders, token: $1) })
    else { throw ExportError.invalidRequest }
    func rename(_ id: VolumeID, _ name: String) -> ManagementResult? {
      rig.manage { $0.renameVolume(id, to: name, token: $1) }
    }
    let write = rig.submit(.write, v, at: 0, bytes: pattern(1, 4096))
    #expect(rename(v, "other") == .refused(.volumeExists("other")))
    #expect(rename(v, "no/name") == .refused(.invalidName("no/name")))
    #expect(rename(v, "v") == .done, "its own name")
    #expect(rename(v, "w") == .done)
    #expect(rename(snapshots[0], "t") == .done)
    #expect(rename(VolumeID(99), "x") == .refused(.noSuchVolume("99")))
    #expect(rig.outcome(write) == nil)
    #expect(rig.engine.exportNames() == ["other", "other@s", "w", "w@t"])
    #expect(rig.engine.export(named: "v") == nil)
    #expect(rig.engine.export(named: "w@t")?.volume == snapshots[0])
    expectSame(rig.read(v, at: 0, 4096), pattern(1, 4096))
    #expect(rig.createVolume("v", size: 4096) != v)
  }

  @Test func whatMakesNoSenseIsRefusedAndChangesNothing() {
    let rig = EngineRig()
    _ = rig.createVolume("a", size: 1 << 20)
    let record = rig.pool.lastRecord
    let bad = VolumeRecord(
      id: VolumeID(0), uuid: .zero, name: "a", sizeBytes: 1 << 20, logicalBlockBytes: 512,
      createdAt: 0, fullPolicy: .error)
    #expect(
      rig.manage { $0.createVolume(bad, token: $1) } == .refused(.volumeExists("a")))
    var odd = bad
    odd.name = "b"
    odd.sizeBytes = 100
    #expect(rig.manage { $0.createVolume(odd, token: $1) } == .refused(.invalidSize(100)))
    #expect(rig.pool.lastRecord == record)
  }

  @Test func anExplicitCheckpointIsAnsweredWhenItIsDurable() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 30)
    #expect(rig.write(v, at: 0, pattern(1, 4096)) == nil)
    let sequence = rig.pool.checkpointSequence
    #expect(rig.manage { $0.checkpoint(token: $1) } == .done)
    #expect(rig.pool.checkpointSequence == sequence + 1)
  }
}
