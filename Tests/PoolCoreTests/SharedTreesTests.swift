import DiskFormat
import StorageUnits
import Testing

@testable import PoolCore

/// Volumes that share subtrees, over long random histories: no write shows in another volume, and
/// the counts are what a walk of all trees finds.
///
/// Snapshots, clones of clones, rollback and deletes in any order.
@Suite struct SharedTreesTests {
  final class History {
    let test: TestPool
    var random: TestRandom
    var expected: [VolumeID: [UInt64: [UInt64?]]] = [:]
    var nextStamp: UInt64 = 1
    var branches = 0
    var resizes = 0
    var thrownAway = 0
    var refusals = 0
    let extents: UInt64 = 168 * 300

    init(seed: UInt64) {
      random = TestRandom(state: seed)
      test = TestPool(
        segments: seed % 2 == 0 ? [600] : [300, 300], shift: 5,
        bounds: PoolBounds(
          nodeCacheBytes: (seed % 3 == 0 ? 70 : 300) * 4096,
          dirtyNodeBytes: (seed % 3 == 0 ? 60 : 150) * 4096, countDeltaBytes: 1 << 21))
      let record = VolumeRecord(
        id: VolumeID(0), uuid: StorageUUID(high: 1, low: 1), name: "first",
        sizeBytes: extents << 16, logicalBlockBytes: 512, createdAt: 0, fullPolicy: .error)
      _ = test.pool.applyCreate(record)
      test.finishBatch()
      expected[VolumeID(1)] = [:]
    }

    var pool: Pool { test.pool }
    func anySlot() -> VolumeSlot? { pool.volumeSlots.randomElement(using: &random) }

    private func isSnapshot(_ slot: VolumeSlot) -> Bool {
      pool.record(of: slot).origin != nil
    }

    /// Snapshots of one or two volumes, a clone of a snapshot, or a rollback to one.
    func branch() throws {
      let volumes = pool.volumeSlots.filter { !isSnapshot($0) }.shuffled(using: &random)
      let snapshots = pool.volumeSlots.filter(isSnapshot)
      guard let volume = volumes.first else { return }
      switch Int.random(in: 0..<6, using: &random) {
      case ..<3 where pool.volumeCount < 12: try snapshot(Array(volumes.prefix(2)))
      case 3 where pool.volumeCount < 12: try clone(snapshots.randomElement(using: &random))
      case 4:
        let id = pool.record(of: volume).id
        let own = snapshots.filter { pool.record(of: $0).origin == id }
        try rollback(volume, to: own.randomElement(using: &random))
      default: return
      }
      branches += 1
      test.finishBatch()
    }

    func snapshot(_ volumes: [VolumeSlot]) throws {
      let requests = volumes.map {
        Pool.SnapshotRequest(
          source: $0, name: "s\(pool.volumes.nextID)", uuid: StorageUUID(high: 2, low: 1),
          createdAt: 0)
      }
      try pool.prepareSnapshots(requests)
      let ids = pool.applySnapshots(requests)
      for (id, volume) in zip(ids, volumes) { expected[id] = expected[pool.record(of: volume).id] }
    }

    func clone(_ snapshot: VolumeSlot?) throws {
      guard let snapshot else { return }
      let name = "c\(pool.volumes.nextID)"
      try pool.prepareClone(of: snapshot, as: name)
      let id = pool.applyClone(
        of: snapshot, as: name, uuid: StorageUUID(high: 3, low: 1), createdAt: 0)
      expected[id] = expected[pool.record(of: snapshot).id]
    }

    func rollback(_ volume: VolumeSlot, to snapshot: VolumeSlot?) throws {
      guard let snapshot else { return }
      try pool.prepareRollback(of: volume, to: snapshot)
      pool.applyRollback(of: volume, to: snapshot)
      expected[pool.record(of: volume).id] = expected[pool.record(of: snapshot).id]
    }

