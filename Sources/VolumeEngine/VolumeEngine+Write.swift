import BlockExport
import DiskFormat
import PoolCore
import StorageUnits

/// Writes, one part for each virtual extent:
///
///     admitting ──▶ (readingOld ──▶ issuing) ──▶ writing ──▶ applying ──▶ ended
///         ▲  waits for node, lock, space, checkpoint             │
///         └────────────── no space after all ───────────────────┘
///
/// In `admitting` a part holds nothing; everything after it holds the decision lock.
extension VolumeEngine {
  func beginWrite(_ r: RequestIndex) {
    let request = slots[r].request
    let v = slots[r].volume
    let end = request.offset + request.length
    let first = VirtualExtent(containingByte: request.offset).index
    let last = VirtualExtent(containingByte: end - 1).index
    let count = Int(last - first) + 1
    slots[r].openParts = Int32(count)
    for k in 0..<count {
      let p = slots.part(k, of: r)
      let x = VirtualExtent(index: first + UInt64(k))
      slots[p] = PartSlot(.write, of: r, volume: v, extent: x)
      slots[p].mask = blocks(of: x, touchedBy: r)
      unsafe slots[p].origin = origin(of: x, r)
      if k == 0 { slots[p].headBytes = UInt16(request.offset & 4095) }
      if k == count - 1 { slots[p].tailBytes = UInt16((4096 - (end & 4095)) & 4095) }
    }
    for k in 0..<count { stepWrite(slots.part(k, of: r)) }
  }

  func stepWrite(_ p: PartIndex) {
    if slots[p].nodeFailed { return finishPart(p, .inputOutput) }
    switch slots[p].phase {
    case .admitting: admitWrite(p)
    case .issuing: issueWrite(p)
    case .applying: applyWrite(p)
    case .readingOld, .writing: preconditionFailure("waits for its commands")
    }
  }

  // MARK: Admission

  /// Judges the write against the map as it is now. Either it waits, holding nothing, or it takes
  /// the lock and everything it needs in this one step.
  private func admitWrite(_ p: PartIndex) {
    if let error = mutationError(p) { return finishPart(p, error) }
    if waitsForRelease(p) { return }
    let v = slots[p].volume
    let x = slots[p].extent
    let l = locks.find(v, x)
    if !l.isNone && !locks.admits(l, slots[p].mask) { return waitForLock(l, p) }
    let entry: MapEntry
    switch pool.lookup(v, x) {
    case .missing(let node): return waitForNode(node, p)
    case .entry(let found): entry = found
    }
    let owed = pool.owedMask(v, x)
    let mapped = entry.mask - owed
    slots[p].edges = completeEdges(p, mapped)
    let writing = slots[p].mask - zeroBlocks(p, mapped, owed)
    if writing.isEmpty { return finishPart(p, nil) }
    let epoch = l.isNone ? pool.shareEpoch(of: v) : locks[l].shareEpoch
    let decision = WriteDecision(writing: writing, to: entry, shareEpoch: epoch)
    if decision.merges && !l.isNone { return waitForLock(l, p) }
    if case .inPlace = decision, waitsForRaise(p, entry) { return }
    guard hasCommandSlots, !decision.merges || bounces.hasFreeExtent else {
      return waitForResources(p)
    }
    slots[p].writing = writing
    slots[p].settling = owed & writing
    guard maySettle(p) else { return waitForSpace(p) }
    guard grantSpace(p, l, decision, entry) else { return }
    takeLock(p, l, epoch, decision)
    readOld(p, entry)
  }

  /// Why a mutation cannot be done any more, or nil.
  func mutationError(_ p: PartIndex) -> ExportError? {
    if isGoing(slots[p].volume) { return .volumeGone }
    if isReadOnly { return .readOnly }
    return isOutOfRange(p) ? .outOfRange : nil
  }

  /// The volume was made smaller, or rolled back to a smaller size, after the request had begun.
  func isOutOfRange(_ p: PartIndex) -> Bool {
    endOfRequest(p) > pool.sizeBytes(of: slots[p].volume)
  }

