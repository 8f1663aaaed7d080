import DiskFormat
@testable import PoolCore
import StorageUnits
import Testing

/// Tiny pools (128 KiB segments) that are filled until nothing more is granted: every checkpoint
/// finds its blocks, whatever helps still works, and everything comes back.
@Suite struct FullPoolTests {
  /// Segments of each device, and the bound on dirty nodes.
  struct Shape: Sendable, CustomTestStringConvertible {
    var devices: [Int]
    var dirtyNodes: Int
    /// Quarantines end one checkpoint later.
    var isSlow: Bool
    var testDescription: String { "\(devices), \(dirtyNodes) nodes, slow \(isSlow)" }
  }

  static let shapes = [[200], [100, 100], [190, 10], [4, 236], [20], [8, 8], [64, 3, 1]].flatMap {
    devices in
    [(40, false), (1 << 15, false), (200, true)].map {
      Shape(devices: devices, dirtyNodes: $0.0, isSlow: $0.1)
    }
  }

  final class Filling {
    let test: TestPool
    let shape: Shape
    var random: TestRandom
    var written: Set<UInt64> = []
    /// What hosts go on doing between the steps of a checkpoint.
    var meanwhile: () -> Void = {}

    init(_ shape: Shape, seed: UInt64) {
      self.shape = shape
      random = TestRandom(state: seed)
      test = TestPool(
        segments: shape.devices, shift: 5,
        bounds: PoolBounds(
          nodeCacheBytes: 4096 * 4096, dirtyNodeBytes: shape.dirtyNodes * 4096,
          countDeltaBytes: 1 << 24))
    }

    func createVolume(_ name: String, bytes: UInt64) -> VolumeSlot? {
      let record = VolumeRecord(
        id: VolumeID(0), uuid: StorageUUID(high: 1, low: random.next()), name: name,
        sizeBytes: bytes, logicalBlockBytes: 4096, createdAt: 0, fullPolicy: .error)
      guard (try? test.pool.prepareCreate(record)) != nil else { return nil }
      _ = test.pool.applyCreate(record)
      test.finishBatch()
      return test.pool.volume(named: name)
    }

    /// One checkpoint; what it freed becomes usable after it or after the next one.
    func checkpoint() {
      if shape.isSlow {
        let old = test.freed
        test.freed = []
        test.checkpoint(between: meanwhile)
        for space in old { test.pool.release(space) }
      } else {
        test.checkpoint(between: meanwhile)
        test.releaseFreed()
      }
    }

    /// Tries until a checkpoint would not help any more.
    func untilFinal(_ body: () -> Bool) -> Bool {
      for _ in 0..<6 {
        if body() { return true }
        test.pool.giveBackRuns()
        guard test.pool.reclaimableByCheckpoint else { return body() }
        checkpoint()
      }
      Issue.record("a checkpoint is said to help for ever")
      return false
    }

    func fill(
      _ slot: VolumeSlot, next: @escaping (inout TestRandom) -> UInt64, mask: BlockMask
    ) {
      meanwhile = { [unowned self] in
        for _ in 0..<3 {
          let extent = next(&random)
          if test.write(slot, VirtualExtent(index: extent), mask) { written.insert(extent) }
        }
      }
      defer { meanwhile = {} }
      while true {
        let extent = next(&random)
        let wrote = untilFinal { test.write(slot, VirtualExtent(index: extent), mask) }
        if !wrote { return }
        written.insert(extent)
      }
    }

    func discard(_ slot: VolumeSlot, _ extent: UInt64) -> Bool {
      untilFinal {
        test.change(slot, VirtualExtent(index: extent), tier: .reclaim) { _ in
          .cleared(mask: .all, keepsProvision: false)
        }
      }
    }

    func delete(_ slot: VolumeSlot) throws {
      try test.pool.prepareDelete(slot)
      _ = test.pool.applyDelete(slot)
      test.finishBatch()
    }

