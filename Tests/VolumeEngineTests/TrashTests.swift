import BlockExport
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import Testing

@testable import VolumeEngine

/// What is deleted goes into the trash, and comes back as it was or goes for good.
@Suite struct TrashTests {
  private static func rig(
    expirySeconds: UInt32 = 3600, _ change: (inout RigOptions) -> Void = { _ in }
  ) -> EngineRig {
    var options = RigOptions()
    change(&options)
    let rig = EngineRig(options)
    #expect(rig.manage { $0.setTrashExpiry(seconds: expirySeconds, token: $1) } == .done)
    rig.engine.secondsSince1970 = 1000
    return rig
  }

  private static func trash(_ rig: EngineRig, _ id: VolumeID, at: UInt64 = 1000)
    -> ManagementResult?
  {
    rig.manage { $0.deleteVolume(id, trashedAt: at, token: $1) }
  }

  private static func restore(
    _ rig: EngineRig, _ id: VolumeID, _ name: String? = nil
  ) -> ManagementResult? {
    rig.manage { $0.restoreFromTrash(id, as: name, token: $1) }
  }

  private static func snapshot(
    _ rig: EngineRig, _ volume: VolumeID, _ name: String
  ) throws -> VolumeID {
    let order = SnapshotOrder(source: volume, name: name, uuid: .zero, createdAt: 1)
    guard case .branched(let ids) = rig.manage({ $0.createSnapshots([order], token: $1) }) else {
      throw ExportError.invalidRequest
    }
    return try #require(ids.first)
  }

  private static func reclaim(_ rig: EngineRig) {
    for _ in 0..<6 {
      rig.clock.advance(milliseconds: 3000)
      rig.settle()
    }
  }