    /// Throws something away, takes something out again, or deletes something for good, in part.
    func useTrash() throws {
      let items = pool.trash.compactMap { pool.volume($0.volume) }
      let item = items.randomElement(using: &random)
      switch Int.random(in: 0..<4, using: &random) {
      case 0:
        guard pool.volumeSlots.count > 3, let slot = anySlot() else { return }
        let others = pool.volumeSlots.filter { !isSnapshot($0) && $0 != slot }
        guard !others.isEmpty else { return }
        try pool.prepareTrash(slot)
        pool.applyTrash(slot, now: nextStamp)
      case 1:
        guard let item else { return }
        let name = "r\(nextStamp)"
        nextStamp += 1
        try pool.prepareRestore(item, as: name)
        pool.applyRestore(item, as: name)
      default:
        guard let item else { return }
        let last = pool.unit(of: item).last
        let id = last.map { pool.record(of: $0).id }
        _ = pool.applyEmptyingStep(item)
        // The first step of an item of several parts only marks it.
        if let id, pool.volume(id) == nil { expected[id] = nil }
      }
      thrownAway += 1
      test.finishBatch()
    }

    func emptyTrash() {
      while let item = pool.nextTrash {
        let last = pool.unit(of: item).last.map { pool.record(of: $0).id }
        _ = pool.applyEmptyingStep(item)
        if let last, pool.volume(last) == nil { expected[last] = nil }
        test.finishBatch()
      }
    }

    /// A larger or smaller size; now and then in the middle of an extent, of a leaf, or one.
    func resize(_ slot: VolumeSlot) throws {
      let id = pool.record(of: slot).id
      let old = pool.sizeBytes(of: slot)
      let units: [UInt64] = [1 << 16, 4096, 168 << 16, 252 * 168 << 16]
      let unit = units.randomElement(using: &random) ?? 4096
      let most = (extents << 16) / unit + 1
      let size = UInt64.random(in: 1...most, using: &random) * unit
      guard size != old else { return }
      while let load = try pool.prepareResize(slot, to: size) { test.supply(load) }
      let end = (size + 65535) >> 16
      var cut = Pool.CutOff()
      var from = VirtualExtent(index: end)
      walk: while true {
        let before = VirtualExtent(index: (old + 65535) >> 16)
        switch pool.nextMapped(slot, from: from, before: before) {
        case .nothing: break walk
        case .missing(let load): test.supply(load)
        case .extent(let extent, let entry):
          cut.add(entry)
          from = VirtualExtent(index: extent.index + 1)
        }
      }
      while let load = try pool.prepareResize(slot, to: size) { test.supply(load) }
      pool.applyResize(slot, to: size, cut: cut)
      test.finishBatch()
      resizes += 1
      expected[id] = expected[id]?.filter { $0.key < end }
      let stays = Pool.lastBlocks(ofSize: size)
      for block in 0..<16 where !stays.contains(block) { expected[id]?[end - 1]?[block] = nil }
    }

    /// A snapshot, or a volume without any.
    func mayDelete(_ slot: VolumeSlot) -> Bool {
      pool.unit(of: slot).count == 1
    }

    func delete(_ slot: VolumeSlot) throws {
      expected[pool.record(of: slot).id] = nil
      try pool.prepareDelete(slot)
      _ = pool.applyDelete(slot)
      test.finishBatch()
    }

    func update(_ id: VolumeID, _ extent: UInt64, _ mask: BlockMask, _ stamp: UInt64?) {
      var blocks = expected[id]?[extent] ?? Array(repeating: nil, count: 16)
      for block in 0..<16 where mask.contains(block) { blocks[block] = stamp }
      expected[id]?[extent] = blocks
    }

    func step() throws {
      guard let slot = pool.volumeSlots.filter({ !isSnapshot($0) }).randomElement(using: &random)
      else { return }
      let id = pool.record(of: slot).id
      let wide = Bool.random(using: &random)
      let size = pool.sizeBytes(of: slot)
      let end = (size + 65535) >> 16
      let extent = UInt64.random(in: 0..<min(end, wide ? extents : 400), using: &random)
      let at = VirtualExtent(index: extent)
      let first = Int.random(in: 0..<16, using: &random)
      var mask = BlockMask(first: first, count: Int.random(in: 1...16 - first, using: &random))
      if extent == end - 1 { mask = mask & Pool.lastBlocks(ofSize: size) }
      if mask.isEmpty { return }
      switch Int.random(in: 0..<100, using: &random) {
      case ..<60:
        nextStamp += 1
        if test.write(slot, at, mask, stamp: nextStamp) { update(id, extent, mask, nextStamp) }
      case ..<78:
        let keeps = Int.random(in: 0..<4, using: &random) == 0
        if test.change(
          slot, at, tier: .reclaim, { _ in .cleared(mask: mask, keepsProvision: keeps) })
        {
          update(id, extent, mask, nil)
        }
      case ..<84:
        if test.provision(slot, at, mask) { update(id, extent, mask, nil) }
      case ..<88:
        // A full pool refuses, and changes nothing.
        do { try branch() } catch is PoolError { refusals += 1 }
      case ..<90:
        do { try useTrash() } catch is PoolError { refusals += 1 }
      case ..<91:
        do { try resize(slot) } catch is PoolError { refusals += 1 }
      case ..<94:
        let gone = pool.volumeSlots.filter(mayDelete).randomElement(using: &random)
        let others =
          pool.volumeSlots.count { !isSnapshot($0) } - (gone.map(isSnapshot) == true ? 0 : 1)
        if let gone, others > 0 { try delete(gone) }
      default:
        for _ in 0..<4 where pool.checkpointPressure < 0.7 || !pool.isCheckpointRunning {
          if !test.drop() { break }
        }
      }
    }

