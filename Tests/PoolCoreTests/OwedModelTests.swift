import DiskFormat
import StorageUnits
import Testing

@testable import PoolCore

/// Discards that are owed and settled at random, with checkpoints and starts after a crash in
/// between.
@Suite struct OwedModelTests {
  private static func volume(_ name: String, _ sizeBytes: UInt64) -> VolumeRecord {
    VolumeRecord(
      id: VolumeID(0), uuid: .zero, name: name, sizeBytes: sizeBytes, logicalBlockBytes: 512,
      createdAt: 0, fullPolicy: .error)
  }

  private static func pool(_ seed: UInt64) throws -> TestPool {
    let test = TestPool(
      segments: seed % 2 == 0 ? [60] : [40, 40], shift: 5,
      bounds: PoolBounds(
        nodeCacheBytes: 200 * 4096, dirtyNodeBytes: 100 * 4096, countDeltaBytes: 1 << 21))
    for name in ["a", "b", "c"] {
      try test.pool.prepareCreate(volume(name, 4 << 20))
      _ = test.pool.applyCreate(volume(name, 4 << 20))
    }
    test.finishBatch()
    return test
  }

  @Test(arguments: 1...6 as ClosedRange<UInt64>)
  func owedDiscardsSurviveCheckpointsAndStarts(seed: UInt64) throws {
    var random = TestRandom(state: seed)
    var test = try Self.pool(seed)
    var model = OwedSet()
    var largest = 0
    for step in 0..<600 {
      let slots = test.pool.volumeSlots
      let slot = slots[Int.random(in: 0..<slots.count, using: &random)]
      let id = test.pool.record(of: slot).id
      let first = UInt64.random(in: 0..<1024, using: &random)
      let range = OwedRange(
        volume: id, firstBlock: first,
        blockCount: UInt64.random(in: 1...min(40, 1024 - first), using: &random))
      if Int.random(in: 0..<5, using: &random) < 3 {
        let isFull = model.count(adding: range) > test.pool.owedCapacity / 2
        #expect(test.pool.canOwe(range) != isFull)
        if isFull { continue }
        test.pool.applyOwe(range)
        model.add(range)
      } else {
        #expect(test.pool.canSettle(range))
        test.pool.applySettle(range)
        model.remove(range)
      }
      largest = max(largest, model.count)
      test.finishBatch()
      if step % 23 == 0 { test.checkpoint { if step % 46 == 0 { test.finishBatch() } } }
      if step % 23 == 5 { test.releaseFreed() }
      if step % 61 == 60 { test = TestPool(recovering: test) }
      #expect(test.pool.owedRanges == model.ranges)
      #expect(test.pool.owedBytes == model.ranges.reduce(0) { $0 + $1.blockCount } * 4096)
    }
    #expect(largest > 10)
    test.checkpoint()
    PoolRecount.expectRight(test, "seed \(seed)")
  }

