public import StorageUnits

/// One of the two layers of a map entry: an extent, which of its blocks are valid here, and since
/// when the layer exists.
@frozen public struct Layer: Hashable, Sendable {
  /// Plain: the first block of an extent, or none. Packed: any block (`isPacked`).
  public var address: PoolAddress
  /// Which blocks of the virtual extent come from this layer.
  public var mask: BlockMask
  /// Bit 0: provisioned. Bits 1-2: kind. Bits 3-6: length (kind 2). Bit 7: `clearedFlag`.
  public var flags: UInt8
  public var birth: ShareEpoch

  @inlinable public init(
    address: PoolAddress, mask: BlockMask, flags: UInt8 = 0, birth: ShareEpoch
  ) {
    self.address = address
    self.mask = mask
    self.flags = flags
    self.birth = birth
  }

  public static let provisionedFlag: UInt8 = 1
  /// Of a lower layer below an upper one: blocks of the entry were cleared, nobody knows when, so
  /// each that is clear may have changed since any bookmark.
  public static let clearedFlag: UInt8 = 0x80
  public static let none = Layer(address: .none, mask: .none, birth: .zero)

  @inlinable public var isNone: Bool { address.isNone }
  /// Space is held although the mask may be empty.
  @inlinable public var isProvisioned: Bool { flags & Self.provisionedFlag != 0 }
  /// 0 plain, 1 packed; 2 and 3 are refused in version 1.
  @inlinable public var kind: UInt8 { flags >> 1 & 3 }
  /// Several entries may share the extent; never written in place.
  @inlinable public var isPacked: Bool { kind == 1 }

  /// Where block `index` (0-15) of the virtual extent lies, if the mask has it. A packed layer's
  /// k-th set bit lies at address + k.
  @inlinable public func address(ofBlock index: Int) -> PoolAddress {
    guard isPacked else { return address.advanced(byBlocks: index) }
    let below = mask.bits & ((1 << UInt16(index)) &- 1)
    return address.advanced(byBlocks: below.nonzeroBitCount)
  }
}

/// What the map says of one virtual extent. Block i comes from the upper layer if its mask has bit
/// i, else from the lower one, else it is the zero page. The masks never overlap.
@frozen public struct MapEntry: Hashable, Sendable {
  public var upper: Layer
  public var lower: Layer

  @inlinable public init(upper: Layer, lower: Layer) {
    self.upper = upper
    self.lower = lower
  }

  public static let none = MapEntry(upper: .none, lower: .none)
  /// No layer names space. (A birth may be left: `clearBirth`.)
  @inlinable public var isNone: Bool { upper.isNone && lower.isNone }
  /// The blocks that hold data.
  @inlinable public var mask: BlockMask { upper.mask | lower.mask }
  @inlinable public var isProvisioned: Bool { upper.isProvisioned || lower.isProvisioned }
  /// The share epoch at which blocks of it were cleared last, as far as a bookmark or snapshot may
  /// ask: kept as the birth of a layer that names nothing. Nil: some were, nobody knows when.
  @inlinable public var clearBirth: ShareEpoch? {
    if upper.isNone { return lower.isNone ? max(upper.birth, lower.birth) : upper.birth }
    if lower.isNone { return lower.birth }
    return lower.flags & Layer.clearedFlag != 0 ? nil : .zero
  }
  /// The number of distinct extents that the entry names, 0 to 2.
  @inlinable public var extentCount: Int {
    if upper.isNone { return lower.isNone ? 0 : 1 }
    if lower.isNone { return 1 }
    return upper.address.extent == lower.address.extent ? 1 : 2
  }
}
