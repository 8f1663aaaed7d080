import DiskFormat
import StorageUnits
import Testing

@testable import PoolCore

/// Walks of one map and of two beside each other.
@Suite struct MapWalkTests {
  typealias History = SharedTreesTests.History

  /// What differs between two volumes, by blocks, as a walk in small steps finds it.
  private static func changes(
    _ test: TestPool, _ target: VolumeSlot, since base: VolumeSlot?, nodesAtMost: Int,
    rangesAtMost: Int = .max, from: UInt64 = 0, nodes: inout Int
  ) -> [ChangedRange] {
    let size = test.pool.sizeBytes(of: target)
    var visitor = ChangeVisitor(ChangedRanges(within: from..<size, atMost: rangesAtMost))
    var found: [ChangedRange] = []
    var position = MapPosition(VirtualExtent(containingByte: from))
    while true {
      let outcome = test.pool.walk(
        target, beside: base, from: position,
        to: VirtualExtent(index: ByteCount(size).extentsRoundingUp), nodesAtMost: nodesAtMost,
        nodes: &nodes, &visitor)
      switch outcome {
      case .done:
        return found + visitor.ranges.list
      case .missing(let load, let at):
        test.supply(load)
        position = at
      case .paused(let at):
        #expect(position.extent < at.extent || position.visitedLevel > at.visitedLevel)
        position = at
        if visitor.ranges.isFull {
          found += visitor.ranges.list
          visitor.ranges = ChangedRanges(within: from..<size, atMost: rangesAtMost)
        }
      }
    }
  }

  struct Block: Hashable {
    var index: UInt64
    var isHole: Bool
  }

  static func blocks(_ ranges: [ChangedRange]) -> Set<Block> {
    var blocks: Set<Block> = []
    var end: UInt64 = 0
    for range in ranges {
      #expect(range.length > 0 && end <= range.offset)
      end = range.end
      for index in range.offset / 4096..<(range.end + 4095) / 4096 {
        blocks.insert(Block(index: index, isHole: range.isHole))
      }
    }
    return blocks
  }

  /// The blocks of the target whose stamps differ; sizes may differ, too.
  private static func expected(
    _ history: History, _ target: VolumeID, since base: VolumeID?
  ) -> Set<Block> {
    let size = history.pool.volume(target).map { history.pool.sizeBytes(of: $0) } ?? 0
    return differences(
      history.expected[target] ?? [:], base.flatMap { history.expected[$0] } ?? [:], within: size)
  }

  static func differences(
    _ new: [UInt64: [UInt64?]], _ old: [UInt64: [UInt64?]], within size: UInt64 = .max
  ) -> Set<Block> {
    let none: [UInt64?] = Array(repeating: nil, count: 16)
    var blocks: Set<Block> = []
    for extent in Set(new.keys).union(old.keys) {
      let (a, b) = (new[extent] ?? none, old[extent] ?? none)
      for block in 0..<16
      where a[block] != b[block] && (extent * 16 + UInt64(block)) << 12 < size {
        blocks.insert(Block(index: extent * 16 + UInt64(block), isHole: a[block] == nil))
      }
    }
    return blocks
  }

