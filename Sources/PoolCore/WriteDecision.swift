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
    if entry.upper.isWritable(shareEpoch: shareEpoch) {
      self = .inPlace(entry.upper.address)
    } else if entry.lower.isNone {
      self = .fresh(copying: .none)
    } else {
      let upper = entry.upper.mask - mask
      if entry.upper.mask.count < 4 {
        self = .fresh(copying: upper)
      } else {
        self = .fresh(copying: (entry.upper.mask | entry.lower.mask) - mask)
      }
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
}

extension MapEntry {
  /// The entry after `change`, for a volume with `shareEpoch` in a pool at `poolEpoch`.
  public func applying(
    _ change: EntryChange, shareEpoch: ShareEpoch, poolEpoch: ShareEpoch
  ) -> MapEntry {
    var entry = self
    switch change {
    case .wroteInPlace(let extent, let mask):
      entry.write(mask, inPlaceAt: extent, shareEpoch: shareEpoch)
    case .wroteFresh(let extent, let written, let copied):
      entry.write(written, copied: copied, fresh: extent, birth: poolEpoch)
    case .cleared(let mask, let keepsProvision):
      entry.clear(mask, keepsProvision: keepsProvision)
    case .provisioned(let mask, let fresh):
      entry.provision(mask, fresh: fresh, shareEpoch: shareEpoch, birth: poolEpoch)
    }
    return entry
  }

  private mutating func write(
    _ mask: BlockMask, inPlaceAt extent: PoolAddress, shareEpoch: ShareEpoch
  ) {
    precondition(upper.address == extent)
    precondition(upper.isWritable(shareEpoch: shareEpoch))
    upper.mask = upper.mask | mask
    lower.mask = lower.mask - mask
    dropEmptyLayers()
  }

  private mutating func write(
    _ written: BlockMask, copied: BlockMask, fresh extent: PoolAddress, birth: ShareEpoch
  ) {
    if upper.address == extent {
      // Another write of the same decision took the extent and was applied before this one.
      upper.mask = upper.mask | written
      lower.mask = lower.mask - written
      dropEmptyLayers()
      return
    }
    let moved = written | copied
    var older = upper
    older.mask = older.mask - moved
    var oldest = lower
    oldest.mask = oldest.mask - moved
    let provision = (upper.flags | lower.flags) & Layer.provisionedFlag
    upper = Layer(address: extent, mask: moved, flags: provision, birth: birth)
    precondition(older.mask.isEmpty || oldest.mask.isEmpty, "a third layer would be stacked")
    lower = older.mask.isEmpty ? oldest : older
    lower.flags &= ~Layer.provisionedFlag
    dropEmptyLayers()
  }

  private mutating func clear(_ mask: BlockMask, keepsProvision: Bool) {
    upper.mask = upper.mask - mask
    lower.mask = lower.mask - mask
    if !keepsProvision && self.mask.isEmpty {
      upper.flags &= ~Layer.provisionedFlag
      lower.flags &= ~Layer.provisionedFlag
    }
    dropEmptyLayers()
  }

  private mutating func provision(
    _ mask: BlockMask, fresh: PoolAddress?, shareEpoch: ShareEpoch, birth: ShareEpoch
  ) {
    if let fresh {
      precondition(
        lower.isNone || upper.isNone || (upper.mask - mask).isEmpty
          || (lower.mask - mask).isEmpty, "a third layer would be stacked")
      upper.mask = upper.mask - mask
      lower.mask = lower.mask - mask
      lower = upper.mask.isEmpty ? lower : upper
      upper = Layer(address: fresh, mask: .none, flags: Layer.provisionedFlag, birth: birth)
      lower.flags &= ~Layer.provisionedFlag
    } else {
      precondition(upper.isWritable(shareEpoch: shareEpoch))
      upper.mask = upper.mask - mask
      lower.mask = lower.mask - mask
      upper.flags |= Layer.provisionedFlag
    }
    dropEmptyLayers()
  }

  /// A layer without blocks and without a provision names no space; the one that is left is the
  /// upper one. An emptied layer keeps its birth only as long as something else does not need its
  /// place.
  private mutating func dropEmptyLayers() {
    if lower.mask.isEmpty && !lower.isProvisioned { lower = .none }
    if upper.mask.isEmpty && !upper.isProvisioned {
      upper = lower
      lower = .none
    }
  }
}
