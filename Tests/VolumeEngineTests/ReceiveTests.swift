import BlockExport
import DiskFormat
import PoolCore
import StorageUnits
import Testing

@testable import VolumeEngine

/// Volumes into which a stream is received, as the engine knows them.
@Suite struct ReceiveTests {
  private static let identity = StorageUUID(high: 5, low: 5)

  private static func order(_ volume: VolumeID, _ name: String, _ low: UInt64) -> SnapshotOrder {
    SnapshotOrder(
      source: volume, name: name, uuid: StorageUUID(high: 4, low: low), createdAt: 1)
  }

  private static func snapshot(
    _ rig: EngineRig, _ volume: VolumeID, _ name: String, _ low: UInt64
  ) throws -> VolumeID {
    let result = rig.manage { $0.createSnapshots([order(volume, name, low)], token: $1) }
    guard case .branched(let ids) = result else { throw ExportError.invalidRequest }
    return try #require(ids.first)
  }

  private static func newVolume(_ rig: EngineRig) throws -> VolumeID {
    var record = VolumeRecord(
      id: VolumeID(0), uuid: StorageUUID(high: 3, low: 3), name: "new", sizeBytes: 1 << 20,
      logicalBlockBytes: 512, createdAt: 1, fullPolicy: .error)
    record.isReceiving = true
    guard case .created(let id) = rig.manage({ $0.createVolume(record, token: $1) }) else {
      throw ExportError.invalidRequest
    }
    return id
  }

  @Test func aNewVolumeIsServedWhenItsSnapshotIsMadeAndNotBefore() throws {
    let rig = EngineRig()
    let v = try Self.newVolume(rig)
    #expect(rig.engine.export(named: "new") == nil)
    #expect(rig.engine.exportNames().isEmpty)
    #expect(rig.write(v, at: 0, pattern(1, 65536)) == nil)
    #expect(
      rig.manage { $0.createSnapshots([Self.order(v, "x", 1)], token: $1) }
        == .refused(.isBeingReceived("new")))
    let result = rig.manage {
      $0.endReceive(Self.order(v, "s", 2), lineage: Self.identity, token: $1)
    }
    guard case .branched(let ids) = result else {
      Issue.record("\(String(describing: result))")
      return
    }
    #expect(rig.engine.exportNames() == ["new", "new@s"])
    #expect(rig.record(ids[0]).lineage == Self.identity)
    #expect(rig.record(ids[0]).identity == Self.identity)
    #expect(rig.record(v).lineage == .zero && !rig.record(v).isReceiving)
    #expect(rig.write(v, at: 0, pattern(2, 4096)) == nil)
    expectSame(rig.read(ids[0], at: 0, 65536), pattern(1, 65536))
    // Its clone is no received snapshot.
    let clone = rig.manage {
      $0.cloneSnapshot(
        ids[0], as: "c", uuid: StorageUUID(high: 6, low: 6), createdAt: 1, token: $1)
    }
    guard case .branched(let clones) = clone else {
      Issue.record("no clone")
      return
    }
    #expect(rig.record(clones[0]).lineage == .zero)
    // And a snapshot made here has an identity of its own.
    let own = try Self.snapshot(rig, v, "own", 7)
    #expect(rig.record(own).identity == StorageUUID(high: 4, low: 7))
  }

  @Test func oneThatWasNewIsDeletedWithAllItHas() throws {
    let rig = EngineRig()
    let v = try Self.newVolume(rig)
    #expect(rig.write(v, at: 0, pattern(1, 65536)) == nil)
    #expect(
      rig.manage { $0.undoReceive(v, token: $1) }
        == .refused(.isNoSnapshotOf("\(StorageUUID.zero)", "new")))
    #expect(rig.manage { $0.deleteVolume(v, token: $1) } == .done)
    #expect(rig.engine.exportNames().isEmpty)
  }

  @Test func aVolumeThatChangedSinceItsBaseIsNotReceivedInto() throws {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 65536)) == nil)
    let base = try Self.snapshot(rig, v, "base", 1)
    #expect(rig.manage { $0.checkpoint(token: $1) } == .done)
    // Reading, and discarding where nothing is, change nothing.
    _ = rig.read(v, at: 0, 65536)
    #expect(rig.run(.discard, v, at: 128 << 10, length: 65536) == nil)
    #expect(rig.manage { $0.beginReceive(v, upon: base, token: $1) } == .done)
    #expect(
      rig.manage { $0.beginReceive(v, upon: base, token: $1) } == .refused(.isBeingReceived("v")))
    #expect(rig.manage { $0.undoReceive(v, token: $1) } == .done)
    #expect(rig.write(v, at: 4096, pattern(1, 512)) == nil)
    #expect(
      rig.manage { $0.beginReceive(v, upon: base, token: $1) }
        == .refused(.hasChanged("v", since: "v@base")))
    #expect(rig.manage { $0.checkpoint(token: $1) } == .done)
    #expect(
      rig.manage { $0.beginReceive(v, upon: base, token: $1) }
        == .refused(.hasChanged("v", since: "v@base")))
    #expect(rig.manage { $0.rollBack(v, to: base, token: $1) } == .done)
    #expect(rig.manage { $0.beginReceive(v, upon: base, token: $1) } == .done)
  }

  @Test func anEndTooEarlyBringsTheBaseBack() throws {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 65536)) == nil)
    let base = try Self.snapshot(rig, v, "base", 1)
    #expect(rig.manage { $0.beginReceive(v, upon: base, token: $1) } == .done)
    #expect(rig.record(v).lineage == rig.record(base).uuid)
    #expect(rig.engine.exportNames() == ["v@base"])
    #expect(rig.write(v, at: 0, pattern(2, 8192)) == nil)
    #expect(rig.run(.writeZeroes, v, at: 32768, length: 4096) == nil)
    #expect(
      rig.manage { $0.deleteVolume(base, token: $1) } == .refused(.isBeingReceived("v@base")))
    #expect(
      rig.manage { $0.rollBack(v, to: base, token: $1) } == .refused(.isBeingReceived("v")))
    #expect(rig.manage { $0.undoReceive(v, token: $1) } == .done)
    expectSame(rig.read(v, at: 0, 65536), pattern(1, 65536))
    #expect(rig.engine.exportNames() == ["v", "v@base"])
    #expect(rig.write(v, at: 0, pattern(3, 4096)) == nil)
    expectSame(rig.read(base, at: 0, 65536), pattern(1, 65536))
    #expect(rig.manage { $0.deleteVolume(base, token: $1) } == .done)
  }

  @Test func whatIsReceivedUponABaseIsANewSnapshotBesideIt() throws {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 65536)) == nil)
    let base = try Self.snapshot(rig, v, "base", 1)
    #expect(rig.manage { $0.beginReceive(v, upon: base, token: $1) } == .done)
    #expect(rig.write(v, at: 0, pattern(2, 4096)) == nil)
    #expect(
      rig.manage {
        $0.endReceive(Self.order(v, "base", 2), lineage: Self.identity, token: $1)
      } == .refused(.volumeExists("v@base")))
    guard
      case .branched(let ids) = rig.manage({
        $0.endReceive(Self.order(v, "next", 2), lineage: Self.identity, token: $1)
      })
    else {
      Issue.record("not made")
      return
    }
    expectSame(rig.read(ids[0], at: 0, 4096), pattern(2, 4096))
    expectSame(rig.read(base, at: 0, 65536), pattern(1, 65536))
    #expect(rig.manage { $0.beginReceive(v, upon: ids[0], token: $1) } == .done)
  }
}
