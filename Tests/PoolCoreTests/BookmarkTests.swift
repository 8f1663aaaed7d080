import DiskFormat
import StorageUnits
import Testing

@testable import PoolCore

/// Bookmarks over random version trees: whatever differs from what the bookmark's snapshot held is
/// among what changed since, also when the snapshot is long gone.
@Suite struct BookmarkTests {
  typealias History = SharedTreesTests.History
  typealias Content = [UInt64: [UInt64?]]

  /// Random bookmarks beside a random history, and what their snapshots held.
  final class Marks {
    let history: History
    var held: [RecordNumber: Content] = [:]
    var made = 0

    init(_ history: History) { self.history = history }

    func step() throws {
      let pool = history.pool
      for _ in 0..<12 { try history.step() }
      switch Int.random(in: 0..<6, using: &history.random) {
      case ..<3:
        let snapshots = pool.volumeSlots.filter { pool.record(of: $0).origin != nil }
        guard let snapshot = snapshots.randomElement(using: &history.random) else { return }
        try make("m\(made)", snapshot)
      case 3 where pool.bookmarks.count > 4:
        guard let gone = pool.bookmarks.randomElement(using: &history.random) else { return }
        try pool.prepareBookmarkDeletion(gone.id)
        pool.applyBookmarkDeletion(of: gone.id)
      default:
        // Snapshots go, and bookmarks stay.
        let snapshots = pool.volumeSlots.filter { pool.record(of: $0).origin != nil }
        guard let gone = snapshots.randomElement(using: &history.random) else { return }
        try history.delete(gone)
        for _ in 0..<40 { if !history.test.drop() { break } }
      }
      history.test.finishBatch()
    }

    func make(_ name: String, _ snapshot: VolumeSlot) throws {
      let pool = history.pool
      try pool.prepareBookmark(name, of: snapshot)
      pool.applyBookmark(name, of: snapshot, createdAt: 5)
      made += 1
      history.test.finishBatch()
      let bookmark = try #require(pool.bookmarks.last)
      held[bookmark.id] = history.expected[pool.record(of: snapshot).id] ?? [:]
    }

    /// Every bookmark beside every volume whose line passes through it. Returns how many blocks
    /// differed and how many were reported.
    func compare(_ test: TestPool, _ comment: Comment) -> (Int, Int) {
      var differing = 0
      var reported = 0
      for bookmark in test.pool.bookmarks {
        for slot in test.pool.volumeSlots where test.pool.isOnLine(bookmark, of: slot) {
          let found = BookmarkTests.changes(test, slot, since: bookmark)
          let id = test.pool.record(of: slot).id
          let expected = MapWalkTests.differences(
            history.expected[id] ?? [:], held[bookmark.id] ?? [:],
            within: test.pool.sizeBytes(of: slot))
          let missed = expected.subtracting(found)
          #expect(missed.isEmpty, "\(missed.count) missed, volume \(id), \(comment)")
          differing += expected.count
          reported += found.count
        }
      }
      return (differing, reported)
    }
  }

  static func changes(
    _ test: TestPool, _ target: VolumeSlot, since bookmark: Bookmark
  ) -> Set<MapWalkTests.Block> {
    let size = test.pool.sizeBytes(of: target)
    var visitor = BookmarkVisitor(
      ChangedRanges(within: 0..<size, atMost: .max), since: bookmark)
    var position = MapPosition.start
    var nodes = 0
    while true {
      switch test.pool.walk(
        target, from: position, to: VirtualExtent(index: ByteCount(size).extentsRoundingUp),
        nodesAtMost: 5, nodes: &nodes, &visitor)
      {
      case .done: return MapWalkTests.blocks(visitor.ranges.list)
      case .paused(let at): position = at
      case .missing(let load, let at):
        test.supply(load)
        position = at
      }
    }
  }

  @Test(arguments: 51...58 as ClosedRange<UInt64>)
  func nothingThatDiffersIsEverMissed(seed: UInt64) throws {
    let history = History(seed: seed)
    let marks = Marks(history)
    var figures = (0, 0)
    for turn in 0..<24 {
      for _ in 0..<5 { do { try marks.step() } catch is PoolError {} }
      if turn % 3 == 2 { try history.checkpoint(busy: true) }
      let (differing, reported) = marks.compare(history.test, "seed \(seed), turn \(turn)")
      figures.0 += differing
      figures.1 += reported
    }
    history.compare("seed \(seed)")
    #expect(marks.made > 12)
    #expect(figures.0 > 500, "\(figures)")
    try history.checkpoint(busy: false)
    PoolRecount.expectRight(history.test, "seed \(seed)")
  }

