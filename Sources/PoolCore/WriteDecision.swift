public import DiskFormat
public import StorageUnits

/// Where the blocks of a write go, decided from the entry and the volume's share epoch alone.
///
/// The rules are design "The map": a layer may be changed in place if and only if its birth is
/// greater than the volume's share epoch; a third layer is never stacked.
@frozen public enum WriteDecision: Hashable, Sendable {
  /// Write into the layer at this extent.
  case inPlace(PoolAddress)
  /// Take a fresh extent. `copying` blocks of the entry are read first and written beside the new
  /// ones: empty unless a third layer would arise.
  case fresh(copying: BlockMask)

  /// Decides for a write of `mask` (not empty).
  @inlinable public init(
    writing mask: BlockMask, to entry: MapEntry, shareEpoch: ShareEpoch
  ) {
    precondition(!mask.isEmpty)
    let upper = entry.upper.mask - mask
    let lower = entry.lower.mask - mask
    if entry.upper.isWritable(shareEpoch: shareEpoch) {
      // A packed layer that cannot give up these blocks alone gives up all: they are copied.
      self =
        entry.lower.canLose(mask)
        ? .inPlace(entry.upper.address) : .fresh(copying: upper | lower)
    } else if upper.isEmpty && entry.lower.canLose(mask) {
      self = .fresh(copying: .none)
    } else if lower.isEmpty && entry.upper.canLose(mask) {
      self = .fresh(copying: .none)
    } else if upper.count < 4 && entry.lower.canLose(mask) {
      self = .fresh(copying: upper)
    } else {
      self = .fresh(copying: upper | lower)
    }
  }

  /// The decision merges older layers, so nothing else may be in flight for the extent.
  @inlinable public var merges: Bool {
    if case .fresh(let copying) = self { return !copying.isEmpty }
    return false
  }
}

extension Layer {
  /// May be changed in place by a volume with this share epoch.
  @inlinable public func isWritable(shareEpoch: ShareEpoch) -> Bool {
    !isNone && !isPacked && shareEpoch < birth
  }

  /// Whether the layer still says where its other blocks lie once `blocks` are taken from its mask.
  ///
  /// A packed layer's blocks lie one after the other in the order of the mask, so it can lose its
  /// first or last ones (or all), but none from the middle: then what is left must be copied.
  @inlinable public func canLose(_ blocks: BlockMask) -> Bool {
    guard isPacked, mask.intersects(blocks) else { return true }
    let left = mask - blocks
    if left.isEmpty { return true }
    let end = 16 - left.bits.leadingZeroBitCount
    let span = BlockMask(first: left.first, count: end - left.first)
    return (mask & span) == left
  }

  /// Takes blocks from the mask; a packed layer then starts at its first one that is left.
  mutating func lose(_ blocks: BlockMask) {
    guard mask.intersects(blocks) else { return }
    precondition(canLose(blocks), "a packed layer would name wrong blocks")
    let left = mask - blocks
    if isPacked && !left.isEmpty { address = address(ofBlock: left.first) }
    mask = left
  }
}

extension MapEntry {
  /// Whether `EntryChange.cleared` and `.provisioned` may take these blocks from the entry. If not
  /// (a packed layer would lose blocks from its middle, and no writer of version 1 makes packed
  /// layers), the whole entry must be merged first: `.wroteFresh(written: .none, copied: mask)`.
  @inlinable public func canLose(_ blocks: BlockMask) -> Bool {
    upper.canLose(blocks) && lower.canLose(blocks)
  }

