import DiskFormat
import DiskSimulation
import PoolCore
import PoolInspection
import StorageUnits
import Testing

/// What `PoolCore` writes, recounted: after every checkpoint, and while the next one is being
/// written (a crash there goes back to the image before).
@Suite struct PoolCoreImageTests {
  /// In segments; the small ones run full.
  static let sizes = [[160], [120, 80], [40], [40, 30]]

  @Test(arguments: Array(1...8) as [UInt64])
  func everyCheckpointIsASoundPool(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let test = try PoolOnDevices(
      segments: Self.sizes[Int(seed % 4)], shift: seed % 3 == 0 ? 4 : 5,
      bounds: PoolBounds(
        nodeCacheBytes: 256 * 4096, dirtyNodeBytes: 100 * 4096, countDeltaBytes: 1 << 20))
    try test.checkpoint()
    for round in 0..<40 {
      for _ in 0..<random.below(60) { try act(test, &random) }
      let isWatched = round % 8 == 7
      try test.checkpoint {
        if isWatched {
          let report = test.inspect()
          #expect(
            report.findings.filter { $0.severity > .notice } == [],
            "seed \(seed), round \(round), inside the checkpoint")
        }
        if random.oneIn(2) && test.pool.checkpointPressure < 0.8 { try act(test, &random) }
      }
      let report = test.inspect()
      #expect(report.findings == [], "seed \(seed), round \(round)")
      guard report.isClean else { return }
      #expect(report.totals.volumes >= 0)
      if random.oneIn(2) { test.releaseFreed() }
    }
  }

  private func act(_ test: PoolOnDevices, _ random: inout SeededRandom) throws {
    let slots = test.pool.volumeSlots
    let choice = random.below(100)
    if slots.isEmpty || choice < 3 && slots.count < 30 {
      let sizes: [UInt64] = [512, 65536, 11 << 20, 3 << 30, 1 << 42]
      _ = try? test.create(
        "v\(random.next())", sizeBytes: sizes[random.below(5)], uuid: random.next())
      return
    }
    let slot = slots[random.below(slots.count)]
    let size = test.pool.sizeBytes(of: slot)
    let extents = Int(ByteCount(size).extentsRoundingUp)
    let near = random.below(min(extents, 500))
    let extent = VirtualExtent(index: UInt64(random.oneIn(8) ? random.below(extents) : near))
    let blocks = min(16, Int((size - extent.firstByte + 4095) / 4096))
    let first = random.below(blocks)
    let mask = BlockMask(first: first, count: 1 + random.below(blocks - first))
    switch choice {
    case ..<6:
      try test.release(slot)
      try test.delete(slot)
    case ..<50: try test.write(slot, extent, mask)
    case ..<60:
      for i in 0..<UInt64(random.below(12)) where extent.index + i < extents {
        let next = VirtualExtent(index: extent.index + i)
        let blocks = min(16, Int((size - next.firstByte + 4095) / 4096))
        try test.write(slot, next, BlockMask(first: 0, count: blocks))
      }
    case ..<80: try test.clear(slot, extent, mask)
    case ..<85: try test.provision(slot, extent, mask)
    case ..<88:
      let sizes: [UInt64] = [512, 65536, 1 << 20, 11 << 20, 30 << 20, 3 << 30, 1 << 42]
      try test.resize(slot, to: sizes[random.below(7)] + UInt64(random.below(3)) * 4096)
    case ..<90: try? test.hold(slot, tag: "t\(random.below(30))", reason: "reason")
    default: for _ in 0..<random.below(6) { _ = try test.drop() }
    }
  }
}