  private func endOfRequest(_ p: PartIndex) -> UInt64 {
    let r = slots[p].request
    return slots[r].request.offset + slots[r].request.length
  }

  func waitForLock(_ l: LockIndex, _ p: PartIndex) { slots.append(p, to: &locks[l].waiters) }

  /// Makes sure that the record can be applied later and that there is an extent for the data.
  /// False: the part waits or has ended.
  private func grantSpace(
    _ p: PartIndex, _ l: LockIndex, _ decision: WriteDecision, _ entry: MapEntry
  ) -> Bool {
    switch decision {
    case .inPlace(let address):
      slots[p].target = address
      slots[p].usesFresh = false
      slots[p].copying = .none
      slots[p].changesMap = !entry.upper.mask.isSuperset(of: slots[p].writing)
      if slots[p].changesMap { return admitRecord(p, tier: .hostWrite) }
      return slots[p].settling.isEmpty || hasRecordRoom(p)
    case .fresh(let copying):
      slots[p].usesFresh = true
      slots[p].copying = copying
      slots[p].changesMap = true
      guard admitRecord(p, tier: .hostWrite) else { return false }
      if !l.isNone, !locks[l].freshExtent.isNone {
        slots[p].target = locks[l].freshExtent
        return true
      }
      guard let extent = takeExtent(p) else { return false }
      slots[p].target = extent
      return true
    }
  }

  /// Takes an extent; nil: the part waits or has ended.
  func takeExtent(_ p: PartIndex) -> PoolAddress? {
    let taken = pool.takeExtent(for: slots[p].volume, at: slots[p].extent)
    // A segment may have become a data segment by it.
    noteRecords()
    switch taken {
    case .extent(let address):
      slots[p].spaceTries = 0
      growAhead(address)
      return address
    case .missing(let node): waitForNode(node, p)
    case .noSpace: waitForSpace(p)
    }
    return nil
  }

  private func takeLock(
    _ p: PartIndex, _ found: LockIndex, _ epoch: ShareEpoch, _ decision: WriteDecision
  ) {
    let l =
      found.isNone ? beginDecision(p, shareEpoch: epoch) : found
    locks.join(l, blocks: slots[p].mask, exclusively: decision.merges)
    if slots[p].usesFresh { locks[l].freshExtent = slots[p].target }
    slots[p].lock = l
    slots[p].epoch = grace.enter()
    if decision.merges { counters.merges += 1 }
  }

  // MARK: Edges and zeros

  /// Blocks that the request covers in part: where the volume has nothing, the rest is zero; the
  /// others must be read, and are returned.
  private func completeEdges(_ p: PartIndex, _ mapped: BlockMask) -> BlockMask {
    if slots[p].kind == .zeroEdge { return slots[p].mask & mapped }
    let head = Int(slots[p].headBytes)
    let tail = Int(slots[p].tailBytes)
    guard head | tail != 0, let origin = unsafe slots[p].origin else { return .none }
    var edges = BlockMask.none
    let first = slots[p].mask.first
    if head > 0 {
      if mapped.contains(first) {
        edges = edges | BlockMask(first: first, count: 1)
      } else {
        unsafe (origin + first * StorageSizes.blockBytes).initializeMemory(
          as: UInt8.self, repeating: 0, count: head)
      }
    }
    let last = slots[p].mask.first + slots[p].mask.span - 1
    if tail > 0 {
      // Nothing lies behind the end of the volume: there the rest is zero, whatever the block
      // holds.
      let reachesEnd = endOfRequest(p) == pool.sizeBytes(of: slots[p].volume)
      if mapped.contains(last) && !reachesEnd {
        edges = edges | BlockMask(first: last, count: 1)
      } else {
        unsafe (origin + (last + 1) * StorageSizes.blockBytes - tail).initializeMemory(
          as: UInt8.self, repeating: 0, count: tail)
      }
    }
    return edges
  }

