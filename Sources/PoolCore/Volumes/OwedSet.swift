import DiskFormat
import StorageUnits

/// Ranges of blocks by volume: sorted by volume and block, none empty, no two of a volume that
/// overlap or touch. So equal sets are equal lists.
struct OwedSet: Equatable {
  private(set) var ranges: [OwedRange] = []

  /// The ranges of an image, which whoever read it has checked.
  init(_ ranges: [OwedRange] = []) { self.ranges = ranges }

  var isEmpty: Bool { ranges.isEmpty }
  var count: Int { ranges.count }

  /// The index of the first range of a volume that ends behind `block`, or of the first range of a
  /// later volume.
  private func index(_ volume: VolumeID, endingBehind block: UInt64) -> Int {
    var low = 0
    var high = ranges.count
    while low < high {
      let middle = (low + high) / 2
      let range = ranges[middle]
      let isBefore =
        range.volume < volume || range.volume == volume && range.endBlock <= block
      if isBefore { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private func indices(of volume: VolumeID) -> Range<Int> {
    let first = index(volume, endingBehind: 0)
    return first..<index(VolumeID(volume.number + 1), endingBehind: 0)
  }

  func ranges(of volume: VolumeID) -> ArraySlice<OwedRange> { ranges[indices(of: volume)] }

  /// The first range that ends behind a block, else the first of all.
  func next(_ volume: VolumeID, endingBehind block: UInt64) -> OwedRange? {
    let at = index(volume, endingBehind: block)
    return at < ranges.count ? ranges[at] : ranges.first
  }

  /// The blocks of an extent that are in the set.
  func mask(_ volume: VolumeID, _ extent: VirtualExtent) -> BlockMask {
    let start = extent.index << 4
    let end = start + UInt64(StorageSizes.blocksPerExtent)
    var mask = BlockMask.none
    var at = index(volume, endingBehind: start)
    while at < ranges.count, ranges[at].volume == volume, ranges[at].firstBlock < end {
      let first = max(ranges[at].firstBlock, start)
      let last = min(ranges[at].endBlock, end)
      mask = mask | BlockMask(first: Int(first - start), count: Int(last - first))
      at += 1
    }
    return mask
  }

  /// Some block of the range is in the set.
  func intersects(_ range: OwedRange) -> Bool {
    let at = index(range.volume, endingBehind: range.firstBlock)
    return at < ranges.count && ranges[at].volume == range.volume
      && ranges[at].firstBlock < range.endBlock
  }

  /// The ranges that would become one with this one: those that overlap or touch it.
  private func joined(with range: OwedRange) -> Range<Int> {
    // One that ends where this one begins touches it.
    var first = index(range.volume, endingBehind: range.firstBlock)
    if first > 0, ranges[first - 1].volume == range.volume,
      ranges[first - 1].endBlock == range.firstBlock
    {
      first -= 1
    }
    var end = first
    while end < ranges.count, ranges[end].volume == range.volume,
      ranges[end].firstBlock <= range.endBlock
    {
      end += 1
    }
    return first..<end
  }

  /// How many ranges there would be with this one.
  func count(adding range: OwedRange) -> Int { count + 1 - joined(with: range).count }

  mutating func add(_ range: OwedRange) {
    let joined = joined(with: range)
    var merged = range
    if let first = ranges[joined].first, let last = ranges[joined].last {
      let start = min(first.firstBlock, range.firstBlock)
      merged.firstBlock = start
      merged.blockCount = max(last.endBlock, range.endBlock) - start
    }
    ranges.replaceSubrange(joined, with: CollectionOfOne(merged))
  }

  /// What is left of the ranges that this one overlaps, and which those are.
  private func rest(without range: OwedRange) -> (overlapped: Range<Int>, left: [OwedRange]) {
    let first = index(range.volume, endingBehind: range.firstBlock)
    var end = first
    while end < ranges.count, ranges[end].volume == range.volume,
      ranges[end].firstBlock < range.endBlock
    {
      end += 1
    }
    var left: [OwedRange] = []
    if first < end {
      let head = ranges[first]
      if head.firstBlock < range.firstBlock {
        left.append(
          OwedRange(
            volume: range.volume, firstBlock: head.firstBlock,
            blockCount: range.firstBlock - head.firstBlock))
      }
      let tail = ranges[end - 1]
      if range.endBlock < tail.endBlock {
        left.append(
          OwedRange(
            volume: range.volume, firstBlock: range.endBlock,
            blockCount: tail.endBlock - range.endBlock))
      }
    }
    return (first..<end, left)
  }

  /// How many ranges there would be without this one: one more where it is cut out of the middle.
  func count(removing range: OwedRange) -> Int {
    let (overlapped, left) = rest(without: range)
    return count - overlapped.count + left.count
  }

  mutating func remove(_ range: OwedRange) {
    let (overlapped, left) = rest(without: range)
    ranges.replaceSubrange(overlapped, with: left)
  }

  /// Takes everything of a volume away from `block` on. False: there was nothing.
  mutating func removeAll(of volume: VolumeID, from block: UInt64 = 0) -> Bool {
    guard let last = ranges(of: volume).last, block < last.endBlock else { return false }
    remove(
      OwedRange(volume: volume, firstBlock: block, blockCount: last.endBlock - block))
    return true
  }
}
