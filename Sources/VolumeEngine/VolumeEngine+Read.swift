import BlockExport
import DiskFormat
import PoolCore
import StorageUnits

extension VolumeEngine {
  /// A read is one part: it goes over its extents, issues what is mapped, zeroes the rest.
  func beginRead(_ r: RequestIndex) {
    let request = slots[r].request
    let p = slots.part(0, of: r)
    slots[p] = PartSlot(
      .read, of: r, volume: slots[r].volume,
      extent: VirtualExtent(containingByte: request.offset))
    slots[p].endExtent = VirtualExtent(
      index: VirtualExtent(containingByte: request.offset + request.length - 1).index + 1)
    slots[r].openParts = 1
    stepRead(p)
  }

  func stepRead(_ p: PartIndex) {
    if slots[p].nodeFailed { return readFailed(p, .inputOutput) }
    if isGoing(slots[p].volume) { return readFailed(p, .volumeGone) }
    if isOutOfRange(p) { return readFailed(p, .outOfRange) }
    // Entered at the first lookup, left when the last byte has arrived: space that is freed in
    // between is not given to anybody else.
    if slots[p].epoch == 0 { slots[p].epoch = grace.enter() }
    while slots[p].extent < slots[p].endExtent {
      guard hasCommandSlots else { return waitForResources(p) }
      switch pool.lookup(slots[p].volume, slots[p].extent) {
      case .missing(let node): return waitForNode(node, p)
      case .entry(let entry): readExtent(p, entry)
      }
      slots[p].extent = VirtualExtent(index: slots[p].extent.index + 1)
    }
    if slots[p].pendingCommands == 0 { finishRead(p) }
  }

  /// The read goes no further; it ends when its commands have.
  private func readFailed(_ p: PartIndex, _ error: ExportError) {
    let r = slots[p].request
    if slots[r].error == nil { slots[r].error = error }
    slots[p].extent = slots[p].endExtent
    if slots[p].pendingCommands == 0 { finishRead(p) }
  }

  func readCommandsEnded(_ p: PartIndex) {
    if slots[p].extent == slots[p].endExtent { finishRead(p) }
  }

  private func finishRead(_ p: PartIndex) {
    while !slots[p].bounce.isNone {
      let b = slots[p].bounce
      let picking = bounces.picking(b)
      pick(picking, from: b)
      slots[p].bounce = picking.next
      bounces.freeExtent(b)
    }
    slots[slots[p].request].readsAsZeros = !slots[p].readsData
    finishPart(p, slots[p].deviceError)
  }

  private func pick(_ picking: BounceBuffers.Picking, from b: BounceIndex) {
    guard let origin = unsafe picking.origin else { return }
    let memory = unsafe bounces.memory(b)
    forEachRun(of: picking.picked) { first, count in
      let offset = first * StorageSizes.blockBytes
      unsafe (origin + offset).copyMemory(
        from: memory + offset, byteCount: count * StorageSizes.blockBytes)
    }
    unsafe zero(picking.zeros, at: origin)
  }

  // MARK: One extent

  private func readExtent(_ p: PartIndex, _ entry: MapEntry) {
    let needed = blocks(of: slots[p].extent, touchedBy: slots[p].request)
    let origin = unsafe origin(of: slots[p].extent, slots[p].request)
    let owed = pool.owedMask(slots[p].volume, slots[p].extent)
    let upper = (entry.upper.mask & needed) - owed
    let lower = (entry.lower.mask & needed) - owed
    let zeros = needed - (upper | lower)
    let pieces = runCount(of: upper) + runCount(of: lower)
    if pieces > 0 { slots[p].readsData = true }
    if pieces > 4, !entry.upper.isPacked, !entry.lower.isPacked, let b = bounces.takeExtent() {
      unsafe readWhole(p, entry, upper: upper, lower: lower, zeros: zeros, origin, b)
      return
    }
    unsafe zero(zeros, at: origin)
    unsafe readPieces(p, entry.upper, upper, at: origin)
    unsafe readPieces(p, entry.lower, lower, at: origin)
  }

