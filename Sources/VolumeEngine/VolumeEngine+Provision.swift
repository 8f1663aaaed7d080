import BlockExport
import DiskFormat
import PoolCore
import StorageUnits

/// Write-zeroes with NO_HOLE: every extent of the range holds space afterwards and reads as zeros.
extension VolumeEngine {
  func stepProvisionWalk(_ p: PartIndex) {
    if let error = walkError(p) { return finishPart(p, error) }
    if slots[p].phase != .admitting { return stepProvisionMerge(p) }
    if mustBeginZeroesAnew(p) { return beginZeroesAnew(p) }
    for _ in 0..<configuration.extentsPerStep {
      guard slots[p].extent < slots[p].endExtent else { return finishPart(p, nil) }
      guard provision(p) else { return }
      nextProvisioned(p)
    }
    slots.append(p, to: &ready)
  }

  private func nextProvisioned(_ p: PartIndex) {
    slots[p].extent = VirtualExtent(index: slots[p].extent.index + 1)
    slots[p].wasDelayed = false
  }

  /// Provisions one extent. False: the part waits, reads, or has ended.
  private func provision(_ p: PartIndex) -> Bool {
    if waitsForRelease(p) { return false }
    let v = slots[p].volume
    let x = slots[p].extent
    let l = locks.find(v, x)
    if !l.isNone {
      waitForLock(l, p)
      return false
    }
    let entry: MapEntry
    switch pool.lookup(v, x) {
    case .missing(let node):
      waitForNode(node, p)
      return false
    case .entry(let found): entry = found
    }
    let mask = wholeBlocks(of: x, slots[p].request)
    let owed = pool.owedMask(v, x) & mask
    if entry.isProvisioned && !entry.mask.intersects(mask) && owed.isEmpty { return true }
    slots[p].settling = owed
    guard maySettle(p) else {
      waitForSpace(p)
      return false
    }
    if entry.upper.isWritable(shareEpoch: pool.shareEpoch(of: v)) {
      guard admitRecord(p, tier: .hostWrite) else { return false }
      applyProvision(p, mask, fresh: nil)
      return true
    }
    let older = (entry.upper.mask - mask, entry.lower.mask - mask)
    let stacks = !older.0.isEmpty && !older.1.isEmpty
    guard !stacks || hasCommandSlots && bounces.hasFreeExtent else {
      waitForResources(p)
      return false
    }
    guard admitRecord(p, tier: .hostWrite), let fresh = takeExtent(p) else { return false }
    if stacks {
      startProvisionMerge(p, entry, mask, fresh)
      return false
    }
    applyProvision(p, mask, fresh: fresh)
    return true
  }

  private func applyProvision(_ p: PartIndex, _ mask: BlockMask, fresh: PoolAddress?) {
    _ = unsafe pool.applyMap(
      slots[p].volume, slots[p].extent, .provisioned(mask: mask, freshExtent: fresh))
    settle(p)
    noteRecords()
  }

  // MARK: Where a third layer would arise

  /// Both layers are shared and keep blocks: they are merged into the fresh extent first, under the
  /// decision lock, as a write would do.
  private func startProvisionMerge(
    _ p: PartIndex, _ entry: MapEntry, _ mask: BlockMask, _ fresh: PoolAddress
  ) {
    guard let b = bounces.takeExtent() else { preconditionFailure("looked for before") }
    let l = beginDecision(p, shareEpoch: pool.shareEpoch(of: slots[p].volume))
    locks.join(l, blocks: .all, exclusively: true)
    locks[l].freshExtent = fresh
    counters.merges += 1
    slots[p].lock = l
    slots[p].epoch = grace.enter()
    slots[p].target = fresh
    slots[p].mask = mask
    slots[p].bounce = b
    slots[p].phase = .readingOld
    // The whole layer goes, also the blocks that read as zeros afterwards: one that stayed would be
    // a third.
    slots[p].copying = entry.upper.mask.count < 4 ? entry.upper.mask : entry.mask
    let memory = unsafe bounces.memory(b)
    for layer in [entry.upper, entry.lower] {
      forEachRun(of: layer.mask & slots[p].copying) { first, count in
        unsafe addPiece(
          .partRead, of: p, address: layer.address(ofBlock: first), blockCount: count,
          buffer: memory + first * StorageSizes.blockBytes)
      }
    }
  }

  func provisionCommandsEnded(_ p: PartIndex) {
    if let error = slots[p].deviceError {
      freeBounce(p)
      return finishPart(p, error)
    }
    if slots[p].phase == .readingOld {
      slots[p].phase = .issuing
      return stepProvisionMerge(p)
    }
    freeBounce(p)
    leaveGrace(p)
    slots[p].phase = .applying
    stepProvisionMerge(p)
  }

  private func stepProvisionMerge(_ p: PartIndex) {
    switch slots[p].phase {
    case .issuing: writeProvisionMerge(p)
    case .applying: applyProvisionMerge(p)
    case .admitting, .readingOld, .writing: preconditionFailure("waits for its commands")
    }
  }

  private func writeProvisionMerge(_ p: PartIndex) {
    guard hasCommandSlots else { return waitForResources(p) }
    slots[p].phase = .writing
    let copying = slots[p].copying
    let memory = unsafe bounces.memory(slots[p].bounce)
    unsafe zero(
      BlockMask(first: copying.first, count: copying.span) - copying, at: memory)
    unsafe addPiece(
      .partWrite, of: p, address: slots[p].target.advanced(byBlocks: copying.first),
      blockCount: copying.span, buffer: memory + copying.first * StorageSizes.blockBytes)
  }

  /// Two records: the merge, which makes the upper layer the volume's own, then the provision.
  private func applyProvisionMerge(_ p: PartIndex) {
    if let error = walkError(p) { return finishPart(p, error) }
    guard hasRecordRoom(p) else { return }
    switch pool.prepareMap(slots[p].volume, slots[p].extent, tier: .reclaim) {
    case .missing(let node): return waitForNode(node, p)
    case .mustWaitForCheckpoint: return waitForCheckpoint(p)
    case .noSpace:
      leaveLock(p)
      slots[p].phase = .admitting
      return waitForSpace(p)
    case .ready: break
    }
    guard maySettle(p) else {
      leaveLock(p)
      slots[p].phase = .admitting
      return waitForSpace(p)
    }
    _ = unsafe pool.applyMap(
      slots[p].volume, slots[p].extent,
      .wroteFresh(extent: slots[p].target, written: .none, copied: slots[p].copying))
    noteRecords()
    locks[slots[p].lock].isFreshNamed = true
    applyProvision(p, slots[p].mask, fresh: nil)
    leaveLock(p)
    slots[p].phase = .admitting
    nextProvisioned(p)
    slots.append(p, to: &ready)
  }
}
