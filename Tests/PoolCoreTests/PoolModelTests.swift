import DiskFormat
import PoolCore
import StorageUnits
import Testing

/// The pool against a plain dictionary, over long random histories with checkpoints in the middle
/// of which the history goes on, small caches, and drops of deleted volumes.
@Suite struct PoolModelTests {
  /// What each volume's map must say, and who owns each extent.
  final class Model {
    var maps: [VolumeID: [UInt64: BlockMask]] = [:]
  }

  @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
  func mapsAgreeWithADictionary(seed: UInt64) throws {
    var random = TestRandom(state: seed)
    let devices = seed % 2 == 0 ? [400] : [300, 200]
    let test = TestPool(
      segments: devices, shift: 5,
      bounds: PoolBounds(
        nodeCacheBytes: 256 * 4096, dirtyNodeBytes: 100 * 4096, countDeltaBytes: 1 << 20))
    let model = Model()
    var free = test.pool.usage.freeBytes
    for step in 0..<2000 {
      try act(test, model, &random)
      if step % 400 == 399 {
        settle(test)
        try compare(test, model, "seed \(seed), step \(step)")
        free = test.pool.usage.freeBytes
      }
    }
    #expect(free > 0)
    // Everything comes back.
    for slot in test.pool.volumeSlots {
      try test.pool.prepareDelete(slot)
      _ = test.pool.applyDelete(slot)
      test.finishBatch()
    }
    settle(test)
    #expect(test.pool.usage.metadataBytes <= 64 << 10, "tables are left over")
  }

  /// Ends drops and quarantines, so that nothing is on its way.
  private func settle(_ test: TestPool) {
    test.pool.giveBackRuns()
    while test.drop() {}
    for _ in 0..<3 {
      test.checkpoint()
      test.releaseFreed()
    }
  }

  private func act(_ test: TestPool, _ model: Model, _ random: inout TestRandom) throws {
    let pool = test.pool
    let choice = Int.random(in: 0..<100, using: &random)
    if pool.volumeSlots.isEmpty || choice < 2 && pool.volumeCount < 30 {
      let size = UInt64.random(in: 1...1 << 28, using: &random) * 4096
      let record = VolumeRecord(
        id: VolumeID(0), uuid: StorageUUID(high: random.next(), low: 1),
        name: "v\(random.next())", sizeBytes: size, logicalBlockBytes: 512, createdAt: 0,
        fullPolicy: .error)
      guard (try? pool.prepareCreate(record)) != nil else { return }
      _ = pool.applyCreate(record)
      test.finishBatch()
      guard let slot = pool.volume(named: record.name) else { throw Problem.lost(record.name) }
      model.maps[pool.record(of: slot).id] = [:]
      return
    }
    let slots = pool.volumeSlots
    let slot = slots[Int.random(in: 0..<slots.count, using: &random)]
    let id = pool.record(of: slot).id
    let extents = ByteCount(pool.sizeBytes(of: slot)).extentsRoundingUp
    var extent = UInt64.random(in: 0..<min(extents, 3000), using: &random)
    if Bool.random(using: &random) { extent = UInt64.random(in: 0..<extents, using: &random) }
    let at = VirtualExtent(index: extent)
    let first = Int.random(in: 0..<16, using: &random)
    let mask = BlockMask(first: first, count: Int.random(in: 1...16 - first, using: &random))
    switch choice {
    case ..<3:
      try pool.prepareDelete(slot)
      _ = pool.applyDelete(slot)
      test.finishBatch()
      model.maps[id] = nil
    case ..<60:
      if test.write(slot, at, mask) {
        let old = model.maps[id]?[extent] ?? .none
        model.maps[id]?[extent] = old | mask
      }
    case ..<75:
      for i in 0..<UInt64.random(in: 1...20, using: &random) where extent + i < extents {
        if test.write(slot, VirtualExtent(index: extent + i), .all) {
          model.maps[id]?[extent + i] = .all
        }
      }
    case ..<88:
      if let old = model.maps[id]?[extent],
        test.change(
          slot, at, tier: .reclaim,
          { _ in
            .cleared(mask: mask, keepsProvision: false)
          })
      {
        model.maps[id]?[extent] = (old - mask).isEmpty ? nil : old - mask
      }
    case ..<93:
      for _ in 0..<5 { _ = test.drop() }
    default:
      var inner = random
      var problem: (any Error)?
      test.checkpoint(between: {
        for _ in 0..<3 where !test.pool.isCheckpointRunning || Bool.random(using: &inner) {
          do { try self.actDuringCheckpoint(test, model, &inner) } catch { problem = error }
        }
      })
      if let problem { throw problem }
      random = inner
      if Bool.random(using: &random) { test.releaseFreed() }
    }
  }

  enum Problem: Error { case lost(String) }

  /// A write or discard that never starts a checkpoint of its own.
  private func actDuringCheckpoint(
    _ test: TestPool, _ model: Model, _ random: inout TestRandom
  ) throws {
    let slots = test.pool.volumeSlots
    guard !slots.isEmpty, test.pool.checkpointPressure < 0.8 else { return }
    let slot = slots[Int.random(in: 0..<slots.count, using: &random)]
    let id = test.pool.record(of: slot).id
    let extents = ByteCount(test.pool.sizeBytes(of: slot)).extentsRoundingUp
    let extent = UInt64.random(in: 0..<min(extents, 3000), using: &random)
    if Int.random(in: 0..<20, using: &random) == 0 {
      try test.pool.prepareDelete(slot)
      _ = test.pool.applyDelete(slot)
      test.finishBatch()
      model.maps[id] = nil
    } else if Bool.random(using: &random) {
      if test.write(slot, VirtualExtent(index: extent), .all) { model.maps[id]?[extent] = .all }
    } else if model.maps[id]?[extent] != nil,
      test.change(
        slot, VirtualExtent(index: extent), tier: .reclaim,
        { _ in .cleared(mask: .all, keepsProvision: false) })
    {
      model.maps[id]?[extent] = nil
    } else if test.pool.checkpointPressure < 0.8 {
      _ = test.drop()
    }
  }

  private func compare(_ test: TestPool, _ model: Model, _ comment: Comment) throws {
    var owners: [PoolExtent: VirtualExtent] = [:]
    for slot in test.pool.volumeSlots {
      let record = test.pool.record(of: slot)
      let expected = model.maps[record.id] ?? [:]
      var seen = 0
      var from = VirtualExtent(index: 0)
      let end = VirtualExtent(index: ByteCount(record.sizeBytes).extentsRoundingUp)
      var blocks = 0
      walk: while true {
        switch test.pool.nextMapped(slot, from: from, before: end) {
        case .nothing: break walk
        case .missing(let load): test.supply(load)
        case .extent(let extent, let entry):
          #expect(entry.mask == expected[extent.index], comment)
          #expect(owners.updateValue(extent, forKey: entry.upper.address.extent) == nil, comment)
          seen += 1
          blocks += entry.mask.count
          from = VirtualExtent(index: extent.index + 1)
        }
      }
      #expect(seen == expected.count, comment)
      #expect(record.allocatedExtents == UInt64(seen), comment)
      #expect(record.mappedBlocks == UInt64(blocks), comment)
    }
    // All space that nothing names is free again.
    let data = UInt64(owners.count) * 65536
    let usage = test.pool.usage
    #expect(test.capacity - usage.freeBytes <= data + usage.metadataBytes * 2 + (2 << 20), comment)
  }
}