    func checkpoint(busy: Bool) throws {
      var problem: (any Error)?
      test.checkpoint {
        guard busy else { return }
        for _ in 0..<Int.random(in: 0..<6, using: &self.random)
        where self.pool.checkpointPressure < 0.7 {
          do { try self.step() } catch { problem = error }
        }
      }
      if let problem { throw problem }
      if Bool.random(using: &random) { test.releaseFreed() }
      lowerShareEpochs(of: test)
    }

    private func lowerShareEpochs(of test: TestPool) {
      while test.pool.hasUnshares { test.pool.applyNextUnshare() }
      test.finishBatch()
    }

    func compare(_ comment: Comment) { compare(test, comment) }

    /// The pool that a start after a crash just now makes is the one that is there.
    func expectRecovery(_ comment: Comment) {
      let recovered = TestPool(recovering: test)
      PoolRecount.expectRight(recovered, "recovered: \(comment)")
      compare(recovered, "recovered: \(comment)")
      let twice = TestPool(recovering: recovered)
      compare(twice, "recovered twice: \(comment)")
      #expect(twice.pool.usage.freeBytes == recovered.pool.usage.freeBytes, comment)
      // Everything that nothing names can be taken, and dropped trees end.
      while recovered.drop() {}
      recovered.checkpoint()
      recovered.releaseFreed()
      PoolRecount.expectRight(recovered, "recovered and dropped: \(comment)")
      compare(recovered, "recovered and dropped: \(comment)")
    }

    private func compare(_ test: TestPool, _ comment: Comment) {
      let pool = test.pool
      #expect(pool.volumeCount == expected.count, comment)
      for id in expected.keys {
        guard let slot = pool.volume(id) else {
          Issue.record("a volume is gone: \(comment)")
          continue
        }
        let record = pool.record(of: slot)
        var wrong = 0
        for (extent, blocks) in expected[record.id] ?? [:] {
          let entry = test.entry(slot, VirtualExtent(index: extent))
          for block in 0..<16 where test.stamp(of: block, in: entry) != blocks[block] {
            wrong += 1
          }
        }
        #expect(wrong == 0, comment)
        let end = (record.sizeBytes + 65535) >> 16
        var mapped = 0
        var names = 0
        var from = VirtualExtent(index: 0)
        walk: while true {
          switch pool.nextMapped(slot, from: from, before: VirtualExtent(index: end)) {
          case .nothing: break walk
          case .missing(let load): test.supply(load)
          case .extent(let extent, let entry):
            mapped += entry.mask.count
            names += entry.extentCount
            from = VirtualExtent(index: extent.index + 1)
          }
        }
        #expect(record.mappedBlocks == UInt64(mapped), comment)
        #expect(record.allocatedExtents == UInt64(names), comment)
      }
    }
  }