  /// Blocks that are zero and that the volume does not have: they stay as they are.
  private func zeroBlocks(
    _ p: PartIndex, _ mapped: BlockMask, _ owed: BlockMask
  ) -> BlockMask {
    let clear = slots[p].mask - mapped
    // An edge of write-zeroes that is not mapped reads as zeros already.
    if slots[p].kind == .zeroEdge { return clear }
    guard !clear.isEmpty, let origin = unsafe slots[p].origin else { return .none }
    var zeros = BlockMask.none
    var rest = clear
    while !rest.isEmpty {
      let block = BlockMask(first: rest.first, count: 1)
      if unsafe isZero(origin + rest.first * StorageSizes.blockBytes) { zeros = zeros | block }
      rest = rest - block
    }
    // Where something is written, so are zeros over what is owed: all of the part settles as one
    // range.
    if zeros != slots[p].mask { zeros = zeros - owed }
    counters.zeroBlocks += UInt64(zeros.count)
    return zeros
  }

  /// Whether 4096 bytes, 4096-byte aligned, are all zero.
  private func isZero(_ block: UnsafeMutableRawPointer) -> Bool {
    let words = unsafe block.assumingMemoryBound(to: UInt64.self)
    var i = 0
    while i < StorageSizes.blockBytes / 8 {
      let some = unsafe words[i] | words[i + 1] | words[i + 2] | words[i + 3]
      if some != 0 { return false }
      i += 4
    }
    return true
  }

  // MARK: Older blocks

  /// Reads what a partly covered block and a merge need, or goes on to the write at once.
  private func readOld(_ p: PartIndex, _ entry: MapEntry) {
    let edges = slots[p].edges
    let copying = slots[p].copying
    if (edges | copying).isEmpty { return issueWrite(p) }
    slots[p].phase = .readingOld
    forEachRun(of: edges) { first, count in
      for block in first..<first + count {
        let layer = entry.upper.mask.contains(block) ? entry.upper : entry.lower
        unsafe addPiece(
          .partRead, of: p, address: layer.address(ofBlock: block), blockCount: 1,
          buffer: edgeBuffer(p, block))
      }
    }
    guard !copying.isEmpty else { return }
    guard let b = bounces.takeExtent() else { preconditionFailure("looked for before") }
    slots[p].bounce = b
    let memory = unsafe bounces.memory(b)
    for layer in [entry.upper, entry.lower] {
      forEachRun(of: layer.mask & copying) { first, count in
        unsafe addPiece(
          .partRead, of: p, address: layer.address(ofBlock: first), blockCount: count,
          buffer: memory + first * StorageSizes.blockBytes)
      }
    }
  }

  /// Where the older contents of a partly covered block are read to.
  private func edgeBuffer(_ p: PartIndex, _ block: Int) -> UnsafeMutableRawPointer {
    if slots[p].kind == .zeroEdge, let origin = unsafe slots[p].origin {
      return unsafe origin + block * StorageSizes.blockBytes
    }
    let isHead = slots[p].headBytes > 0 && block == slots[p].mask.first
    return unsafe bounces.edge(of: slots[p].request, isHead ? 0 : 1)
  }

  /// Puts the older bytes beside the new ones.
  private func fillEdges(_ p: PartIndex) {
    let edges = slots[p].edges
    let head = Int(slots[p].headBytes)
    let tail = Int(slots[p].tailBytes)
    guard !edges.isEmpty, let origin = unsafe slots[p].origin else { return }
    if slots[p].kind == .zeroEdge {
      let block = unsafe origin + slots[p].mask.first * StorageSizes.blockBytes
      unsafe (block + head).initializeMemory(
        as: UInt8.self, repeating: 0, count: StorageSizes.blockBytes - head - tail)
      return
    }
    let first = slots[p].mask.first
    if head > 0 && edges.contains(first) {
      unsafe (origin + first * StorageSizes.blockBytes).copyMemory(
        from: edgeBuffer(p, first), byteCount: head)
    }
    let last = first + slots[p].mask.span - 1
    if tail > 0 && edges.contains(last) {
      let end = StorageSizes.blockBytes - tail
      unsafe (origin + last * StorageSizes.blockBytes + end).copyMemory(
        from: edgeBuffer(p, last) + end, byteCount: tail)
    }
  }

