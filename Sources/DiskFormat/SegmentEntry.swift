public import StorageUnits

/// What a segment is used for.
@frozen public enum SegmentClass: UInt8, Sendable {
  case free = 0
  case data = 1
  case node = 2
  /// Its place serves as the second place of a node segment; the segment itself has none.
  case lent = 3
}

/// A line of the segment table: where a segment lies and what it holds.
@frozen public struct SegmentEntry: Hashable, Sendable {
  /// Where the segment starts; nil for a lent segment only.
  public var place: DevicePlace?
  /// The second copy, on another device.
  public var secondPlace: DevicePlace?
  public var segmentClass: SegmentClass
  /// Free extents (data) or blocks (node) as of the checkpoint that wrote the entry. For choosing
  /// only; the counts decide.
  public var freeUnits: UInt32
  /// Data: the page that counts its extents. None: every count is zero.
  public var countPage: PoolAddress
  /// Data: the checksum of the count page. Node: the checksum over the whole current count image.
  public var countChecksum: UInt32
  /// Node: which of the two count images at the segment's start is current, 0 or 1.
  public var currentImage: UInt8
  /// Reserved for data checksums: zero in version 1.
  public var attributeRoot: PoolAddress
  public var attributeChecksum: UInt32

  public init(place: DevicePlace?) {
    self.place = place
    secondPlace = nil
    segmentClass = .free
    freeUnits = 0
    countPage = .none
    countChecksum = 0
    currentImage = 0
    attributeRoot = .none
    attributeChecksum = 0
  }
}
