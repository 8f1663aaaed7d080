import BlockExport
import DiskFormat
import PoolCore
import StorageUnits

/// Block status: runs of hole, zero and allocated, block by block; neighbours alike are one run.
extension VolumeEngine {
  func beginBlockStatus(_ r: RequestIndex) {
    let request = slots[r].request
    let p = slots.part(0, of: r)
    slots[p] = PartSlot(
      .statusWalk, of: r, volume: slots[r].volume,
      extent: VirtualExtent(containingByte: request.offset))
    slots[p].endExtent = VirtualExtent(
      index: VirtualExtent(containingByte: request.offset + request.length - 1).index + 1)
    statusRuns[Int(r.raw)].removeAll(keepingCapacity: true)
    slots[r].openParts = 1
    stepStatusWalk(p)
  }

  func stepStatusWalk(_ p: PartIndex) {
    if slots[p].nodeFailed { return finishPart(p, .inputOutput) }
    if isGoing(slots[p].volume) { return finishPart(p, .volumeGone) }
    let r = slots[p].request
    for _ in 0..<configuration.extentsPerStep {
      let from = slots[p].extent
      switch pool.nextMapped(slots[p].volume, from: from, before: slots[p].endExtent) {
      case .missing(let node): return waitForNode(node, p)
      case .nothing:
        _ = addStatus(r, from: from.firstByte, to: slots[p].endExtent.firstByte, .hole)
        return finishPart(p, nil)
      case .extent(let x, let entry):
        guard addStatus(r, from: from.firstByte, to: x.firstByte, .hole),
          addStatus(r, x, entry)
        else { return finishPart(p, nil) }
        slots[p].extent = VirtualExtent(index: x.index + 1)
        if slots[p].extent == slots[p].endExtent { return finishPart(p, nil) }
      }
    }
    slots.append(p, to: &ready)
  }

  private enum BlockState {
    case hole, provisioned, allocated
  }

  /// The runs of one extent. False: the answer is full.
  private func addStatus(_ r: RequestIndex, _ x: VirtualExtent, _ entry: MapEntry) -> Bool {
    let clear: BlockState = entry.isProvisioned ? .provisioned : .hole
    var block = 0
    while block < StorageSizes.blocksPerExtent {
      let isSet = entry.mask.contains(block)
      var end = block + 1
      while end < StorageSizes.blocksPerExtent, entry.mask.contains(end) == isSet { end += 1 }
      let from = x.firstByte + UInt64(block * StorageSizes.blockBytes)
      let to = x.firstByte + UInt64(end * StorageSizes.blockBytes)
      guard addStatus(r, from: from, to: to, isSet ? .allocated : clear) else { return false }
      block = end
    }
    return true
  }

  /// Adds a run, clipped to the request. False: no more may be added.
  private func addStatus(
    _ r: RequestIndex, from: UInt64, to: UInt64, _ state: BlockState
  ) -> Bool {
    let request = slots[r].request
    let start = max(from, request.offset)
    let end = min(to, request.offset + request.length)
    guard start < end else { return true }
    let isHole = state == .hole
    let isZero = state != .allocated
    let runs = statusRuns[Int(r.raw)].count
    if runs > 0, statusRuns[Int(r.raw)][runs - 1].isHole == isHole,
      statusRuns[Int(r.raw)][runs - 1].readsAsZeros == isZero
    {
      statusRuns[Int(r.raw)][runs - 1].length += end - start
      return true
    }
    let limit = request.flags.contains(.oneExtent) ? 1 : configuration.blockStatusExtents
    guard runs < limit else { return false }
    statusRuns[Int(r.raw)].append(
      BlockStatusExtent(length: end - start, isHole: isHole, readsAsZeros: isZero))
    return true
  }

  func attachExtents(of r: RequestIndex, to answer: inout ExportAnswer) {
    defer { statusRuns[Int(r.raw)].removeAll(keepingCapacity: true) }
    guard answer.error == nil else { return }
    answer.firstExtent = blockStatusExtents.count
    answer.extentCount = statusRuns[Int(r.raw)].count
    blockStatusExtents.append(contentsOf: statusRuns[Int(r.raw)])
  }
}