  private func readPieces(
    _ p: PartIndex, _ layer: Layer, _ mask: BlockMask, at origin: UnsafeMutableRawPointer
  ) {
    forEachRun(of: mask) { first, count in
      unsafe addPiece(
        .partRead, of: p, address: layer.address(ofBlock: first), blockCount: count,
        buffer: origin + first * StorageSizes.blockBytes)
    }
  }

  /// More than four pieces: one read of each layer over everything it is needed for, the upper one
  /// in place and the lower one beside it; picked together when both have arrived.
  private func readWhole(
    _ p: PartIndex, _ entry: MapEntry, upper: BlockMask, lower: BlockMask, zeros: BlockMask,
    _ origin: UnsafeMutableRawPointer, _ b: BounceIndex
  ) {
    unsafe bounces.setPicking(
      b,
      BounceBuffers.Picking(origin: origin, picked: lower, zeros: zeros, next: slots[p].bounce))
    slots[p].bounce = b
    if !upper.isEmpty { unsafe readSpan(p, entry.upper, upper, origin) }
    if !lower.isEmpty { unsafe readSpan(p, entry.lower, lower, bounces.memory(b)) }
  }

  private func readSpan(
    _ p: PartIndex, _ layer: Layer, _ mask: BlockMask, _ origin: UnsafeMutableRawPointer
  ) {
    let first = mask.first
    unsafe addPiece(
      .partRead, of: p, address: layer.address(ofBlock: first), blockCount: mask.span,
      buffer: origin + first * StorageSizes.blockBytes)
  }

  // MARK: Geometry

  /// The blocks of an extent that a read or write touches, in part or wholly.
  func blocks(of extent: VirtualExtent, touchedBy r: RequestIndex) -> BlockMask {
    let request = slots[r].request
    let start = max(request.offset, extent.firstByte) - extent.firstByte
    let end =
      min(
        request.offset + request.length, extent.firstByte + UInt64(StorageSizes.extentBytes))
      - extent.firstByte
    let first = Int(start) / StorageSizes.blockBytes
    let last = (Int(end) + StorageSizes.blockBytes - 1) / StorageSizes.blockBytes
    return BlockMask(first: first, count: last - first)
  }

  /// Where block 0 of the extent lies, or would lie, in the request's buffer. Only blocks that the
  /// request touches are addressed relative to it, and those are the buffer's.
  func origin(of extent: VirtualExtent, _ r: RequestIndex) -> UnsafeMutableRawPointer {
    let request = slots[r].request
    guard let buffer = unsafe request.buffer else {
      preconditionFailure("reads and writes have a buffer")
    }
    let distance = Int(truncatingIfNeeded: extent.firstByte &- request.offset)
    return unsafe buffer + distance
  }

  func zero(_ mask: BlockMask, at origin: UnsafeMutableRawPointer) {
    forEachRun(of: mask) { first, count in
      unsafe (origin + first * StorageSizes.blockBytes).initializeMemory(
        as: UInt8.self, repeating: 0, count: count * StorageSizes.blockBytes)
    }
  }
}

/// Calls `body` with the first block and the length of each run of neighbouring blocks.
@inline(__always)
func forEachRun(of mask: BlockMask, _ body: (_ first: Int, _ count: Int) -> Void) {
  var bits = UInt32(mask.bits)
  var base = 0
  while bits != 0 {
    let skip = bits.trailingZeroBitCount
    bits >>= UInt32(skip)
    base += skip
    let count = (~bits).trailingZeroBitCount
    body(base, count)
    bits >>= UInt32(count)
    base += count
  }
}

/// The number of runs of neighbouring blocks.
func runCount(of mask: BlockMask) -> Int {
  (mask.bits & ~(mask.bits << 1)).nonzeroBitCount
}

extension BlockMask {
  /// Blocks from the first to the last one, what lies between included.
  var span: Int {
    bits == 0 ? 0 : UInt16.bitWidth - bits.leadingZeroBitCount - bits.trailingZeroBitCount
  }
}
