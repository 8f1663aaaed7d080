import DiskFormat
import StorageUnits
import Testing

@testable import PoolCore

/// Packed layers, which a later version may write: they are read, overwritten and discarded right,
/// and an extent that several of them share is one name in a leaf.
@Suite struct PackedLayersTests {
  final class History {
    let test: TestPool
    let slot: VolumeSlot
    var random: TestRandom
    var expected: [UInt64: [UInt64?]] = [:]
    var nextStamp: UInt64 = 1

    init(seed: UInt64) throws {
      random = TestRandom(state: seed)
      test = TestPool(
        segments: [120], shift: 5,
        bounds: PoolBounds(
          nodeCacheBytes: 1 << 20, dirtyNodeBytes: 1 << 19, countDeltaBytes: 1 << 20))
      let record = VolumeRecord(
        id: VolumeID(0), uuid: StorageUUID(high: 1, low: 1), name: "a", sizeBytes: 1 << 30,
        logicalBlockBytes: 512, createdAt: 0, fullPolicy: .error)
      _ = test.pool.applyCreate(record)
      test.finishBatch()
      slot = try #require(test.pool.volume(named: "a"))
    }

    /// Records as a later version would leave them in the journal: entries of two leaves share the
    /// blocks of a few extents.
    func replayPacked() throws {
      for extent in 0..<20 as Range<UInt64> {
        _ = test.write(slot, VirtualExtent(index: 1000 + extent * 168), .all)
      }
      test.checkpoint()
      test.releaseFreed()
      for extent in 0..<20 as Range<UInt64> {
        _ = test.change(
          slot, VirtualExtent(index: 1000 + extent * 168), tier: .reclaim,
          { _ in .cleared(mask: .all, keepsProvision: false) })
      }
      // Extents of data segments that nothing names, in the image and since: the segments stay data
      // segments as long as no checkpoint begins.
      var free: [UInt64] = []
      for (index, entry) in test.pool.segments.entries.enumerated()
      where entry.segmentClass == .data {
        let first = test.pool.segments.start(of: index).block
        free += [first, first + 16]
      }
      for leaf in 0..<2 as Range<UInt64> {
        for extent in 0..<40 as Range<UInt64> {
          let at = leaf * 168 + extent
          // Two entries of each leaf in each extent, of four blocks each.
          try replay(at, free[Int(extent) / 2] + (leaf * 2 + extent % 2) * 4)
        }
      }
      test.checkpoint()
      test.releaseFreed()
    }

    private func replay(_ extent: UInt64, _ block: UInt64) throws {
      var masks = [BlockMask.none, BlockMask.none]
      var left = 4
      while left > 0 {
        let bit = BlockMask(first: Int.random(in: 0..<16, using: &random), count: 1)
        if (masks[0] | masks[1]).intersects(bit) { continue }
        masks[Int.random(in: 0..<2, using: &random)].bits |= bit.bits
        left -= 1
      }
      if masks[0].isEmpty { masks.swapAt(0, 1) }
      let pool = test.pool
      func layer(_ mask: BlockMask, _ block: UInt64) -> Layer {
        if mask.isEmpty { return .none }
        return Layer(
          address: PoolAddress(block: block), mask: mask, flags: 2, birth: ShareEpoch(1))
      }
      let entry = MapEntry(
        upper: layer(masks[0], block),
        lower: layer(masks[1], block + UInt64(masks[0].count)))
      let record = Record.map(
        volume: pool.record(of: slot).id, extent: VirtualExtent(index: extent), entry: entry)
      while case .missing(let load) = try pool.prepare(replayed: record) { test.supply(load) }
      pool.apply(replayed: record, number: pool.lastRecord.next)
      var stamps: [UInt64?] = Array(repeating: nil, count: 16)
      for index in 0..<16 where entry.mask.contains(index) {
        nextStamp += 1
        stamps[index] = nextStamp
        test.setStamp(nextStamp, of: index, in: entry)
      }
      expected[extent] = stamps
    }

    func step() {
      let extent =
        UInt64.random(in: 0..<2, using: &random) * 168
        + UInt64.random(in: 0..<45, using: &random)
      let at = VirtualExtent(index: extent)
      let first = Int.random(in: 0..<16, using: &random)
      let mask = BlockMask(
        first: first, count: Int.random(in: 1...min(3, 16 - first), using: &random))
      var stamp: UInt64?
      if Bool.random(using: &random) {
        nextStamp += 1
        stamp = nextStamp
        guard test.write(slot, at, mask, stamp: nextStamp) else { return }
      } else {
        guard test.entry(slot, at).canLose(mask),
          test.change(
            slot, at, tier: .reclaim, { _ in .cleared(mask: mask, keepsProvision: false) })
        else { return }
      }
      for block in 0..<16 where mask.contains(block) {
        expected[extent, default: Array(repeating: nil, count: 16)][block] = stamp
      }
    }

    func compare(_ comment: Comment) {
      PoolRecount.expectRight(test, comment)
      var wrong = 0
      for (extent, stamps) in expected {
        let entry = test.entry(slot, VirtualExtent(index: extent))
        for block in 0..<16 where test.stamp(of: block, in: entry) != stamps[block] { wrong += 1 }
      }
      #expect(wrong == 0, comment)
    }
  }

  @Test(arguments: 1...6 as ClosedRange<UInt64>)
  func packedLayersKeepTheirBlocksAndTheirCounts(seed: UInt64) throws {
    let history = try History(seed: seed)
    try history.replayPacked()
    history.compare("seed \(seed), replayed")
    for turn in 0..<20 {
      for _ in 0..<15 { history.step() }
      history.test.checkpoint()
      history.test.releaseFreed()
      history.compare("seed \(seed), turn \(turn)")
    }
    try history.test.pool.prepareDelete(history.slot)
    _ = history.test.pool.applyDelete(history.slot)
    while history.test.drop() {}
    for _ in 0..<3 {
      history.test.checkpoint()
      history.test.releaseFreed()
    }
    #expect(history.test.pool.segments.dataSegmentCount == 0)
  }
}
