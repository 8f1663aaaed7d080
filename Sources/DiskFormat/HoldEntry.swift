public import StorageUnits

/// A hold on a volume or snapshot, which refuses its deletion (256 bytes).
public struct HoldEntry: Hashable, Sendable {
  public var volume: VolumeID
  /// 1 to 63 characters of `[A-Za-z0-9._-]`; unique among the holds of its volume.
  public var tag: String
  /// For people; at most 159 bytes of UTF-8, none of them zero; may be empty.
  public var reason: String
  /// Seconds since 1970.
  public var createdAt: UInt64

  public init(volume: VolumeID, tag: String, reason: String, createdAt: UInt64) {
    self.volume = volume
    self.tag = tag
    self.reason = reason
    self.createdAt = createdAt
  }
}

/// A hold that is placed or released, as a record says it.
public struct HoldChange: Hashable, Sendable {
  public enum Action: UInt8, Sendable {
    case place = 1
    /// The entry is the one that was placed, whole.
    case release = 2
  }
  public var action: Action
  public var entry: HoldEntry

  public init(_ action: Action, _ entry: HoldEntry) {
    self.action = action
    self.entry = entry
  }
}

/// Byte offsets in a hold.
private enum At {
  static let volume = 0
  static let createdAt = 8
  static let tagLength = 16
  static let reasonLength = 17
  static let reserved = 18
  static let tag = 24
  static let reason = 88
  static let end = 248
}

private let tagCapacity = 64
private let reasonCapacity = 160

extension HoldEntry {
  /// The longest tag and reason, in bytes of UTF-8.
  public static let maximumTagBytes = tagCapacity - 1
  public static let maximumReasonBytes = reasonCapacity - 1

  private static func offset(_ index: Int) -> Int {
    precondition(index >= 0)
    precondition(index < FormatConstants.holdsPerLeaf)
    return FormatConstants.nodeHeaderBytes + index * FormatConstants.holdEntryBytes
  }

  /// Refuses what no writer makes; called before writing and after reading.
  public func validate() throws(FormatError) {
    try FormatError.require(volume.number != 0, .hold, "volume")
    try FormatError.requireCounter(volume.number, .hold, "volume")
    let tagBytes = tag.utf8.count
    try FormatError.require(tagBytes >= 1 && tagBytes <= Self.maximumTagBytes, .hold, "tag")
    try FormatError.require(reason.utf8.count <= Self.maximumReasonBytes, .hold, "reason")
    try FormatError.require(!tag.utf8.contains(0), .hold, "tag")
    try FormatError.require(!reason.utf8.contains(0), .hold, "reason")
  }

  /// Writes the hold into slot `index` (0-14) of a leaf of the list.
  public func encode(into node: NodeImage, index: Int) {
    encode(
      into: node.writer(at: Self.offset(index), count: FormatConstants.holdEntryBytes))
  }

  func encode(into writer: FieldWriter) {
    FormatError.assertValid { () throws(FormatError) in try validate() }
    writer.u64(volume.number, At.volume)
    writer.u64(createdAt, At.createdAt)
    writer.u8(UInt8(tag.utf8.count), At.tagLength)
    writer.u8(UInt8(reason.utf8.count), At.reasonLength)
    writer.text(tag, at: At.tag, capacity: tagCapacity)
    writer.text(reason, at: At.reason, capacity: reasonCapacity)
  }

  /// Reads slot `index` (0-14) of a leaf of the list; nil if it is empty (all zero).
  public static func decode(from node: NodeImage, index: Int) throws(FormatError) -> HoldEntry? {
    let reader = node.reader(at: offset(index), count: FormatConstants.holdEntryBytes)
    guard !reader.isZero(0..<reader.count) else { return nil }
    return try HoldEntry(decoding: reader)
  }

  init(decoding reader: FieldReader) throws(FormatError) {
    guard reader.isZero(At.reserved..<At.tag), reader.isZero(At.end..<reader.count) else {
      throw .reservedNotZero(.hold)
    }
    guard
      let tag = reader.text(
        at: At.tag, length: Int(reader.u8(At.tagLength)), capacity: tagCapacity)
    else { throw .badField(.hold, "tag") }
    guard
      let reason = reader.text(
        at: At.reason, length: Int(reader.u8(At.reasonLength)), capacity: reasonCapacity)
    else { throw .badField(.hold, "reason") }
    self.init(
      volume: VolumeID(reader.u64(At.volume)), tag: tag, reason: reason,
      createdAt: reader.u64(At.createdAt))
    try validate()
  }
}
