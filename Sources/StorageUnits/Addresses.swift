/// The number of a 4 KiB block in the pool's own address space, 40 bits. Zero is never given out
/// and means "none". Nothing but the segment table knows which device holds it.
@frozen public struct PoolAddress: Hashable, Comparable, Sendable {
  public var block: UInt64

  @inlinable public init(block: UInt64) { self.block = block }

  /// No address.
  public static let none = PoolAddress(block: 0)
  @inlinable public var isNone: Bool { block == 0 }

  /// The extent that holds the block.
  @inlinable public var extent: PoolExtent { PoolExtent(index: block >> 4) }

  @inlinable public static func < (a: PoolAddress, b: PoolAddress) -> Bool { a.block < b.block }
  @inlinable public func advanced(byBlocks n: Int) -> PoolAddress {
    PoolAddress(block: block + UInt64(n))
  }
}

/// The number of a 64 KiB extent in the pool's own address space: pool address / 16.
@frozen public struct PoolExtent: Hashable, Comparable, Sendable {
  public var index: UInt64

  @inlinable public init(index: UInt64) { self.index = index }
  @inlinable public var address: PoolAddress { PoolAddress(block: index << 4) }
  @inlinable public static func < (a: PoolExtent, b: PoolExtent) -> Bool { a.index < b.index }
}

/// The number of a 64 KiB extent in a volume's address space.
@frozen public struct VirtualExtent: Hashable, Comparable, Sendable {
  public var index: UInt64

  @inlinable public init(index: UInt64) { self.index = index }
  /// The extent that holds this byte of the volume.
  @inlinable public init(containingByte byte: UInt64) { self.index = byte >> 16 }
  /// The byte of the volume at which the extent starts.
  @inlinable public var firstByte: UInt64 { index << 16 }
  @inlinable public static func < (a: VirtualExtent, b: VirtualExtent) -> Bool {
    a.index < b.index
  }
}

/// The number of a segment: pool address >> segment shift.
@frozen public struct SegmentIndex: Hashable, Comparable, Sendable {
  public var index: UInt32

  @inlinable public init(index: UInt32) { self.index = index }
  @inlinable public static func < (a: SegmentIndex, b: SegmentIndex) -> Bool { a.index < b.index }
}

/// The index of a device in its pool; never given to another device of the same pool.
@frozen public struct DeviceIndex: Hashable, Comparable, Sendable {
  public var index: UInt16

  @inlinable public init(index: UInt16) { self.index = index }
  @inlinable public static func < (a: DeviceIndex, b: DeviceIndex) -> Bool { a.index < b.index }
}

/// A place on a device, in 4 KiB units.
@frozen public struct DevicePlace: Hashable, Sendable {
  public var device: DeviceIndex
  /// The offset on the device in units of 4 KiB, 48 bits.
  public var block: UInt64

  @inlinable public init(device: DeviceIndex, block: UInt64) {
    self.device = device
    self.block = block
  }
  @inlinable public var byteOffset: DeviceByteOffset { DeviceByteOffset(block << 12) }
  @inlinable public func advanced(byBlocks n: UInt64) -> DevicePlace {
    DevicePlace(device: device, block: block + n)
  }
}