  /// A start after a crash gives the same bookmarks, and the same changes since.
  @Test(arguments: 61...64 as ClosedRange<UInt64>)
  func bookmarksOutliveACrash(seed: UInt64) throws {
    let history = History(seed: seed)
    let marks = Marks(history)
    for turn in 0..<8 {
      for _ in 0..<4 { do { try marks.step() } catch is PoolError {} }
      if turn % 3 == 0 { try history.checkpoint(busy: false) }
      let recovered = TestPool(recovering: history.test)
      #expect(recovered.pool.bookmarks == history.pool.bookmarks)
      for slot in history.pool.volumeSlots {
        let other = try #require(recovered.pool.volume(history.pool.record(of: slot).id))
        #expect(recovered.pool.bookmarkEpoch(of: other) == history.pool.bookmarkEpoch(of: slot))
        #expect(recovered.pool.shareEpoch(of: other) == history.pool.shareEpoch(of: slot))
      }
      _ = marks.compare(recovered, "recovered, seed \(seed), turn \(turn)")
      PoolRecount.expectRight(recovered, "seed \(seed), turn \(turn)")
    }
    #expect(marks.made > 1)
  }

  /// A volume with sixteen extents of which the first half of the blocks is stored, and a snapshot
  /// and a bookmark of it.
  private static func plain() throws -> (History, Marks, VolumeSlot, VolumeSlot) {
    let history = History(seed: 71)
    let slot = try #require(history.anySlot())
    for extent in 0..<16 as Range<UInt64> {
      let mask = BlockMask(first: 0, count: 8)
      try #require(
        history.test.write(slot, VirtualExtent(index: extent * 400), mask, stamp: extent + 1))
      history.update(VolumeID(1), extent * 400, mask, extent + 1)
    }
    try history.snapshot([slot])
    let snapshot = try #require(history.pool.volumeSlots.first { $0 != slot })
    let marks = Marks(history)
    try marks.make("m", snapshot)
    return (history, marks, slot, snapshot)
  }

  private static func change(_ history: History, _ slot: VolumeSlot) throws {
    for (extent, first, count) in [(0, 2, 1), (400, 8, 3), (1200, 0, 16), (999, 4, 1)] {
      let mask = BlockMask(first: first, count: count)
      let at = VirtualExtent(index: UInt64(extent))
      try #require(history.test.write(slot, at, mask, stamp: 100 + UInt64(extent)))
      history.update(VolumeID(1), UInt64(extent), mask, 100 + UInt64(extent))
    }
    let at = VirtualExtent(index: 2000)
    try #require(
      history.test.change(slot, at, tier: .reclaim) { _ in
        .cleared(mask: .all, keepsProvision: false)
      })
    history.update(VolumeID(1), 2000, .all, nil)
  }

  private static func forget(_ snapshot: VolumeSlot, _ history: History) throws {
    try history.delete(snapshot)
    while history.test.drop() {}
    try history.checkpoint(busy: false)
    let slot = try #require(history.pool.volume(VolumeID(1)))
    try #require(history.pool.shareEpoch(of: slot) == .zero)
  }

  /// What was written or discarded while the snapshot was there, and nothing else; afterwards as
  /// well, when the snapshot is gone.
  @Test func whatChangedBesideTheSnapshotIsExact() throws {
    let (history, marks, slot, snapshot) = try Self.plain()
    try Self.change(history, slot)
    let bookmark = try #require(history.pool.bookmarks.first)
    let expected = MapWalkTests.differences(
      try #require(history.expected[VolumeID(1)]), try #require(marks.held[bookmark.id]))
    #expect(expected.count == 1 + 3 + 16 + 1 + 8)
    let holes = Set((2000 * 16 + 8..<2001 * 16).map { MapWalkTests.Block(index: $0, isHole: true) })
    // In an extent that was emptied all of it is a hole now, also what was one before.
    #expect(Self.changes(history.test, slot, since: bookmark) == expected.union(holes))
    try Self.forget(snapshot, history)
    #expect(Self.changes(history.test, slot, since: bookmark) == expected.union(holes))
    // Written in place, and young already.
    let number = history.pool.lastRecord
    try #require(
      history.test.write(slot, VirtualExtent(index: 0), BlockMask(first: 2, count: 1), stamp: 7))
    #expect(history.pool.lastRecord == number)
  }

  /// Once the snapshot is gone blocks are overwritten in place: the first change of a layer raises
  /// its birth by a record, later ones do not, and the layer is reported whole.
  @Test func theFirstChangeInPlaceRaisesTheBirth() throws {
    let (history, _, slot, snapshot) = try Self.plain()
    try Self.forget(snapshot, history)
    let bookmark = try #require(history.pool.bookmarks.first)
    #expect(history.pool.snapshot(of: bookmark) == nil)
    #expect(history.pool.bookmarkEpoch(of: slot) == bookmark.epoch)
    #expect(Self.changes(history.test, slot, since: bookmark).isEmpty)
    let before = history.pool.lastRecord
    let at = VirtualExtent(index: 800)
    let mask = BlockMask(first: 1, count: 1)
    let address = history.test.entry(slot, at).upper.address
    try #require(history.test.write(slot, at, mask, stamp: 50))
    #expect(history.pool.lastRecord == before.next)
    #expect(history.test.entry(slot, at).upper.address == address, "written in place")
    try #require(history.test.write(slot, at, mask, stamp: 51))
    #expect(history.pool.lastRecord == before.next)
    let whole = Set((800 * 16..<800 * 16 + 8).map { MapWalkTests.Block(index: $0, isHole: false) })
    #expect(Self.changes(history.test, slot, since: bookmark) == whole)
    // Part of an extent is discarded: what is clear may have been stored.
    try #require(
      history.test.change(slot, VirtualExtent(index: 1200), tier: .reclaim) { _ in
        .cleared(mask: BlockMask(first: 6, count: 2), keepsProvision: false)
      })
    let cleared = Set(
      (1200 * 16 + 6..<1201 * 16).map { MapWalkTests.Block(index: $0, isHole: true) })
    #expect(Self.changes(history.test, slot, since: bookmark) == whole.union(cleared))
    try history.pool.prepareBookmarkDeletion(bookmark.id)
    history.pool.applyBookmarkDeletion(of: bookmark.id)
    #expect(history.pool.bookmarkEpoch(of: slot) == .zero)
    history.test.finishBatch()
    try history.checkpoint(busy: false)
    PoolRecount.expectRight(history.test, "after the bookmark")
  }

  /// A rollback to before a bookmark leaves its line: nothing can be told then, unless its snapshot
  /// is still there. A clone of the bookmarked snapshot is on it.
  @Test func aRollbackLeavesTheLineAndACloneIsOnIt() throws {
    let history = History(seed: 72)
    let slot = try #require(history.anySlot())
    try history.snapshot([slot])
    let first = try #require(history.pool.volume(VolumeID(2)))
    try history.snapshot([slot])
    let second = try #require(history.pool.volume(VolumeID(3)))
    try history.pool.prepareBookmark("m", of: second)
    history.pool.applyBookmark("m", of: second, createdAt: 1)
    let bookmark = try #require(history.pool.bookmarks.first)
    try history.clone(second)
    let clone = try #require(history.pool.volume(VolumeID(4)))
    #expect(history.pool.isOnLine(bookmark, of: slot))
    #expect(history.pool.isOnLine(bookmark, of: clone))
    #expect(!history.pool.isOnLine(bookmark, of: first))
    #expect(history.pool.bookmarkEpoch(of: clone) == bookmark.epoch)
    try history.rollback(slot, to: first)
    #expect(!history.pool.isOnLine(bookmark, of: slot))
    #expect(history.pool.bookmarkEpoch(of: slot) == .zero)
    #expect(history.pool.snapshot(of: bookmark) != nil)
    try history.delete(second)
    try history.delete(clone)
    while history.test.drop() {}
    try history.checkpoint(busy: false)
    #expect(history.pool.snapshot(of: bookmark) == nil)
    // The branch point is known, but nothing lives below it: the volume shares with `first` only.
    #expect(history.pool.versions.entries.contains { $0.epoch == bookmark.epoch })
    try history.delete(first)
    while history.test.drop() {}
    try history.checkpoint(busy: false)
    #expect(history.pool.shareEpoch(of: slot) == .zero)
    try history.delete(slot)
    #expect(history.pool.bookmarks.isEmpty, "they go with their volume")
    history.test.finishBatch()
    try history.checkpoint(busy: false)
    PoolRecount.expectRight(history.test, "without volumes")
    #expect(history.pool.versions.entries.isEmpty)
  }

  @Test func bookmarksOfNothingAndTakenNamesAreRefused() throws {
    let (history, _, slot, snapshot) = try Self.plain()
    #expect(throws: PoolError.bookmarkExists("m")) {
      try history.pool.prepareBookmark("m", of: snapshot)
    }
    #expect(throws: PoolError.isNoSnapshot("first")) {
      try history.pool.prepareBookmark("n", of: slot)
    }
    #expect(throws: PoolError.invalidName("a#b")) {
      try history.pool.prepareBookmark("a#b", of: snapshot)
    }
    #expect(throws: PoolError.noSuchBookmark("1")) {
      try history.pool.prepareBookmarkDeletion(RecordNumber(1))
    }
  }
}
