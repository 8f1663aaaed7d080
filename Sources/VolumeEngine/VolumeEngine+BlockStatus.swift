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
    if isOutOfRange(p) { return finishPart(p, .outOfRange) }
    let r = slots[p].request
    if let base = slots[r].request.base { return stepChangeWalk(p, since: base) }
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
    case changed, unchanged
  }

  // MARK: Changes

  /// Nodes that one step of a change walk goes into: more than any way down in two maps.
  private static var nodesPerStep: Int { 32 }

  /// What changed since a base: what is not shared with it, or younger than it.
  private func stepChangeWalk(_ p: PartIndex, since base: ExportBase) {
    let target = slots[p].volume
    let from = slots[p].extent
    var ranges = ChangedRanges(
      within: from.firstByte..<slots[p].endExtent.firstByte, atMost: configuration.extentsPerStep)
    var nodes = 0
    let outcome: MapWalkOutcome
    switch pool.base(ChangeBase(base), of: target) {
    case .gone: return finishPart(p, .volumeGone)
    case .unknown: return finishPart(p, .invalidRequest)
    case .map(let other):
      var visitor = ChangeVisitor(ranges)
      outcome = pool.walk(
        target, beside: other, from: MapPosition(from), to: slots[p].endExtent,
        nodesAtMost: Self.nodesPerStep, nodes: &nodes, &visitor)
      ranges = visitor.ranges
    case .births(let bookmark):
      var visitor = BookmarkVisitor(ranges, since: bookmark)
      outcome = pool.walk(
        target, from: MapPosition(from), to: slots[p].endExtent, nodesAtMost: Self.nodesPerStep,
        nodes: &nodes, &visitor)
      ranges = visitor.ranges
    }
    let reached: VirtualExtent
    switch outcome {
    case .done: reached = slots[p].endExtent
    case .paused(let position), .missing(_, let position): reached = position.extent
    }
    if pool.hasOwed {
      ranges.put(holes: pool.owedHoles(of: target), within: from.firstByte..<reached.firstByte)
    }
    guard addChanges(slots[p].request, ranges, from: from, to: reached) else {
      return finishPart(p, nil)
    }
    slots[p].extent = reached
    switch outcome {
    case .done: finishPart(p, nil)
    case .missing(let node, _): waitForNode(node, p)
    case .paused: slots.append(p, to: &ready)
    }
  }

  /// False: the answer is full.
  private func addChanges(
    _ r: RequestIndex, _ ranges: ChangedRanges, from: VirtualExtent, to: VirtualExtent
  ) -> Bool {
    var at = from.firstByte
    for range in ranges.list {
      guard addStatus(r, from: at, to: range.offset, .unchanged),
        addStatus(r, from: range.offset, to: range.end, .changed)
      else { return false }
      at = range.end
    }
    return addStatus(r, from: at, to: to.firstByte, .unchanged)
  }

  /// The runs of one extent. False: the answer is full.
  private func addStatus(_ r: RequestIndex, _ x: VirtualExtent, _ entry: MapEntry) -> Bool {
    let clear: BlockState = entry.isProvisioned ? .provisioned : .hole
    let mapped = entry.mask - pool.owedMask(slots[r].volume, x)
    var block = 0
    while block < StorageSizes.blocksPerExtent {
      let isSet = mapped.contains(block)
      var end = block + 1
      while end < StorageSizes.blocksPerExtent, mapped.contains(end) == isSet { end += 1 }
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
    let extent = BlockStatusExtent(
      length: end - start, isHole: state == .hole,
      readsAsZeros: state == .hole || state == .provisioned, isChanged: state == .changed)
    let runs = statusRuns[Int(r.raw)].count
    if runs > 0, statusRuns[Int(r.raw)][runs - 1].isAlike(extent) {
      statusRuns[Int(r.raw)][runs - 1].length += end - start
      return true
    }
    let limit = request.flags.contains(.oneExtent) ? 1 : configuration.blockStatusExtents
    guard runs < limit else { return false }
    statusRuns[Int(r.raw)].append(extent)
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

extension ChangeBase {
  init(_ base: ExportBase) {
    switch base {
    case .snapshot(let id): self = .volume(id)
    case .bookmark(let number): self = .bookmark(RecordNumber(number))
    }
  }
}