  // MARK: The write

  private func issueWrite(_ p: PartIndex) {
    guard hasCommandSlots else {
      slots[p].phase = .issuing
      return waitForResources(p)
    }
    slots[p].phase = .writing
    guard let origin = unsafe slots[p].origin else { return }
    if slots[p].bounce.isNone {
      let target = slots[p].target
      forEachRun(of: slots[p].writing) { first, count in
        unsafe addPiece(
          .partWrite, of: p, address: target.advanced(byBlocks: first), blockCount: count,
          buffer: origin + first * StorageSizes.blockBytes)
      }
    } else {
      unsafe gatherMerge(p, origin)
    }
  }

  /// One gathered write of a merge: the older blocks are in the bounce extent, the new ones are
  /// put between them; what is between and belongs to nobody is written as zeros.
  private func gatherMerge(_ p: PartIndex, _ origin: UnsafeMutableRawPointer) {
    let memory = unsafe bounces.memory(slots[p].bounce)
    let all = slots[p].writing | slots[p].copying
    forEachRun(of: slots[p].writing) { first, count in
      let offset = first * StorageSizes.blockBytes
      unsafe (memory + offset).copyMemory(
        from: origin + offset, byteCount: count * StorageSizes.blockBytes)
    }
    unsafe zero(BlockMask(first: all.first, count: all.span) - all, at: memory)
    unsafe addPiece(
      .partWrite, of: p, address: slots[p].target.advanced(byBlocks: all.first),
      blockCount: all.span, buffer: memory + all.first * StorageSizes.blockBytes)
  }

  func writeCommandsEnded(_ p: PartIndex) {
    if let error = slots[p].deviceError {
      freeBounce(p)
      return finishPart(p, error)
    }
    if slots[p].phase == .readingOld {
      fillEdges(p)
      return issueWrite(p)
    }
    freeBounce(p)
    slots[p].phase = .applying
    // No command of this part can touch its extent any more: what it may wait for now must not
    // wait for its grace.
    leaveGrace(p)
    applyWrite(p)
  }

  func freeBounce(_ p: PartIndex) {
    guard !slots[p].bounce.isNone else { return }
    bounces.freeExtent(slots[p].bounce)
    slots[p].bounce = .none
  }

  // MARK: The record

  /// Applies the record of a write whose data is on the device; the answer may follow.
  private func applyWrite(_ p: PartIndex) {
    if isGoing(slots[p].volume) { return finishPart(p, .volumeGone) }
    guard slots[p].changesMap || !slots[p].settling.isEmpty else { return finishPart(p, nil) }
    if isReadOnly { return finishPart(p, .inputOutput) }
    guard hasRecordRoom(p) else { return }
    guard maySettle(p) else { return startOver(p) }
    if slots[p].changesMap {
      switch pool.prepareMap(slots[p].volume, slots[p].extent, tier: .reclaim) {
      case .missing(let node): return waitForNode(node, p)
      case .mustWaitForCheckpoint: return waitForCheckpoint(p)
      case .noSpace: return startOver(p)
      case .ready: applyChange(p)
      }
    }
    settle(p)
    noteRecords()
    finishPart(p, nil)
  }

  private func applyChange(_ p: PartIndex) {
    let change: EntryChange =
      slots[p].usesFresh
      ? .wroteFresh(
        extent: slots[p].target, written: slots[p].writing, copied: slots[p].copying)
      : .wroteInPlace(extent: slots[p].target, mask: slots[p].writing)
    _ = pool.applyMap(slots[p].volume, slots[p].extent, change)
    if slots[p].usesFresh { locks[slots[p].lock].isFreshNamed = true }
  }

  /// The nodes that were admitted have gone to others: the decision is given up and made anew.
  private func startOver(_ p: PartIndex) {
    leaveLock(p)
    slots[p].phase = .admitting
    waitForSpace(p)
  }
}