  @Test(arguments: 1...6 as ClosedRange<UInt64>)
  func sharedTreesStayApartAndTheirCountsAreRight(seed: UInt64) throws {
    let history = History(seed: seed)
    for turn in 0..<25 {
      for _ in 0..<120 { try history.step() }
      try history.checkpoint(busy: true)
      if turn % 5 == 4 {
        try history.checkpoint(busy: false)
        PoolRecount.expectRight(history.test, "seed \(seed), turn \(turn)")
        history.compare("seed \(seed), turn \(turn)")
      }
    }
    #expect(history.branches > 30, "\(history.refusals) were refused")
    #expect(history.thrownAway > 0)
    #expect(history.resizes > 10, "\(history.refusals) were refused")
    history.emptyTrash()
    while let slot = history.pool.volumeSlots.filter(history.mayDelete).randomElement(
      using: &history.random)
    {
      try history.delete(slot)
      while history.test.drop() {}
      try history.checkpoint(busy: false)
      PoolRecount.expectRight(history.test, "seed \(seed), deleting")
      history.compare("seed \(seed), deleting")
    }
    for _ in 0..<3 {
      try history.checkpoint(busy: false)
      history.test.releaseFreed()
    }
    history.pool.giveBackRuns()
    for _ in 0..<2 {
      try history.checkpoint(busy: false)
      history.test.releaseFreed()
    }
    #expect(history.pool.usage.metadataBytes <= 16 << 10)
    #expect(history.pool.segments.dataSegmentCount == 0)
  }

  /// Crashes at any step of a checkpoint and between two: the last image and the records after it
  /// give the same state.
  @Test(arguments: 21...24 as ClosedRange<UInt64>)
  func aCrashedPoolRecoversTheSameState(seed: UInt64) throws {
    let history = History(seed: seed)
    for turn in 0..<8 {
      for _ in 0..<100 { try history.step() }
      try history.checkpoint(busy: false)
      for _ in 0..<60 {
        if history.pool.checkpointPressure < 0.6 { try history.step() }
      }
      history.expectRecovery("seed \(seed), turn \(turn)")
      var left = Int.random(in: 0..<12, using: &history.random)
      history.test.checkpoint {
        left -= 1
        for _ in 0..<4 where history.pool.checkpointPressure < 0.7 { try? history.step() }
        if left == 0 { history.expectRecovery("seed \(seed), turn \(turn), in a checkpoint") }
      }
      history.test.releaseFreed()
    }
  }

  /// A history without sharing, recounted: after the last checkpoint and with doomed trees half
  /// gone.
  @Test(arguments: [11, 12] as [UInt64])
  func countsAreRightWhileATreeIsBeingDropped(seed: UInt64) throws {
    let history = History(seed: seed)
    for _ in 0..<400 {
      guard let slot = history.anySlot() else { break }
      let extent = UInt64.random(in: 0..<history.extents, using: &history.random)
      _ = history.test.write(slot, VirtualExtent(index: extent), .all)
    }
    try history.checkpoint(busy: false)
    guard let slot = history.anySlot() else { return }
    try history.snapshot([slot])
    for _ in 0..<50 {
      let extent = UInt64.random(in: 0..<history.extents, using: &history.random)
      _ = history.test.write(slot, VirtualExtent(index: extent), .all)
    }
    for slot in history.pool.volumeSlots.reversed() { try history.delete(slot) }
    var steps = 0
    while history.test.drop() {
      steps += 1
      if steps % 37 == 0 {
        try history.checkpoint(busy: false)
        PoolRecount.expectRight(history.test, "seed \(seed), step \(steps)")
      }
    }
    #expect(steps > 100)
  }

  /// After the last other holder is gone, dropped and checkpointed, every write is done in place
  /// again, through clones of clones and rollbacks.
  @Test(arguments: 31...36 as ClosedRange<UInt64>)
  func everythingIsWritableInPlaceWhenNothingElseHoldsIt(seed: UInt64) throws {
    let history = History(seed: seed)
    for _ in 0..<10 {
      for _ in 0..<80 { try history.step() }
      try history.branch()
      try history.checkpoint(busy: false)
    }
    history.emptyTrash()
    while history.pool.volumeCount > 1 {
      let slots = history.pool.volumeSlots.filter(history.mayDelete)
      let isSnapshot = { (slot: VolumeSlot) in history.pool.record(of: slot).origin != nil }
      guard let slot = slots.first(where: isSnapshot) ?? slots.last else { break }
      try history.delete(slot)
    }
    try #require(history.pool.volumeCount == 1)
    while history.test.drop() {}
    try history.checkpoint(busy: false)
    let last = history.pool.volumeSlots[0]
    #expect(history.pool.shareEpoch(of: last) == .zero)
    #expect(history.pool.versions.entries.count <= 1, "its own branch point may stay")
    history.compare("seed \(seed)")
  }
}
