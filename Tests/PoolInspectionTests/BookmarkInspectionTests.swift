import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import Testing

@testable import PoolInspection

/// Bookmarks as the inspection finds them: pools of `PoolCore` are sound, and each field that is
/// wrong is found.
@Suite struct BookmarkInspectionTests {
  private static let bounds = PoolBounds(
    nodeCacheBytes: 256 * 4096, dirtyNodeBytes: 100 * 4096, countDeltaBytes: 1 << 20)

  private static func snapshot(_ test: PoolOnDevices, _ volume: VolumeSlot) throws -> VolumeSlot? {
    let request = Pool.SnapshotRequest(
      source: volume, name: "s\(test.pool.lastRecord.number)",
      uuid: StorageUUID(high: 5, low: test.pool.lastRecord.number), createdAt: 3)
    try test.pool.prepareSnapshots([request])
    let made = test.pool.applySnapshots([request])
    test.finishBatch()
    return made.first.flatMap(test.pool.volume)
  }

  private static func bookmark(_ test: PoolOnDevices, _ snapshot: VolumeSlot) throws {
    let name = "b\(test.pool.lastRecord.number)"
    try test.pool.prepareBookmark(name, of: snapshot)
    test.pool.applyBookmark(name, of: snapshot, createdAt: 4)
    test.finishBatch()
  }

  @Test(arguments: 1...4 as ClosedRange<UInt64>)
  func everyCheckpointWithBookmarksIsASoundPool(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let test = try PoolOnDevices(segments: [200, 100], shift: 5, bounds: Self.bounds)
    try test.checkpoint()
    let volume = try #require(try test.create("v", sizeBytes: 1 << 30, uuid: 5))
    var found = 0
    for round in 0..<40 {
      for _ in 0..<20 {
        let extent = VirtualExtent(index: UInt64(random.below(400)))
        let first = random.below(16)
        let mask = BlockMask(first: first, count: 1 + random.below(16 - first))
        try random.oneIn(3)
          ? test.clear(volume, extent, mask) : test.write(volume, extent, mask)
      }
      let snapshots = test.pool.volumeSlots.filter { $0 != volume }
      switch random.below(5) {
      case 0, 1:
        if let made = try Self.snapshot(test, volume), random.oneIn(2) {
          try Self.bookmark(test, made)
        }
      case 2: if !snapshots.isEmpty { try test.delete(snapshots[random.below(snapshots.count)]) }
      case 3:
        if let gone = test.pool.bookmarks.first, random.oneIn(3) {
          try test.pool.prepareBookmarkDeletion(gone.id)
          test.pool.applyBookmarkDeletion(of: gone.id)
          test.finishBatch()
        }
      default: for _ in 0..<30 { if try !test.drop() { break } }
      }
      try test.checkpoint()
      test.releaseFreed()
      while test.pool.hasUnshares { test.pool.applyNextUnshare() }
      test.finishBatch()
      found += test.pool.bookmarks.count
      #expect(test.inspect().findings == [], "seed \(seed), round \(round)")
    }
    #expect(found > 20)
  }

  /// What the inspection finds once `change` has been done to what it read.
  private static func problems(
    _ change: (PoolInspector) -> Void
  ) throws -> [InspectionProblem] {
    let test = try PoolOnDevices(segments: [200, 100], shift: 5, bounds: bounds)
    try test.checkpoint()
    let volume = try #require(try test.create("v", sizeBytes: 1 << 30, uuid: 5))
    let first = try #require(try snapshot(test, volume))
    try bookmark(test, first)
    _ = try snapshot(test, volume)
    try test.checkpoint()
    let superblock = try #require(test.inspect().superblock)
    let inspector = PoolInspector(devices: test.devices)
    inspector.bookmarks = test.pool.bookmarks
    inspector.volumes = test.pool.volumeSlots.map { test.pool.record(of: $0) }
    inspector.branchPoints = [ShareEpoch(1): .zero, ShareEpoch(2): ShareEpoch(1)]
    change(inspector)
    inspector.checkBookmarks(superblock)
    return inspector.report.findings.map(\.problem)
  }

  @Test func eachFieldThatIsWrongIsFound() throws {
    #expect(try Self.problems { _ in } == [])
    let changes: [(PoolInspector) -> Void] = [
      { $0.bookmarks[0].id = RecordNumber(1 << 40) }, { $0.bookmarks[0].volume = VolumeID(9) },
      { $0.bookmarks[0].snapshot = VolumeID(3) }, { $0.bookmarks[0].snapshot = VolumeID(99) },
      { $0.bookmarks[0].snapshotIdentity = .zero }, { $0.bookmarks[0].epoch = ShareEpoch(2) },
      { $0.bookmarks[0].epoch = ShareEpoch(77) }, { $0.bookmarks[0].sizeBytes = 512 },
      { $0.bookmarks.append($0.bookmarks[0]) }, { $0.bookmarks = [] },
      { $0.branchPoints = [ShareEpoch(2): .zero] },
    ]
    for (number, change) in changes.enumerated() {
      #expect(try !Self.problems(change).isEmpty, "change \(number)")
    }
    for epoch in [0, 2, 5] as [UInt32] {
      let found = try Self.problems { inspector in
        for index in inspector.volumes.indices where inspector.volumes[index].origin == nil {
          inspector.volumes[index].bookmarkEpoch = ShareEpoch(epoch)
        }
      }
      #expect(found == [.bookmarkEpoch(stored: ShareEpoch(epoch), found: ShareEpoch(1))])
    }
  }
}
