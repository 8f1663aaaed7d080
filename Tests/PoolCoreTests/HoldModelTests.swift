import DiskFormat
import StorageUnits
import Testing

@testable import PoolCore

/// Holds placed and released at random, with checkpoints and starts after a crash in between.
@Suite struct HoldModelTests {
  @Test(arguments: 1...6 as ClosedRange<UInt64>)
  func holdsSurviveCheckpointsAndStarts(seed: UInt64) throws {
    var random = TestRandom(state: seed)
    var test = TestPool(
      segments: seed % 2 == 0 ? [60] : [40, 40], shift: 5,
      bounds: PoolBounds(
        nodeCacheBytes: 200 * 4096, dirtyNodeBytes: 100 * 4096, countDeltaBytes: 1 << 21))
    for name in ["a", "b", "c"] {
      let record = VolumeRecord(
        id: VolumeID(0), uuid: .zero, name: name, sizeBytes: 1 << 20, logicalBlockBytes: 512,
        createdAt: 0, fullPolicy: .error)
      try test.pool.prepareCreate(record)
      _ = test.pool.applyCreate(record)
    }
    test.finishBatch()
    var model: [HoldEntry] = []
    for step in 0..<400 {
      let slots = test.pool.volumeSlots
      let slot = slots[Int.random(in: 0..<slots.count, using: &random)]
      let id = test.pool.record(of: slot).id
      let tag = "t\(Int.random(in: 0..<40, using: &random))"
      let index = model.firstIndex { $0.volume == id && $0.tag == tag }
      if let index {
        #expect(throws: PoolError.self) {
          try test.pool.prepareHold(slot, tag: tag, reason: "")
        }
        try test.pool.prepareRelease(slot, tag: tag)
        test.pool.applyRelease(slot, tag: tag)
        model.remove(at: index)
      } else {
        #expect(throws: PoolError.self) { try test.pool.prepareRelease(slot, tag: tag) }
        try test.pool.prepareHold(slot, tag: tag, reason: "reason \(step)")
        test.pool.applyHold(slot, tag: tag, reason: "reason \(step)", createdAt: UInt64(step))
        model.append(
          HoldEntry(volume: id, tag: tag, reason: "reason \(step)", createdAt: UInt64(step)))
      }
      test.finishBatch()
      if step % 23 == 0 { test.checkpoint { if step % 46 == 0 { test.finishBatch() } } }
      if step % 23 == 5 { test.releaseFreed() }
      if step % 61 == 60 { test = TestPool(recovering: test) }
      #expect(test.pool.holds() == model)
      for slot in test.pool.volumeSlots {
        let record = test.pool.record(of: slot)
        #expect(Int(record.holds) == model.count { $0.volume == record.id })
      }
    }
    test.checkpoint()
    PoolRecount.expectRight(test, "seed \(seed)")
  }
}
