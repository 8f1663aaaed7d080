public import StorageUnits

/// How a node names another: where it is, what its checksum is, and since when this pointer exists.
@frozen public struct NodePointer: Hashable, Sendable {
  public var address: PoolAddress
  /// Bit 7 is for memory only: `address` is then the number of a node that has no place on disk
  /// yet. It is never written.
  public var flags: UInt8
  public var checksum: UInt32
  public var birth: ShareEpoch

  @inlinable public init(
    address: PoolAddress, flags: UInt8 = 0, checksum: UInt32, birth: ShareEpoch
  ) {
    self.address = address
    self.flags = flags
    self.checksum = checksum
    self.birth = birth
  }

  public static let memoryFlag: UInt8 = 0x80
  public static let none = NodePointer(address: .none, checksum: 0, birth: .zero)
  @inlinable public var isNone: Bool { address.isNone }
  @inlinable public var isInMemory: Bool { flags & Self.memoryFlag != 0 }
}

/// The root of a tree of nodes.
@frozen public struct TreeRoot: Hashable, Sendable {
  public var pointer: NodePointer
  /// The level of the root node: 0 is a leaf.
  public var level: UInt8

  @inlinable public init(pointer: NodePointer, level: UInt8) {
    self.pointer = pointer
    self.level = level
  }

  public static let none = TreeRoot(pointer: .none, level: 0)
  @inlinable public var isNone: Bool { pointer.isNone }
}

/// The shape of a radix tree whose leaves hold `leafCapacity` items.
public enum TreeShape {
  /// How many items one node of `level` spans.
  @inlinable public static func span(level: UInt8, leafCapacity: Int) -> UInt64 {
    var span = UInt64(leafCapacity)
    for _ in 0..<level { span *= UInt64(FormatConstants.pointersPerNode) }
    return span
  }

  /// The least level whose one node spans `count` items.
  @inlinable public static func level(forCount count: UInt64, leafCapacity: Int) -> UInt8 {
    var level: UInt8 = 0
    while span(level: level, leafCapacity: leafCapacity) < count { level += 1 }
    return level
  }

  /// How many segments one page of `level` of the segment table spans: 63 in a page of entries, and
  /// 168 pages below an inner one (its pointers are wider than those of a node).
  @inlinable public static func segmentSpan(level: UInt8) -> UInt64 {
    var span = UInt64(FormatConstants.segmentsPerPage)
    for _ in 0..<level { span *= UInt64(FormatConstants.systemPointersPerPage) }
    return span
  }

  /// The least level whose one page spans `count` segments.
  @inlinable public static func segmentLevel(forCount count: UInt64) -> UInt8 {
    var level: UInt8 = 0
    while segmentSpan(level: level) < count { level += 1 }
    return level
  }
}
