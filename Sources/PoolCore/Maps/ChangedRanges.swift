public import DiskFormat
public import StorageUnits

/// A range of a volume that is not what its base has there.
@frozen public struct ChangedRange: Hashable, Sendable {
  /// In bytes.
  public var offset: UInt64
  /// In bytes, not 0.
  public var length: UInt64
  /// It reads as zeros, for nothing is stored there.
  public var isHole: Bool

  @inlinable public init(offset: UInt64, length: UInt64, isHole: Bool) {
    self.offset = offset
    self.length = length
    self.isHole = isHole
  }

  @inlinable public var end: UInt64 { offset + length }
}

/// Changed ranges in ascending order: neighbours of one kind are one range.
public struct ChangedRanges: Sendable {
  public private(set) var list: [ChangedRange] = []
  /// What is outside is cut off, in bytes.
  public var bounds: Range<UInt64>
  /// After so many ranges `isFull` says that it is enough.
  public let atMost: Int

  public init(within bounds: Range<UInt64>, atMost: Int) {
    precondition(atMost > 0)
    self.bounds = bounds
    self.atMost = atMost
  }

  public var isFull: Bool { list.count >= atMost }

  /// Adds what changed in one extent: `changed` blocks, of which those in `mapped` are stored.
  public mutating func add(_ extent: VirtualExtent, changed: BlockMask, mapped: BlockMask) {
    var block = changed.first
    while block < StorageSizes.blocksPerExtent {
      let isHole = !mapped.contains(block)
      var end = block + 1
      while end < StorageSizes.blocksPerExtent, changed.contains(end),
        mapped.contains(end) != isHole
      { end += 1 }
      let start = extent.firstByte + UInt64(block * StorageSizes.blockBytes)
      add(start..<extent.firstByte + UInt64(end * StorageSizes.blockBytes), isHole: isHole)
      block = (changed - BlockMask(first: 0, count: end)).first
    }
  }

  /// Adds a range behind all that were added before.
  public mutating func add(_ bytes: Range<UInt64>, isHole: Bool) {
    let range = bytes.clamped(to: bounds)
    if range.isEmpty { return }
    if let last = list.last {
      precondition(last.end <= range.lowerBound, "ranges are added in ascending order")
      if last.isHole == isHole && last.end == range.lowerBound {
        list[list.count - 1].length += range.upperBound - range.lowerBound
        return
      }
    }
    list.append(
      ChangedRange(
        offset: range.lowerBound, length: range.upperBound - range.lowerBound, isHole: isHole))
  }
}

extension ChangedRanges {
  /// Puts holes in, as far as they lie within `bytes`: what a volume owes has changed, wherever its
  /// map says otherwise. They are in ascending order and apart from each other.
  public mutating func put(holes: [Range<UInt64>], within bytes: Range<UInt64>) {
    let holes = holes.map { $0.clamped(to: bytes) }.filter { !$0.isEmpty }
    if holes.isEmpty { return }
    var pieces = holes.map { (range: $0, isHole: true) }
    for old in list {
      var start = old.offset
      for hole in holes where hole.overlaps(old.offset..<old.end) {
        if start < hole.lowerBound { pieces.append((start..<hole.lowerBound, old.isHole)) }
        start = hole.upperBound
      }
      if start < old.end { pieces.append((start..<old.end, old.isHole)) }
    }
    list = []
    for piece in pieces.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) {
      add(piece.range, isHole: piece.isHole)
    }
  }
}

/// Finds what two maps do not share: what lies at one address in both is one and the same, for
/// nobody writes in place what two can see.
public struct ChangeVisitor: MapVisitor {
  public var ranges: ChangedRanges

  public init(_ ranges: ChangedRanges) { self.ranges = ranges }

  public func enters(_ node: MapNode) -> Bool { !node.isBases }

  public mutating func visit(
    _ extent: VirtualExtent, _ entry: MapEntry, base: MapEntry
  ) -> Bool {
    ranges.add(extent, changed: entry.blocks(notAsIn: base), mapped: entry.mask)
    return !ranges.isFull
  }
}

/// Finds what was changed since a bookmark, in a map whose line passes through it: what is younger.
///
/// A layer that is younger is reported whole, with all its blocks; what is clear, only where blocks
/// were cleared since, as far as that is known.
public struct BookmarkVisitor: MapVisitor {
  public var ranges: ChangedRanges
  let epoch: ShareEpoch

  public init(_ ranges: ChangedRanges, since bookmark: Bookmark) {
    self.ranges = ranges
    epoch = bookmark.epoch
  }

  public func enters(_ node: MapNode) -> Bool { epoch < node.pointer.birth }

  public mutating func visit(
    _ extent: VirtualExtent, _ entry: MapEntry, base: MapEntry
  ) -> Bool {
    ranges.add(extent, changed: entry.blocks(changedSince: epoch), mapped: entry.mask)
    return !ranges.isFull
  }

  public mutating func visitEmptied(
    _ extents: Range<VirtualExtent>, birth: ShareEpoch
  ) -> Bool {
    if epoch < birth {
      ranges.add(extents.lowerBound.firstByte..<extents.upperBound.firstByte, isHole: true)
    }
    return !ranges.isFull
  }
}

extension MapEntry {
  /// The blocks that may have been changed at a share epoch after `epoch`.
  func blocks(changedSince epoch: ShareEpoch) -> BlockMask {
    var changed = BlockMask.none
    for layer in [upper, lower] where !layer.isNone && epoch < layer.birth {
      changed = changed | layer.mask
    }
    let isCleared = clearBirth.map { epoch < $0 } ?? true
    return isCleared ? changed | (BlockMask.all - mask) : changed
  }

  /// The blocks that do not lie where `base` has them.
  func blocks(notAsIn base: MapEntry) -> BlockMask {
    let mask = mask
    let other = base.mask
    var changed = (mask - other) | (other - mask)
    let both = mask & other
    var block = both.first
    while block < StorageSizes.blocksPerExtent {
      let single = BlockMask(first: block, count: 1)
      if address(ofBlock: block) != base.address(ofBlock: block) { changed = changed | single }
      block = (both - BlockMask(first: 0, count: block + 1)).first
    }
    return changed
  }

  /// Where a block that is in the mask lies.
  func address(ofBlock index: Int) -> PoolAddress {
    (upper.mask.contains(index) ? upper : lower).address(ofBlock: index)
  }
}