  /// Any two volumes of a family, over random histories with clones and rollbacks: nothing that
  /// differs is missed, and what is reported without differing has been merged only.
  @Test(arguments: 41...46 as ClosedRange<UInt64>)
  func everyDifferenceIsFoundBetweenAnyTwo(seed: UInt64) throws {
    let history = History(seed: seed)
    var moved = 0
    var found = 0
    for turn in 0..<16 {
      for _ in 0..<60 { try history.step() }
      if turn % 3 == 1 { try history.checkpoint(busy: true) }
      for _ in 0..<3 {
        guard let target = history.anySlot(), let base = history.anySlot() else { continue }
        let ids = (history.pool.record(of: target).id, history.pool.record(of: base).id)
        var nodes = 0
        let ranges = Self.changes(
          history.test, target, since: base,
          nodesAtMost: Int.random(in: 1...20, using: &history.random),
          rangesAtMost: Int.random(in: 1...50, using: &history.random), nodes: &nodes)
        let blocks = Self.blocks(ranges)
        let expected = Self.expected(history, ids.0, since: ids.1)
        #expect(blocks.isSuperset(of: expected), "seed \(seed), turn \(turn), \(ids)")
        let extra = blocks.subtracting(expected)
        #expect(extra.allSatisfy { !$0.isHole }, "a hole is where it was")
        moved += extra.count
        found += expected.count
      }
      if let slot = history.anySlot() {
        var nodes = 0
        let ranges = Self.changes(
          history.test, slot, since: nil, nodesAtMost: 7, nodes: &nodes)
        let id = history.pool.record(of: slot).id
        #expect(
          Self.blocks(ranges) == Self.expected(history, id, since: nil),
          "seed \(seed), turn \(turn): all of volume \(id)")
      }
    }
    #expect(found > 40 && moved < found, "\(moved) of \(found) were merged")
  }

  @Test func whatWasNotMergedIsExact() throws {
    let history = History(seed: 47)
    let slot = try #require(history.anySlot())
    for extent in 0..<500 as Range<UInt64> {
      try #require(history.test.write(slot, VirtualExtent(index: extent * 7), .all, stamp: extent))
      history.update(VolumeID(1), extent * 7, .all, extent)
    }
    try history.snapshot([slot])
    let base = try #require(history.pool.volumeSlots.first { $0 != slot })
    let blocks = [(3, 0), (3, 15), (700, 4), (3493, 1), (5, 2)] as [(UInt64, Int)]
    for (stamp, (extent, block)) in blocks.enumerated() {
      let mask = BlockMask(first: block, count: 1)
      let at = VirtualExtent(index: extent)
      try #require(history.test.write(slot, at, mask, stamp: 9000 + UInt64(stamp)))
      history.update(VolumeID(1), extent, mask, 9000 + UInt64(stamp))
    }
    let at = VirtualExtent(index: 14)
    try #require(
      history.test.change(slot, at, tier: .reclaim) { _ in
        .cleared(mask: BlockMask(first: 8, count: 8), keepsProvision: false)
      })
    history.update(VolumeID(1), 14, BlockMask(first: 8, count: 8), nil)
    var nodes = 0
    let ranges = Self.changes(
      history.test, slot, since: base, nodesAtMost: 3, nodes: &nodes)
    #expect(Self.blocks(ranges) == Self.expected(history, VolumeID(1), since: VolumeID(2)))
    #expect(
      ranges.contains(
        ChangedRange(offset: 14 << 16 | 8 << 12, length: 8 << 12, isHole: true)))
  }

  /// The cost follows the change: few blocks of a 10 TiB volume change, and few nodes are visited.
  @Test func fewChangesInALargeVolumeVisitFewNodes() throws {
    let test = TestPool(
      segments: [2000], shift: 6,
      bounds: PoolBounds(
        nodeCacheBytes: 64 << 20, dirtyNodeBytes: 32 << 20, countDeltaBytes: 8 << 20))
    let record = VolumeRecord(
      id: VolumeID(0), uuid: StorageUUID(high: 1, low: 1), name: "large", sizeBytes: 10 << 40,
      logicalBlockBytes: 512, createdAt: 0, fullPolicy: .error)
    _ = test.pool.applyCreate(record)
    let slot = try #require(test.pool.volume(VolumeID(1)))
    let extents: UInt64 = (10 << 40) >> 16
    // A thousand leaves, over all of it.
    for i in 0..<1000 as Range<UInt64> {
      let extent = VirtualExtent(index: extents / 1000 * i)
      try #require(test.write(slot, extent, BlockMask(first: 0, count: 1)))
    }
    let request = Pool.SnapshotRequest(
      source: slot, name: "a", uuid: StorageUUID(high: 2, low: 1), createdAt: 0)
    try test.pool.prepareSnapshots([request])
    let base = try #require(test.pool.applySnapshots([request]).first.flatMap(test.pool.volume))
    test.checkpoint()
    var changed: [ChangedRange] = []
    for i in [3, 500, 501, 998] as [UInt64] {
      let extent = VirtualExtent(index: extents / 1000 * i)
      try #require(test.write(slot, extent, BlockMask(first: 2, count: 3)))
      changed.append(
        ChangedRange(offset: extent.firstByte + 8192, length: 12288, isHole: false))
    }
    test.checkpoint()
    var all = 0
    let everything = Self.changes(test, slot, since: nil, nodesAtMost: 64, nodes: &all)
    #expect(everything.count == 1000 + 4)
    #expect(all > 1000)
    var nodes = 0
    let ranges = Self.changes(test, slot, since: base, nodesAtMost: 64, nodes: &nodes)
    #expect(ranges == changed)
    // Four leaves and the way to them, in two trees.
    #expect(nodes <= 2 * 4 * 4, "\(nodes) of \(all) nodes")
  }

  /// A visitor sees each node of a tree once, before it is read, with its names.
  @Test func eachNodeIsAnnouncedOnceAndMayBeLeftOut() throws {
    struct Names: MapVisitor {
      var leaves: [Int] = []
      var inner = 0
      var entries = 0
      var entersShared = false

      mutating func enters(_ node: MapNode) -> Bool {
        if !node.isRevisited {
          if node.level == 0 { leaves.append(node.nameCount) } else { inner += 1 }
        }
        return entersShared || node.nameCount == 1
      }

      mutating func visit(
        _ extent: VirtualExtent, _ entry: MapEntry, base: MapEntry
      ) -> Bool {
        entries += 1
        return entries % 3 != 0
      }
    }
    let history = History(seed: 48)
    let slot = try #require(history.anySlot())
    for leaf in 0..<280 as Range<UInt64> {
      try #require(history.test.write(slot, VirtualExtent(index: leaf * 168), .all))
      try #require(history.test.write(slot, VirtualExtent(index: leaf * 168 + 167), .all))
    }
    try history.snapshot([slot])
    try #require(history.test.write(slot, VirtualExtent(index: 168 * 5), .all))
    try history.checkpoint(busy: false)
    for entersShared in [false, true] {
      var visitor = Names(entersShared: entersShared)
      var position = MapPosition.start
      var nodes = 0
      let end = VirtualExtent(index: history.extents)
      walk: while true {
        switch history.pool.walk(
          slot, from: position, to: end, nodesAtMost: 2, nodes: &nodes, &visitor)
        {
        case .done: break walk
        case .paused(let at): position = at
        case .missing(let load, let at):
          history.test.supply(load)
          position = at
        }
      }
      // The root and the first inner node are the volume's own, and so is the leaf that was written
      // to; the other inner node is shared.
      #expect(visitor.leaves.count == (entersShared ? 280 : 252))
      #expect(visitor.leaves.filter { $0 == 1 }.count == (entersShared ? 29 : 1))
      #expect(visitor.inner == 3)
      #expect(visitor.entries == (entersShared ? 560 : 2))
      #expect(nodes == (entersShared ? 283 : 3))
    }
  }
}
