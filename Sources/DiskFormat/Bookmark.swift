public import StorageUnits

/// A base that later differences of a volume are counted from, without holding any space (336
/// bytes): the branch point of a snapshot, by which births tell what was changed since.
public struct Bookmark: Hashable, Sendable {
  /// The number of the record that made it, not 0. In that record 0: it follows from its place.
  public var id: RecordNumber
  /// The volume whose snapshot it was made of; its name is unique among those of the volume.
  public var volume: VolumeID
  /// The snapshot, which may be gone.
  public var snapshot: VolumeID
  public var snapshotIdentity: StorageUUID
  /// The snapshot's branch point, not 0.
  public var epoch: ShareEpoch
  /// The snapshot's size in bytes.
  public var sizeBytes: UInt64
  /// Seconds since 1970: the bookmark, and its snapshot.
  public var createdAt: UInt64
  public var snapshotCreatedAt: UInt64
  /// 1 to 127 bytes of UTF-8.
  public var name: String
  /// The snapshot's own name, likewise.
  public var snapshotName: String

  public init(
    id: RecordNumber, volume: VolumeID, snapshot: VolumeID, snapshotIdentity: StorageUUID,
    epoch: ShareEpoch, sizeBytes: UInt64, createdAt: UInt64, snapshotCreatedAt: UInt64,
    name: String, snapshotName: String
  ) {
    self.id = id
    self.volume = volume
    self.snapshot = snapshot
    self.snapshotIdentity = snapshotIdentity
    self.epoch = epoch
    self.sizeBytes = sizeBytes
    self.createdAt = createdAt
    self.snapshotCreatedAt = snapshotCreatedAt
    self.name = name
    self.snapshotName = snapshotName
  }
}

/// Byte offsets in a bookmark.
private enum At {
  static let id = 0
  static let volume = 8
  static let snapshot = 16
  static let snapshotIdentity = 24
  static let epoch = 40
  static let nameLength = 44
  static let snapshotNameLength = 45
  static let reserved = 46..<48
  static let sizeBytes = 48
  static let createdAt = 56
  static let snapshotCreatedAt = 64
  static let alsoReserved = 72..<80
  static let name = 80
  static let snapshotName = 208
}

private let nameCapacity = 128

extension Bookmark {
  private static func offset(_ index: Int) -> Int {
    precondition(index >= 0)
    precondition(index < FormatConstants.bookmarksPerLeaf)
    return FormatConstants.nodeHeaderBytes + index * FormatConstants.bookmarkBytes
  }

  /// Refuses what no writer makes; called before writing and after reading. `isRecord`: as the
  /// record that makes it carries it.
  public func validate(isRecord: Bool = false) throws(FormatError) {
    try FormatError.require((id.number == 0) == isRecord, .bookmark, "id")
    try FormatError.requireCounter(id.number, .bookmark, "id")
    try FormatError.require(volume.number != 0, .bookmark, "volume")
    try FormatError.requireCounter(volume.number, .bookmark, "volume")
    try FormatError.require(snapshot.number > volume.number, .bookmark, "snapshot")
    try FormatError.requireCounter(snapshot.number, .bookmark, "snapshot")
    try FormatError.require(epoch != .zero, .bookmark, "epoch")
    try FormatError.require(
      sizeBytes <= StorageSizes.maximumVolumeBytes, .bookmark, "sizeBytes")
    let lengths = 1...VolumeRecord.maximumNameBytes
    try FormatError.require(lengths.contains(name.utf8.count), .bookmark, "name")
    try FormatError.require(lengths.contains(snapshotName.utf8.count), .bookmark, "snapshotName")
  }

  /// Writes the bookmark into slot `index` (0-11) of a leaf of the list of bookmarks.
  public func encode(into node: NodeImage, index: Int) {
    let writer = node.writer(at: Self.offset(index), count: FormatConstants.bookmarkBytes)
    encode(into: writer, isRecord: false)
  }

  func encode(into writer: FieldWriter, isRecord: Bool) {
    FormatError.assertValid { () throws(FormatError) in try validate(isRecord: isRecord) }
    writer.u64(id.number, At.id)
    writer.u64(volume.number, At.volume)
    writer.u64(snapshot.number, At.snapshot)
    writer.uuid(snapshotIdentity, At.snapshotIdentity)
    writer.u32(epoch.number, At.epoch)
    writer.u8(UInt8(name.utf8.count), At.nameLength)
    writer.u8(UInt8(snapshotName.utf8.count), At.snapshotNameLength)
    writer.u64(sizeBytes, At.sizeBytes)
    writer.u64(createdAt, At.createdAt)
    writer.u64(snapshotCreatedAt, At.snapshotCreatedAt)
    writer.text(name, at: At.name, capacity: nameCapacity)
    writer.text(snapshotName, at: At.snapshotName, capacity: nameCapacity)
  }

  /// Reads slot `index` (0-11) of a leaf of the list of bookmarks; nil if it is empty (all zero).
  public static func decode(from node: NodeImage, index: Int) throws(FormatError) -> Bookmark? {
    let reader = node.reader(at: offset(index), count: FormatConstants.bookmarkBytes)
    guard !reader.isZero(0..<reader.count) else { return nil }
    return try Bookmark(decoding: reader, isRecord: false)
  }

  init(decoding reader: FieldReader, isRecord: Bool) throws(FormatError) {
    guard reader.isZero(At.reserved), reader.isZero(At.alsoReserved) else {
      throw .reservedNotZero(.bookmark)
    }
    let name = reader.text(
      at: At.name, length: Int(reader.u8(At.nameLength)), capacity: nameCapacity)
    let snapshotName = reader.text(
      at: At.snapshotName, length: Int(reader.u8(At.snapshotNameLength)), capacity: nameCapacity)
    guard let name else { throw .badField(.bookmark, "name") }
    guard let snapshotName else { throw .badField(.bookmark, "snapshotName") }
    self.init(
      id: RecordNumber(reader.u64(At.id)), volume: VolumeID(reader.u64(At.volume)),
      snapshot: VolumeID(reader.u64(At.snapshot)),
      snapshotIdentity: reader.uuid(At.snapshotIdentity),
      epoch: ShareEpoch(reader.u32(At.epoch)), sizeBytes: reader.u64(At.sizeBytes),
      createdAt: reader.u64(At.createdAt), snapshotCreatedAt: reader.u64(At.snapshotCreatedAt),
      name: name, snapshotName: snapshotName)
    try validate(isRecord: isRecord)
  }
}
