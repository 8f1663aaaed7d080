import BlockExport
import DiskFormat
import PoolCore
import StorageUnits

/// Discard and write-zeroes without NO_HOLE: walks over what is mapped, a bounded number of extents
/// at a time, and clears bits. Parts of a block are zeroed by writing (write-zeroes) or left alone
/// (discard).
extension VolumeEngine {
  func beginDiscard(_ r: RequestIndex) {
    slots[r].isWalking = true
    startWalk(r, .clearWalk)
  }

  func beginWriteZeroes(_ r: RequestIndex) {
    slots[r].sizeAtBegin = pool.sizeBytes(of: slots[r].volume)
    let edges = makeZeroEdges(r)
    if slots[r].request.flags.contains(.fastZero) {
      for k in 0..<edges where !isUnmapped(slots.part(k, of: r)) {
        return answer(r, .notSupported)
      }
    }
    guard edges > 0 else { return startZeroWalk(r) }
    slots[r].openParts = Int32(edges)
    for k in 0..<edges { stepWrite(slots.part(k, of: r)) }
  }

  /// After the edges: the whole blocks.
  func startZeroWalk(_ r: RequestIndex) {
    slots[r].isWalking = true
    let provisions = slots[r].request.flags.contains(.noHole)
    startWalk(r, provisions ? .provisionWalk : .clearWalk)
  }

  /// A last block that counted as whole has become one of which the request covers a part: the
  /// volume has grown in between.
  func mustBeginZeroesAnew(_ p: PartIndex) -> Bool {
    let r = slots[p].request
    let request = slots[r].request
    let end = request.offset + request.length
    return request.operation == .writeZeroes && end & 4095 != 0 && end == slots[r].sizeAtBegin
      && end != pool.sizeBytes(of: slots[r].volume)
  }

  /// What was zeroed already is zeroed again.
  func beginZeroesAnew(_ p: PartIndex) {
    let r = slots[p].request
    slots[r].openParts = 0
    slots[r].isWalking = false
    beginWriteZeroes(r)
  }

  private func startWalk(_ r: RequestIndex, _ kind: PartKind) {
    let p = slots.part(2, of: r)
    let request = slots[r].request
    slots[p] = PartSlot(
      kind, of: r, volume: slots[r].volume,
      extent: VirtualExtent(containingByte: request.offset))
    slots[p].endExtent = VirtualExtent(
      index: VirtualExtent(containingByte: request.offset + request.length - 1).index + 1)
    slots[r].openParts = 1
    step(p)
  }

  // MARK: Edges

  /// A part for each block that the request covers in part; returns how many, 0 to 2. What reaches
  /// the end of the volume counts as whole: nothing lies behind it.
  private func makeZeroEdges(_ r: RequestIndex) -> Int {
    let request = slots[r].request
    let end = request.offset + request.length
    let head = request.offset & 4095
    let tail = end == pool.sizeBytes(of: slots[r].volume) ? 0 : (4096 - (end & 4095)) & 4095
    let firstBlock = request.offset >> 12
    let lastBlock = (end - 1) >> 12
    if firstBlock == lastBlock {
      guard head | tail != 0 else { return 0 }
      makeZeroEdge(r, 0, block: firstBlock, head: head, tail: tail)
      return 1
    }
    var count = 0
    if head > 0 {
      makeZeroEdge(r, count, block: firstBlock, head: head, tail: 0)
      count += 1
    }
    if tail > 0 {
      makeZeroEdge(r, count, block: lastBlock, head: 0, tail: tail)
      count += 1
    }
    return count
  }

  private func makeZeroEdge(
    _ r: RequestIndex, _ k: Int, block: UInt64, head: UInt64, tail: UInt64
  ) {
    let p = slots.part(k, of: r)
    let inExtent = Int(block & 15)
    slots[p] = PartSlot(
      .zeroEdge, of: r, volume: slots[r].volume, extent: VirtualExtent(index: block >> 4))
    slots[p].mask = BlockMask(first: inExtent, count: 1)
    slots[p].headBytes = UInt16(head)
    slots[p].tailBytes = UInt16(tail)
    // Its one block lies in the request's own bounce block; the others are never touched.
    unsafe slots[p].origin = bounces.edge(of: r, k) - inExtent * StorageSizes.blockBytes
  }

  /// Nothing has to be written for this edge, as far as memory tells.
  private func isUnmapped(_ p: PartIndex) -> Bool {
    guard case .entry(let entry) = pool.lookup(slots[p].volume, slots[p].extent) else {
      return false
    }
    let owed = pool.owedMask(slots[p].volume, slots[p].extent)
    return !(entry.mask - owed).intersects(slots[p].mask)
  }

  // MARK: The walk

  /// The blocks of an extent that the request covers wholly, the volume's last one included.
  func wholeBlocks(of extent: VirtualExtent, _ r: RequestIndex) -> BlockMask {
    let request = slots[r].request
    let start = (request.offset + 4095) >> 12
    let reach = request.offset + request.length
    let end =
      reach == pool.sizeBytes(of: slots[r].volume) ? (reach + 4095) >> 12 : reach >> 12
    let first = max(start, extent.index << 4)
    let last = min(end, (extent.index << 4) + UInt64(StorageSizes.blocksPerExtent))
    guard first < last else { return .none }
    return BlockMask(first: Int(first & 15), count: Int(last - first))
  }

  /// Why a walk ends early, or nil.
  func walkError(_ p: PartIndex) -> ExportError? {
    if slots[p].nodeFailed { return .inputOutput }
    if isStopping { return .shuttingDown }
    return mutationError(p)
  }

  func stepClearWalk(_ p: PartIndex) {
    if let error = walkError(p) { return finishPart(p, error) }
    if mustBeginZeroesAnew(p) { return beginZeroesAnew(p) }
    for _ in 0..<configuration.extentsPerStep {
      let v = slots[p].volume
      switch pool.nextMapped(v, from: slots[p].extent, before: slots[p].endExtent) {
      case .nothing: return finishPart(p, nil)
      case .missing(let node): return waitForNode(node, p)
      case .extent(let x, let entry):
        slots[p].extent = x
        guard clear(p, x, entry) else { return }
        slots[p].extent = VirtualExtent(index: x.index + 1)
        slots[p].wasDelayed = false
      }
    }
    slots.append(p, to: &ready)
  }

  /// Clears what the request covers of one extent. The lock is not taken: lookup and apply are one
  /// step, and it is enough that nobody has it. False: the part waits or has ended.
  private func clear(_ p: PartIndex, _ x: VirtualExtent, _ entry: MapEntry) -> Bool {
    if waitsForRelease(p) { return false }
    let mask = wholeBlocks(of: x, slots[p].request)
    // What is owed reads as zeros already.
    let mapped = entry.mask - pool.owedMask(slots[p].volume, x)
    if mask.isEmpty || !mapped.intersects(mask) && !entry.isProvisioned { return true }
    let l = locks.find(slots[p].volume, x)
    if !l.isNone {
      waitForLock(l, p)
      return false
    }
    guard admitRecord(p, tier: .reclaim) else { return false }
    _ = unsafe pool.applyMap(
      slots[p].volume, x, .cleared(mask: mask, keepsProvision: false))
    noteRecords()
    return true
  }
}
