/// The fixed sizes of the pool's address space (`Docs/OnDiskFormat.md`, "Units").
public enum StorageSizes {
  /// The unit that hosts may address, in bytes.
  public static let sectorBytes = 512
  /// The unit of validity and of copy-on-write, in bytes.
  public static let blockBytes = 4096
  /// The unit of allocation, in bytes.
  public static let extentBytes = 65536
  /// Blocks in an extent.
  public static let blocksPerExtent = 16
  /// Bits of a pool address.
  public static let poolAddressBits = 40
  /// The largest volume: 32 PiB.
  public static let maximumVolumeBytes: UInt64 = 32 << 50
}

/// A number of bytes: a length or a size, never a position.
@frozen public struct ByteCount: Hashable, Comparable, Sendable {
  public var bytes: UInt64

  @inlinable public init(_ bytes: UInt64) { self.bytes = bytes }
  @inlinable public init(_ bytes: Int) { self.bytes = UInt64(bytes) }

  @inlinable public static func < (a: ByteCount, b: ByteCount) -> Bool { a.bytes < b.bytes }

  /// The number of blocks that hold this many bytes, the last one perhaps in part.
  @inlinable public var blocksRoundingUp: UInt64 {
    bytes / UInt64(StorageSizes.blockBytes)
      + (bytes % UInt64(StorageSizes.blockBytes) == 0 ? 0 : 1)
  }

  /// The number of extents that hold this many bytes, the last one perhaps in part.
  @inlinable public var extentsRoundingUp: UInt64 {
    bytes / UInt64(StorageSizes.extentBytes)
      + (bytes % UInt64(StorageSizes.extentBytes) == 0 ? 0 : 1)
  }
}

/// A byte position on a device.
@frozen public struct DeviceByteOffset: Hashable, Comparable, Sendable {
  public var bytes: UInt64

  @inlinable public init(_ bytes: UInt64) { self.bytes = bytes }

  @inlinable public static func < (a: DeviceByteOffset, b: DeviceByteOffset) -> Bool {
    a.bytes < b.bytes
  }
  @inlinable public static func + (a: DeviceByteOffset, b: ByteCount) -> DeviceByteOffset {
    DeviceByteOffset(a.bytes + b.bytes)
  }
}
