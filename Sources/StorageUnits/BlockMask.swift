/// Which of an extent's 16 blocks: bit 0 is the first.
@frozen public struct BlockMask: Hashable, Sendable {
  public var bits: UInt16

  @inlinable public init(bits: UInt16) { self.bits = bits }
  /// The blocks `first ..< first + count` of an extent.
  @inlinable public init(first: Int, count: Int) {
    precondition(first >= 0)
    precondition(count >= 0)
    precondition(first + count <= StorageSizes.blocksPerExtent)
    self.bits = UInt16(truncatingIfNeeded: ((UInt32(1) << UInt32(count)) &- 1) << UInt32(first))
  }

  public static let none = BlockMask(bits: 0)
  public static let all = BlockMask(bits: 0xFFFF)

  @inlinable public var isEmpty: Bool { bits == 0 }
  @inlinable public var count: Int { bits.nonzeroBitCount }
  @inlinable public func contains(_ block: Int) -> Bool { bits & (1 << UInt16(block)) != 0 }
  @inlinable public func isSuperset(of other: BlockMask) -> Bool { other.bits & ~bits == 0 }
  @inlinable public func intersects(_ other: BlockMask) -> Bool { bits & other.bits != 0 }
  /// The index of the first block in the mask, 16 if it is empty.
  @inlinable public var first: Int { bits.trailingZeroBitCount }

  @inlinable public static func | (a: BlockMask, b: BlockMask) -> BlockMask {
    BlockMask(bits: a.bits | b.bits)
  }
  @inlinable public static func & (a: BlockMask, b: BlockMask) -> BlockMask {
    BlockMask(bits: a.bits & b.bits)
  }
  /// The blocks of `a` that are not in `b`.
  @inlinable public static func - (a: BlockMask, b: BlockMask) -> BlockMask {
    BlockMask(bits: a.bits & ~b.bits)
  }
}
