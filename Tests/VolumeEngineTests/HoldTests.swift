import BlockExport
import DiskFormat
import PoolCore
import StorageUnits
import Testing

@testable import VolumeEngine

/// Holds refuse the deletion of volumes and snapshots.
@Suite struct HoldTests {
  private static func hold(
    _ rig: EngineRig, _ id: VolumeID, _ tag: String, _ reason: String = ""
  ) -> ManagementResult? {
    rig.manage { $0.placeHold(on: id, tag: tag, reason: reason, createdAt: 7, token: $1) }
  }

  private static func release(
    _ rig: EngineRig, _ id: VolumeID, _ tag: String
  ) -> ManagementResult? {
    rig.manage { $0.releaseHold(on: id, tag: tag, token: $1) }
  }

  @Test func whatIsHeldIsNotDeletedAndHostsGoOn() {
    let rig = EngineRig()
    let v = rig.createVolume("v", size: 1 << 20)
    #expect(Self.hold(rig, v, "backup", "not copied yet") == .done)
    #expect(Self.hold(rig, v, "audit") == .done)
    #expect(Self.hold(rig, v, "audit") == .refused(.holdExists("v", "audit")))
    let write = rig.submit(.write, v, at: 0, bytes: pattern(1, 4096))
    rig.turn()
    let held = [
      HoldEntry(volume: v, tag: "backup", reason: "not copied yet", createdAt: 7),
      HoldEntry(volume: v, tag: "audit", reason: "", createdAt: 7),
    ]
    #expect(rig.manage { $0.deleteVolume(v, token: $1) } == .refused(.held("v", held)))
    #expect(rig.outcome(write) == nil, "a refused deletion ends nothing")
    #expect(rig.record(v).holds == 2)
    #expect(Self.release(rig, v, "backup") == .done)
    #expect(Self.release(rig, v, "backup") == .refused(.noSuchHold("v", "backup")))
    #expect(rig.manage { $0.deleteVolume(v, token: $1) } == .refused(.held("v", [held[1]])))
    #expect(Self.release(rig, v, "audit") == .done)
    #expect(rig.manage { $0.deleteVolume(v, token: $1) } == .done)
  }

  @Test func aSnapshotIsHeldByItselfAndACopyOfItIsNot() throws {
    let rig = EngineRig()
    let v = rig.createVolume("v", size: 1 << 20)
    #expect(Self.hold(rig, v, "x") == .done)
    let order = SnapshotOrder(source: v, name: "s", uuid: .zero, createdAt: 1)
    guard case .branched(let ids) = rig.manage({ $0.createSnapshots([order], token: $1) }) else {
      throw ExportError.invalidRequest
    }
    #expect(rig.record(ids[0]).holds == 0)
    #expect(Self.hold(rig, ids[0], "x", "why") == .done)
    guard
      case .refused(.held("v@s", let entries)) = rig.manage({ $0.deleteVolume(ids[0], token: $1) })
    else { throw ExportError.invalidRequest }
    #expect(entries.map(\.tag) == ["x"])
    #expect(rig.manage { $0.renameVolume(ids[0], to: "t", token: $1) } == .done)
    #expect(rig.record(ids[0]).holds == 1)
    #expect(rig.manage { $0.rollBack(v, to: ids[0], token: $1) } == .done)
    #expect(rig.record(v).holds == 1)
  }

  @Test func whatMakesNoSenseIsRefused() {
    let rig = EngineRig()
    let v = rig.createVolume("v", size: 1 << 20)
    for tag in ["", "a b", "a/b", String(repeating: "x", count: 64)] {
      #expect(Self.hold(rig, v, tag) == .refused(.invalidTag(tag)))
    }
    let reason = String(repeating: "x", count: 160)
    #expect(Self.hold(rig, v, "x", reason) == .refused(.badReason))
    #expect(Self.hold(rig, VolumeID(99), "x") == .refused(.noSuchVolume("99")))
    #expect(
      Self.hold(rig, v, String(repeating: "x", count: 63), String(reason.dropLast())) == .done)
  }
}
