import BlockExport
import DiskFormat
import PoolCore
import StorageUnits

/// How far the work on owed discards is.
struct OwedWork {
  /// Where to go on: behind this block of this volume.
  var volume = VolumeID(0)
  var behindBlock: UInt64 = 0
  /// When to go on, where a decision was in force or no node could be asked for.
  var due: MonotonicTime?
  var isLoading = false
  /// There was no space for nodes; something may have changed if this is false again.
  var lacksSpace = false
  var waitsForCheckpoint = false
  /// A node of a map cannot be read: nothing is done any more before the next start.
  var hasFailed = false

  var mayGoOn: Bool {
    !hasFailed && !lacksSpace && !waitsForCheckpoint && !isLoading && due == nil
  }
}

/// Discards that are owed: taken on where there is no space for nodes, settled where something is
/// written, and done in the background when there is space.
///
///     discard                       background                    write
///     no space for nodes:
///     record: owed, answered
///                                                                 data at its place
///                                                                 record: map (if it changes)
///                                                                 record: not owed any more
///                                                                 answered
///                                   clears the bits of an
///                                   extent, record: map
///                                   record: not owed any more
///
/// In each column a crash between two records leaves the blocks owed, which read as zeros: neither
/// what was discarded nor half of a write shows.
extension VolumeEngine {
  // MARK: Taking on

  /// A discard for which there is no space for nodes: what is left of it is owed. It fails if too
  /// much is owed already.
  func owe(_ p: PartIndex) {
    if waitsForRelease(p) { return }
    guard hasRecordRoom(p) else { return }
    guard let range = rest(of: p) else { return finishPart(p, nil) }
    guard pool.canOwe(range) else { return finishPart(p, .noSpace) }
    pool.applyOwe(range)
    noteRecords()
    counters.owedDiscards += 1
    finishPart(p, nil)
  }

  /// The whole blocks that a walk has not come to.
  private func rest(of p: PartIndex) -> OwedRange? {
    let request = slots[slots[p].request].request
    let reach = request.offset + request.length
    let start = (request.offset + 4095) >> 12
    let end =
      reach == pool.sizeBytes(of: slots[p].volume) ? (reach + 4095) >> 12 : reach >> 12
    let first = max(start, slots[p].extent.index << 4)
    guard first < end else { return nil }
    return OwedRange(volume: request.volume, firstBlock: first, blockCount: end - first)
  }

  // MARK: Settling

  /// Whether the blocks that the part settles may be cut out of what is owed. False only where very
  /// many ranges have been split by writes already.
  func maySettle(_ p: PartIndex) -> Bool {
    guard !slots[p].settling.isEmpty else { return true }
    return pool.canSettle(
      pool.owedRange(slots[p].volume, slots[p].extent, slots[p].settling))
  }

  /// The blocks have been written or provisioned, and so has what lies between them, unless it was
  /// zero and nothing is mapped there.
  func settle(_ p: PartIndex) {
    guard !slots[p].settling.isEmpty else { return }
    pool.applySettle(
      pool.owedRange(slots[p].volume, slots[p].extent, slots[p].settling))
  }

  // MARK: Working off

  var canWorkOffOwed: Bool {
    pool.hasOwed && owedWork.mayGoOn && !isReadOnly && !isStopping && hasBufferRoom
      && hasJournalRoom
      && pressure < 0.9
  }

  /// When the work goes on that had to pause.
  var owedDeadline: MonotonicTime? { isReadOnly || isStopping ? nil : owedWork.due }

  /// Nothing that is under way will make space for what is owed.
  var isOwedStuck: Bool {
    owedWork.hasFailed || owedWork.lacksSpace && !spaceIsOnItsWay
  }

  /// Does some of what is owed; hosts come first.
  func stepOwed() {
    if let due = owedWork.due, due <= now { owedWork.due = nil }
    guard pool.hasOwed else { return }
    let wasFull = pool.isOwedFull
    let hostsAreActive = slots.freeCount < slots.capacity
    var budget = configuration.extentsPerStep
    if hostsAreActive { budget = max(1, budget / 8) }
    while budget > 0, canWorkOffOwed,
      let range = pool.nextOwed(owedWork.volume, endingBehind: owedWork.behindBlock)
    {
      budget -= 1
      workOff(range)
    }
    // Writes may wait for a range to go, and a snapshot for all of them.
    if wasFull && !pool.isOwedFull { spaceMayHaveCome() }
    if !managementQueue.isEmpty { stepManagement() }
  }

  /// Clears what one extent has of the range.
  private func workOff(_ range: OwedRange) {
    guard let v = pool.volume(range.volume) else { preconditionFailure("owed by nobody") }
    let end = VirtualExtent(index: (range.endBlock + 15) >> 4)
    switch pool.nextMapped(v, from: VirtualExtent(index: range.firstBlock >> 4), before: end) {
    case .missing(let node):
      if !waitForNodeInOwed(node) { pauseOwed() }
    case .nothing:
      pool.applySettle(range)
      noteRecords()
    case .extent(let x, let entry): clearOwed(range, v, x, entry)
    }
  }

  /// As a discard does it: lookup and apply are one step, and nobody else may have a decision in
  /// force or be about to share or cut the map.
  private func clearOwed(
    _ range: OwedRange, _ v: VolumeSlot, _ x: VirtualExtent, _ entry: MapEntry
  ) {
    let mask = Self.blocks(of: range, in: x)
    if entry.mask.intersects(mask) || entry.isProvisioned {
      let heldFrom = v.index < volumes.count ? volumes[v.index].heldFrom : .max
      guard heldFrom > x.index, locks.find(v, x).isNone else {
        owedWork.volume = range.volume
        owedWork.behindBlock = range.endBlock
        return pauseOwed()
      }
      switch pool.prepareMap(v, x, tier: .reclaim) {
      case .ready: break
      case .missing: return
      case .noSpace:
        return lackSpaceForOwed()
      case .mustWaitForCheckpoint:
        owedWork.waitsForCheckpoint = true
        checkpointing.isWanted = true
        return
      }
      _ = pool.applyMap(v, x, .cleared(mask: mask, keepsProvision: false))
    }
    let reached = min(range.endBlock, (x.index + 1) << 4)
    pool.applySettle(
      OwedRange(
        volume: range.volume, firstBlock: range.firstBlock,
        blockCount: reached - range.firstBlock))
    noteRecords()
  }

  /// Rests until something may have changed. Somebody who reads an old image goes first.
  private func lackSpaceForOwed() {
    guard pool.keepsImage else {
      owedWork.lacksSpace = true
      return
    }
    pool.letImageGo()
    pauseOwed()
  }

  private func pauseOwed() { owedWork.due = now.adding(milliseconds: 10) }

  private static func blocks(of range: OwedRange, in x: VirtualExtent) -> BlockMask {
    let start = x.index << 4
    let first = max(range.firstBlock, start)
    let end = min(range.endBlock, start + UInt64(StorageSizes.blocksPerExtent))
    return BlockMask(first: Int(first - start), count: Int(end - first))
  }
}