  @Test func aVolumeGoesWithItsSnapshotsAndComesBackAsItWas() throws {
    let rig = Self.rig()
    let v = rig.createVolume("v", size: 1 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 65536)) == nil)
    let s = try Self.snapshot(rig, v, "s")
    #expect(rig.write(v, at: 0, pattern(2, 4096)) == nil)
    let inFlight = rig.submit(.write, v, at: 65536, bytes: pattern(3, 4096))
    let read = rig.submit(.read, s, at: 0, length: 4096)
    rig.turn()
    #expect(Self.trash(rig, v) == .done)
    #expect(rig.outcome(inFlight) == .volumeGone)
    #expect(rig.isAnswered(read))
    for id in [v, s] { #expect(rig.run(.read, id, length: 512) == .volumeGone) }
    #expect(rig.engine.exportNames() == [])
    #expect(rig.pool.trash.map(\.name) == ["v"])
    #expect(rig.pool.trash.first?.snapshotCount == 1)
    #expect(Self.trash(rig, v) == .refused(.noSuchVolume("\(v.number)")))
    Self.reclaim(rig)
    // The name is free, and taken by somebody else.
    let other = rig.createVolume("v", size: 4096)
    #expect(Self.restore(rig, v) == .refused(.volumeExists("v")))
    #expect(Self.restore(rig, s) == .refused(.notInTrash("v@s")))
    #expect(Self.restore(rig, v, "w") == .done)
    #expect(rig.engine.exportNames() == ["v", "w", "w@s"])
    expectSame(rig.read(v, at: 0, 4096), pattern(2, 4096))
    expectSame(rig.read(s, at: 0, 65536), pattern(1, 65536))
    #expect(rig.write(v, at: 65536, pattern(4, 4096)) == nil)
    #expect(Self.restore(rig, v) == .refused(.notInTrash("w")))
    #expect(other != v)
  }

  @Test func aSnapshotIsAnItemOfItsOwn() throws {
    let rig = Self.rig()
    let v = rig.createVolume("v", size: 1 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 4096)) == nil)
    let s = try Self.snapshot(rig, v, "s")
    #expect(Self.trash(rig, s, at: 999) == .done)
    #expect(rig.engine.exportNames() == ["v"])
    let again = try Self.snapshot(rig, v, "s")
    #expect(Self.trash(rig, v) == .done)
    #expect(rig.pool.trash.map(\.name) == ["v@s", "v"])
    #expect(Self.restore(rig, s) == .refused(.volumeInTrash("v")))
    #expect(Self.restore(rig, v) == .done)
    #expect(rig.engine.exportNames() == ["v", "v@s"])
    #expect(Self.restore(rig, s) == .refused(.volumeExists("v@s")))
    #expect(Self.restore(rig, s, "t") == .done)
    #expect(rig.engine.exportNames() == ["v", "v@s", "v@t"])
    expectSame(rig.read(s, at: 0, 4096), pattern(1, 4096))
    #expect(rig.pool.volume(again) != nil)
  }

  @Test func withoutATrashAndPastItADeletionIsForGood() throws {
    let off = EngineRig()
    let a = off.createVolume(size: 1 << 20)
    #expect(Self.trash(off, a) == .done)
    #expect(!off.pool.hasTrash && off.pool.volume(a) == nil)
    let rig = Self.rig()
    let v = rig.createVolume("v", size: 1 << 20)
    let s = try Self.snapshot(rig, v, "s")
    #expect(rig.manage { $0.deleteVolume(v, token: $1) } == .refused(.hasSnapshots("v", ["v@s"])))
    #expect(rig.manage { $0.deleteVolume(s, token: $1) } == .done)
    #expect(rig.manage { $0.deleteVolume(v, token: $1) } == .done)
    #expect(!rig.pool.hasTrash)
  }

  @Test func whatIsHeldDoesNotGoThere() throws {
    let rig = Self.rig()
    let v = rig.createVolume("v", size: 1 << 20)
    let s = try Self.snapshot(rig, v, "s")
    #expect(
      rig.manage { $0.placeHold(on: s, tag: "x", reason: "", createdAt: 1, token: $1) } == .done)
    for id in [v, s] {
      guard case .refused(.held("v@s", _)) = Self.trash(rig, id) else {
        Issue.record("not refused")
        return
      }
    }
    #expect(rig.run(.read, v, length: 512) == nil)
  }

  @Test func whatHasExpiredGoesForGood() throws {
    let rig = Self.rig(expirySeconds: 100)
    let v = rig.createVolume("v", size: 1 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 1 << 20)) == nil)
    _ = try Self.snapshot(rig, v, "s")
    let w = rig.createVolume("w", size: 1 << 20)
    #expect(Self.trash(rig, v, at: 1000) == .done)
    #expect(Self.trash(rig, w, at: 1050) == .done)
    rig.engine.secondsSince1970 = 1099
    Self.reclaim(rig)
    #expect(rig.pool.trash.map(\.name) == ["v", "w"])
    rig.engine.secondsSince1970 = 1100
    Self.reclaim(rig)
    #expect(rig.pool.trash.map(\.name) == ["w"])
    #expect(rig.pool.volumeCount == 1, "its snapshot went with it")
    #expect(!rig.pool.hasDoomed)
    #expect(rig.manage { $0.emptyTrash([w, v], token: $1) } == .done)
    #expect(rig.pool.volumeCount == 0)
  }

  /// A pool that is full of trash: writes go on until all of it is gone, and the oldest goes first.
  @Test(arguments: [FullPoolPolicy.error, .wait(seconds: 5)])
  func theTrashIsEmptiedBeforeAHostLacksSpace(policy: FullPoolPolicy) throws {
    let rig = Self.rig {
      $0.segments = [40]
      $0.shift = 6
    }
    let bytes = pattern(1, 1 << 20)
    var gone: [VolumeID] = []
    for i in 0..<4 {
      let v = rig.createVolume("v\(i)", size: 1 << 30, policy: policy)
      #expect(rig.write(v, at: 0, bytes) == nil)
      _ = try Self.snapshot(rig, v, "s")
      #expect(rig.write(v, at: 0, Array(bytes.prefix(200 << 10))) == nil)
      #expect(Self.trash(rig, v, at: 1000 + UInt64(i)) == .done)
      gone.append(v)
    }
    #expect(rig.pool.trash.count == 4)
    let v = rig.createVolume("v", size: 1 << 30, policy: policy)
    var written = 0
    while written < 64 {
      let token = rig.submit(
        .write, v, at: UInt64(written) << 17, bytes: pattern(written, 128 << 10))
      for _ in 0..<8 {
        rig.settle()
        if rig.isAnswered(token) { break }
        rig.clock.advance(milliseconds: 1000)
      }
      if rig.outcome(token) == .noSpace { break }
      #expect(rig.outcome(token) == nil)
      written += 1
      let left = rig.pool.trash.map(\.volume)
      #expect(left == Array(gone.suffix(left.count)), "the oldest first")
    }
    #expect(!rig.pool.hasTrash, "\(written) writes")
    #expect(written >= 40, "\(written) writes of 128 KiB in 10 MiB of data")
    for i in 0..<written {
      expectSame(rig.read(v, at: UInt64(i) << 17, 128 << 10), pattern(i, 128 << 10))
    }
  }
}