  /// The entry after `change`, for a volume with `shareEpoch` in a pool at `poolEpoch`.
  /// `bookmarkEpoch` is that of the newest bookmark on the volume's line.
  public func applying(
    _ change: EntryChange, shareEpoch: ShareEpoch, bookmarkEpoch: ShareEpoch = .zero,
    poolEpoch: ShareEpoch
  ) -> MapEntry {
    var entry = self
    entry.upper.flags &= ~Layer.clearedFlag
    entry.lower.flags &= ~Layer.clearedFlag
    switch change {
    case .wroteInPlace(let extent, let mask):
      entry.write(mask, inPlaceAt: extent, shareEpoch: shareEpoch)
    case .wroteFresh(let extent, let written, let copied):
      entry.write(written, copied: copied, fresh: extent, birth: poolEpoch)
    case .cleared(let mask, let keepsProvision):
      entry.clear(mask, keepsProvision: keepsProvision)
    case .provisioned(let mask, let fresh):
      entry.provision(mask, fresh: fresh, shareEpoch: shareEpoch, birth: poolEpoch)
    case .raised:
      precondition(entry.upper.isWritable(shareEpoch: shareEpoch))
      entry.upper.birth = poolEpoch
    }
    var clearBirth = self.clearBirth
    let isAsked = max(shareEpoch, bookmarkEpoch) != .zero
    if isAsked && !(self.mask - entry.mask).isEmpty { clearBirth = poolEpoch }
    entry.keep(clearBirth: clearBirth, poolEpoch: poolEpoch)
    return entry
  }

  /// Remembers when blocks were cleared, so that what changed since a bookmark has them: with the
  /// layer that names nothing, if there is one.
  private mutating func keep(clearBirth: ShareEpoch?, poolEpoch: ShareEpoch) {
    if !upper.isNone && !lower.isNone {
      if clearBirth != .zero { lower.flags |= Layer.clearedFlag }
      return
    }
    let emptied = Layer(address: .none, mask: .none, birth: clearBirth ?? poolEpoch)
    if upper.isNone && lower.isNone {
      upper = emptied
      lower = .none
    } else if upper.isNone {
      upper = emptied
    } else {
      lower = emptied
    }
  }

  private mutating func write(
    _ mask: BlockMask, inPlaceAt extent: PoolAddress, shareEpoch: ShareEpoch
  ) {
    precondition(upper.address == extent)
    precondition(upper.isWritable(shareEpoch: shareEpoch))
    upper.mask = upper.mask | mask
    lower.lose(mask)
    dropEmptyLayers()
  }

  private mutating func write(
    _ written: BlockMask, copied: BlockMask, fresh extent: PoolAddress, birth: ShareEpoch
  ) {
    if upper.address == extent {
      // Another write of the same decision took the extent and was applied before this one.
      precondition(!upper.isPacked)
      upper.mask = upper.mask | written
      lower.lose(written)
      dropEmptyLayers()
      return
    }
    let moved = written | copied
    let provision = (upper.flags | lower.flags) & Layer.provisionedFlag
    takeAway(moved)
    precondition(upper.mask.isEmpty || lower.mask.isEmpty, "a third layer would be stacked")
    if !upper.mask.isEmpty { lower = upper }
    lower.flags &= ~Layer.provisionedFlag
    upper = Layer(address: extent, mask: moved, flags: provision, birth: birth)
    dropEmptyLayers()
  }

  /// Takes blocks from both layers.
  private mutating func takeAway(_ blocks: BlockMask) {
    upper.lose(blocks)
    lower.lose(blocks)
  }

  private mutating func clear(_ mask: BlockMask, keepsProvision: Bool) {
    takeAway(mask)
    if !keepsProvision && self.mask.isEmpty {
      upper.flags &= ~Layer.provisionedFlag
      lower.flags &= ~Layer.provisionedFlag
    }
    dropEmptyLayers()
  }

  /// The provision belongs to the extent that later writes go to: the one that is the volume's own.
  private mutating func provision(
    _ mask: BlockMask, fresh: PoolAddress?, shareEpoch: ShareEpoch, birth: ShareEpoch
  ) {
    takeAway(mask)
    if let fresh {
      precondition(upper.mask.isEmpty || lower.mask.isEmpty, "a third layer would be stacked")
      if !upper.mask.isEmpty { lower = upper }
      upper = Layer(address: fresh, mask: .none, flags: Layer.provisionedFlag, birth: birth)
    } else {
      precondition(upper.isWritable(shareEpoch: shareEpoch))
      upper.flags |= Layer.provisionedFlag
    }
    lower.flags &= ~Layer.provisionedFlag
    dropEmptyLayers()
  }

  /// A layer without blocks and without a provision names no space; the one that is left is the
  /// upper one.
  private mutating func dropEmptyLayers() {
    if lower.mask.isEmpty && !lower.isProvisioned { lower = .none }
    if upper.mask.isEmpty && !upper.isProvisioned {
      upper = lower
      lower = .none
    }
  }
}
