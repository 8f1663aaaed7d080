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

extension MapEntry {
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
