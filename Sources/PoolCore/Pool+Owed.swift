public import DiskFormat
public import StorageUnits

/// Discards that cannot be done for lack of nodes are owed: a record says so, and from then on the
/// blocks read as zeros, whatever the map has. So the set of owed ranges is a layer of zeros above
/// the maps of volumes, and what is owed is part of a volume's content.
///
/// It goes where something is written, when the volume gets another map (rollback) or goes, beyond
/// the end of one that was made smaller, and, range by range, when the discards are done.
///
/// A snapshot has no such layer: it is made only of a volume that owes nothing.
extension Pool {
  /// So many ranges fit into a pool of this size; space for their nodes is always reserved.
  public var owedCapacity: Int { owedLeavesAtMost * FormatConstants.owedPerLeaf }

  /// One leaf for each 64 MiB of pool, and no more than one inner node has.
  var owedLeavesAtMost: Int {
    let poolBytes = segments.count * segments.blocks * FormatConstants.blockBytes
    return min(max(poolBytes / (64 << 20), 1), FormatConstants.pointersPerNode)
  }

  var owedLeafCount: Int {
    (owed.count + FormatConstants.owedPerLeaf - 1) / FormatConstants.owedPerLeaf
  }

  /// Some volume owes discards.
  public var hasOwed: Bool { !owed.isEmpty }

  /// No range may be split any more.
  public var isOwedFull: Bool { owed.count >= owedCapacity }

  /// All ranges, by volume and block.
  public var owedRanges: [OwedRange] { owed.ranges }

  public var owedBytes: UInt64 { owed.ranges.reduce(0) { $0 + $1.byteCount } }

  public func owedBytes(of volume: VolumeSlot) -> UInt64 {
    owed.ranges(of: volumes.states[volume.index].id).reduce(0) { $0 + $1.byteCount }
  }

  public func owes(_ volume: VolumeSlot) -> Bool {
    !owed.isEmpty && !owed.ranges(of: volumes.states[volume.index].id).isEmpty
  }

  /// The blocks of an extent that read as zeros, whatever the map says.
  public func owedMask(_ volume: VolumeSlot, _ extent: VirtualExtent) -> BlockMask {
    if owed.isEmpty { return .none }
    return owed.mask(volumes.states[volume.index].id, extent)
  }

  /// Where a volume owes discards, in bytes and in ascending order; the last one may reach beyond
  /// its end.
  public func owedHoles(of volume: VolumeSlot) -> [Range<UInt64>] {
    if owed.isEmpty { return [] }
    let bytes = UInt64(StorageSizes.blockBytes)
    return owed.ranges(of: volumes.states[volume.index].id).map {
      $0.firstBlock * bytes..<$0.endBlock * bytes
    }
  }

  /// The first range that ends behind a block of a volume, else the first of all.
  public func nextOwed(_ volume: VolumeID, endingBehind block: UInt64) -> OwedRange? {
    owed.next(volume, endingBehind: block)
  }

  // MARK: Owing

  /// Whether the range may be owed. Half of the capacity is kept for ranges that writes split.
  public func canOwe(_ range: OwedRange) -> Bool {
    owed.count(adding: range) <= owedCapacity / 2
  }

  public func applyOwe(_ range: OwedRange) {
    _ = applyNew(.owed(OwedChange(.owe, range)))
  }

  // MARK: Settling

  /// Whether `applySettle` may follow: a range that is cut out of the middle of another one makes
  /// one more.
  public func canSettle(_ range: OwedRange) -> Bool {
    owed.count(removing: range) <= owedCapacity
  }

  /// Nothing of the range is owed any more. There is no record if nothing was.
  ///
  /// What a write named in the map is named before this: a crash in between shows zeros, never what
  /// was discarded.
  public func applySettle(_ range: OwedRange) {
    guard owed.intersects(range) else { return }
    _ = applyNew(.owed(OwedChange(.settle, range)))
  }

  /// The blocks of an extent as a range; `mask` (not empty) has no gaps that count.
  public func owedRange(
    _ volume: VolumeSlot, _ extent: VirtualExtent, _ mask: BlockMask
  ) -> OwedRange {
    let end = UInt16.bitWidth - mask.bits.leadingZeroBitCount
    return OwedRange(
      volume: volumes.states[volume.index].id, firstBlock: extent.index << 4 + UInt64(mask.first),
      blockCount: UInt64(end - mask.first))
  }

  // MARK: Records

  func applyOwedChange(_ change: OwedChange) {
    switch change.action {
    case .owe: owed.add(change.range)
    case .settle: owed.remove(change.range)
    }
    isOwedDirty = true
  }

  /// The volume has another map, or goes, or is smaller: what is owed from `block` on goes.
  func forgetOwed(of volume: VolumeID, from block: UInt64 = 0) {
    if owed.removeAll(of: volume, from: block) { isOwedDirty = true }
  }

  func checkOwedChange(_ change: OwedChange) throws(FormatError) {
    let range = change.range
    guard let slot = volumes.slot(range.volume), !volumes.states[slot].isSnapshot else {
      throw .badField(.record, "volume")
    }
    guard range.endBlock <= ByteCount(volumes.states[slot].sizeBytes).blocksRoundingUp else {
      throw .badField(.record, "blockCount")
    }
    switch change.action {
    case .owe:
      guard owed.count(adding: range) <= owedCapacity else {
        throw .badField(.record, "owed")
      }
    case .settle:
      guard owed.intersects(range), owed.count(removing: range) <= owedCapacity else {
        throw .badField(.record, "owed")
      }
    }
  }
}