  @Test func whatIsOwedGoesWithTheVolumeItsMapAndItsEnd() throws {
    let test = try Self.pool(1)
    let pool = test.pool
    let a = try #require(pool.volume(named: "a"))
    let b = try #require(pool.volume(named: "b"))
    func owe(_ slot: VolumeSlot, _ blocks: Range<UInt64>) {
      pool.applyOwe(
        OwedRange(
          volume: pool.record(of: slot).id, firstBlock: blocks.lowerBound,
          blockCount: UInt64(blocks.count)))
    }
    #expect(test.write(a, VirtualExtent(index: 0), .all))
    let request = Pool.SnapshotRequest(source: a, name: "s", uuid: .zero, createdAt: 0)
    try pool.prepareSnapshots([request])
    let snapshot = try #require(pool.applySnapshots([request]).first.flatMap(pool.volume))
    owe(a, 0..<8)
    owe(b, 100..<400)
    // Of what owes there is no snapshot, and nothing is received upon its base.
    #expect(throws: PoolError.owesDiscards("a")) {
      try pool.prepareSnapshots([
        Pool.SnapshotRequest(source: a, name: "t", uuid: .zero, createdAt: 0)
      ])
    }
    #expect(throws: PoolError.hasChanged("a", since: "a@s")) {
      try pool.prepareReceive(into: a, upon: snapshot)
    }
    try pool.prepareRollback(of: a, to: snapshot)
    pool.applyRollback(of: a, to: snapshot)
    #expect(!pool.owes(a))
    #expect(pool.owedMask(a, VirtualExtent(index: 0)) == .none)
    // The last block of the new size is one in part.
    _ = try pool.prepareResize(b, to: 300 * 4096 - 512)
    pool.applyResize(b, to: 300 * 4096 - 512, cut: Pool.CutOff())
    #expect(pool.owedBytes(of: b) == 200 * 4096)
    _ = try pool.prepareResize(b, to: 4 << 20)
    pool.applyResize(b, to: 4 << 20, cut: Pool.CutOff())
    #expect(pool.owedBytes(of: b) == 200 * 4096)
    try pool.prepareDelete(b)
    _ = pool.applyDelete(b)
    #expect(!pool.hasOwed)
    test.finishBatch()
    let recovered = TestPool(recovering: test)
    #expect(!recovered.pool.hasOwed)
  }

  /// A clone of a snapshot owes nothing, whatever its origin does.
  @Test func aCloneOwesNothing() throws {
    let test = try Self.pool(1)
    let pool = test.pool
    let a = try #require(pool.volume(named: "a"))
    let request = Pool.SnapshotRequest(source: a, name: "s", uuid: .zero, createdAt: 0)
    try pool.prepareSnapshots([request])
    let snapshot = try #require(pool.applySnapshots([request]).first.flatMap(pool.volume))
    pool.applyOwe(OwedRange(volume: pool.record(of: a).id, firstBlock: 0, blockCount: 9))
    try pool.prepareClone(of: snapshot, as: "clone")
    let clone = pool.applyClone(of: snapshot, as: "clone", uuid: .zero, createdAt: 0)
    #expect(pool.volume(clone).map(pool.owes) == false)
    #expect(pool.owes(a))
    test.finishBatch()
  }

  /// The list grows to its bound when nothing else is left for nodes: all of it is reserved.
  @Test func theWholeListFitsWhenThePoolIsFull() throws {
    let test = try Self.pool(2)
    let pool = test.pool
    let a = try #require(pool.volume(named: "a"))
    let big = Self.volume("big", 64 << 30)
    try pool.prepareCreate(big)
    _ = pool.applyCreate(big)
    let slot = try #require(pool.volume(named: "big"))
    // One extent in each leaf, until hosts and discards get no more nodes.
    var extent: UInt64 = 0
    while test.write(slot, VirtualExtent(index: extent), BlockMask(first: 0, count: 1)) {
      extent += 168
    }
    var snapshots = 0
    while snapshots < 200 {
      let request = Pool.SnapshotRequest(
        source: slot, name: "s\(snapshots)", uuid: .zero, createdAt: 0)
      do throws(PoolError) { try pool.prepareSnapshots([request]) } catch { break }
      _ = pool.applySnapshots([request])
      snapshots += 1
      for leaf in stride(from: 0, to: extent, by: 168) {
        let isDone = test.change(slot, VirtualExtent(index: leaf), tier: .reclaim) { _ in
          .cleared(mask: BlockMask(first: 0, count: 1), keepsProvision: false)
        }
        guard isDone else { break }
      }
    }
    let id = pool.record(of: a).id
    var owed = 0
    for block in stride(from: 0, to: 1024 as UInt64, by: 2) {
      let range = OwedRange(volume: id, firstBlock: block, blockCount: 1)
      guard pool.canOwe(range) else { break }
      pool.applyOwe(range)
      owed += 1
      test.finishBatch()
    }
    #expect(owed == pool.owedCapacity / 2)
    for _ in 0..<3 {
      test.checkpoint()
      test.releaseFreed()
      pool.applyOwe(OwedRange(volume: id, firstBlock: 0, blockCount: 1))
    }
    test.finishBatch()
    #expect(TestPool(recovering: test).pool.owedRanges == pool.owedRanges)
  }
}