    func settle() {
      test.pool.giveBackRuns()
      while test.drop() {}
      for _ in 0..<3 { checkpoint() }
      test.releaseFreed()
    }
  }

  @Test(arguments: shapes)
  func aPoolFullOfRandomWritesStillDiscards(shape: Shape) throws {
    let filling = Filling(shape, seed: 1)
    let extents: UInt64 = 1 << 30
    guard let slot = filling.createVolume("a", bytes: extents << 16) else { return }
    filling.fill(
      slot, next: { UInt64.random(in: 0..<extents, using: &$0) },
      mask: BlockMask(first: 3, count: 1))
    let capacity = filling.test.capacity
    let stored = UInt64(filling.written.count) << 16
    // Each extent costs up to five nodes in two places, and there are reserves.
    if capacity > 20 << 20 { #expect(stored * 10 > capacity * 5) }
    // Everything that is mapped can be given up while the pool is full.
    for extent in filling.written.sorted() { #expect(filling.discard(slot, extent)) }
    filling.settle()
    #expect(filling.test.pool.record(of: slot).allocatedExtents == 0)
    filling.written = []
    filling.fill(
      slot, next: { UInt64.random(in: 0..<extents, using: &$0) },
      mask: BlockMask(first: 3, count: 1))
    try filling.delete(slot)
    filling.settle()
    try expectEmpty(filling)
  }

  @Test(arguments: shapes)
  func aPoolFullOfAStreamGivesEverythingBackWhenItIsDeleted(shape: Shape) throws {
    let filling = Filling(shape, seed: 2)
    guard let slot = filling.createVolume("a", bytes: 1 << 40) else { return }
    var position: UInt64 = 0
    filling.fill(
      slot,
      next: { _ in
        position += 1
        return position
      }, mask: .all)
    let capacity = filling.test.capacity
    if capacity > 20 << 20 {
      #expect(UInt64(filling.written.count) << 16 > capacity / 10 * 7)
    }
    // Overwrites in place need nothing.
    for extent in filling.written.prefix(50) {
      #expect(filling.test.write(slot, VirtualExtent(index: extent), .all))
    }
    try filling.delete(slot)
    filling.settle()
    try expectEmpty(filling)
    // As much fits again.
    let first = filling.written.count
    guard let again = filling.createVolume("b", bytes: 1 << 40) else {
      Issue.record("an empty pool has no room for a volume")
      return
    }
    filling.written = []
    position = 0
    filling.fill(
      again,
      next: { _ in
        position += 1
        return position
      }, mask: .all)
    #expect(filling.written.count * 10 >= first * 9)
  }

  @Test func manyVolumesCanBeDeletedWhileThePoolIsFull() throws {
    let filling = Filling(Shape(devices: [150, 50], dirtyNodes: 400, isSlow: true), seed: 3)
    var slots: [VolumeSlot] = []
    while slots.count < 100, let slot = filling.createVolume("v\(slots.count)", bytes: 1 << 40) {
      slots.append(slot)
    }
    var turn = 0
    while true {
      turn += 1
      let slot = slots[turn % slots.count]
      let extent = VirtualExtent(index: UInt64.random(in: 0..<1 << 24, using: &filling.random))
      if !filling.untilFinal({ filling.test.write(slot, extent, .all) }) { break }
    }
    #expect(turn > 150)
    for slot in slots { try filling.delete(slot) }
    filling.checkpoint()
    filling.settle()
    try expectEmpty(filling)
  }

  private func expectEmpty(_ filling: Filling) throws {
    let usage = filling.test.pool.usage
    #expect(usage.metadataBytes <= 16 << 10, "tables are left over")
    #expect(filling.test.pool.segments.dataSegmentCount == 0)
    #expect(filling.test.pool.heldExtents == 0)
    #expect(!filling.test.pool.reclaimableByCheckpoint)
  }
}
