import StorageUnits

/// Byte offsets in a volume record.
private enum At {
  static let id = 0
  static let uuid = 8
  static let family = 24
  static let versionNode = 32
  static let shareEpoch = 40
  static let bookmarkEpoch = 44
  static let sizeBytes = 48
  static let logicalBlockBytes = 56
  static let flags = 60
  static let nameLength = 61
  static let copies = 62
  static let fullPolicy = 63
  static let createdAt = 64
  static let root = 72
  static let allocatedExtents = 96
  static let mappedBlocks = 104
  static let guaranteeBytes = 112
  static let limitBytes = 120
  static let waitSeconds = 128
  static let holds = 132
  static let keyID = 136
  static let properties = 144
  static let name = 168
  static let origin = 296
  static let lineage = 304
  static let trashedAt = 320
  static let expiresAt = 328
  static let end = 336
}

private let readOnlyFlag: UInt8 = 1
private let trashFlag: UInt8 = 2
private let receivingFlag: UInt8 = 4
private let nameCapacity = 128

extension VolumeRecord {
  /// The longest name, in bytes of UTF-8.
  public static let maximumNameBytes = 127

  private static func offset(_ slot: Int) -> Int {
    precondition(slot >= 0)
    precondition(slot < FormatConstants.volumesPerLeaf)
    return FormatConstants.nodeHeaderBytes + slot * FormatConstants.volumeRecordBytes
  }

  /// Refuses what version 1 does not know or no writer makes; called before writing and after
  /// reading.
  public func validate() throws(FormatError) {
    try FormatError.require(id.number != 0, .volumeRecord, "id")
    try FormatError.requireCounter(id.number, .volumeRecord, "id")
    let nameBytes = name.utf8.count
    try FormatError.require(
      nameBytes >= 1 && nameBytes <= Self.maximumNameBytes, .volumeRecord, "name")
    try FormatError.require(
      logicalBlockBytes == 512 || logicalBlockBytes == 4096, .volumeRecord, "logicalBlockBytes")
    try FormatError.require(
      sizeBytes % UInt64(logicalBlockBytes) == 0
        && sizeBytes <= StorageSizes.maximumVolumeBytes, .volumeRecord, "sizeBytes")
    try FormatError.require(versionNode <= UInt64(UInt32.max), .volumeRecord, "versionNode")
    try FormatError.require(origin == nil || isReadOnly, .volumeRecord, "origin")
    try FormatError.require(!isReceiving || !isReadOnly, .volumeRecord, "flags")
    try FormatError.require(
      lineage == .zero || origin != nil || isReceiving, .volumeRecord, "lineage")
    try FormatError.require(copies == 1, .volumeRecord, "copies")
    try FormatError.require(keyID == 0, .volumeRecord, "keyID")
    try root.validate(.volumeRecord)
    guard properties == .none else { throw .reservedNotZero(.volumeRecord) }
    try FormatError.require(isInTrash == (trashedAt != 0), .volumeRecord, "trashedAt")
    try FormatError.require(isInTrash || expiresAt == 0, .volumeRecord, "expiresAt")
    try FormatError.require(!isInTrash || !isReceiving, .volumeRecord, "isInTrash")
  }

  /// Writes the volume into slot `slot` (0-8) of a catalogue leaf.
  public func encode(into node: NodeImage, slot: Int) {
    let at = Self.offset(slot)
    encode(into: node.writer(at: at, count: FormatConstants.volumeRecordBytes), asRecord: false)
  }

  /// Empties slot `slot` (0-8) of a catalogue leaf.
  public static func clear(in node: NodeImage, slot: Int) {
    _ = node.writer(at: offset(slot), count: FormatConstants.volumeRecordBytes)
  }

  /// Reads slot `slot` (0-8) of a catalogue leaf; nil if it is empty.
  public static func decode(
    from node: NodeImage, slot: Int
  ) throws(FormatError) -> VolumeRecord? {
    let reader = node.reader(at: offset(slot), count: FormatConstants.volumeRecordBytes)
    guard reader.u64(At.id) != 0 else {
      guard reader.isZero(0..<reader.count) else { throw .reservedNotZero(.volumeRecord) }
      return nil
    }
    return try VolumeRecord(decoding: reader)
  }

  /// As a record carries it, the roots and the statistics are zero: no record names a node.
  public var withoutDerivedFields: VolumeRecord {
    var copy = self
    copy.root = .none
    copy.properties = .none
    copy.allocatedExtents = 0
    copy.mappedBlocks = 0
    return copy
  }

  func encode(into writer: FieldWriter, asRecord: Bool) {
    let value = asRecord ? withoutDerivedFields : self
    FormatError.assertValid { () throws(FormatError) in try value.validate() }
    writer.u64(value.id.number, At.id)
    writer.uuid(value.uuid, At.uuid)
    writer.u64(value.family, At.family)
    writer.u64(value.versionNode, At.versionNode)
    writer.u32(value.shareEpoch.number, At.shareEpoch)
    writer.u32(value.bookmarkEpoch.number, At.bookmarkEpoch)
    writer.u64(value.sizeBytes, At.sizeBytes)
    writer.u32(value.logicalBlockBytes, At.logicalBlockBytes)
    writer.u8(
      (value.isReadOnly ? readOnlyFlag : 0) | (value.isInTrash ? trashFlag : 0)
        | (value.isReceiving ? receivingFlag : 0), At.flags)
    writer.u64(value.trashedAt, At.trashedAt)
    writer.u64(value.expiresAt, At.expiresAt)
    writer.u8(UInt8(value.name.utf8.count), At.nameLength)
    writer.u8(value.copies, At.copies)
    if case .wait(let seconds) = value.fullPolicy {
      writer.u8(1, At.fullPolicy)
      writer.u32(seconds, At.waitSeconds)
    }
    writer.u64(value.createdAt, At.createdAt)
    writer.root(value.root, At.root)
    writer.u64(value.allocatedExtents, At.allocatedExtents)
    writer.u64(value.mappedBlocks, At.mappedBlocks)
    writer.u64(value.guaranteeBytes, At.guaranteeBytes)
    writer.u64(value.limitBytes, At.limitBytes)
    writer.u32(value.holds, At.holds)
    writer.u64(value.keyID, At.keyID)
    writer.root(value.properties, At.properties)
    writer.u64(value.origin?.number ?? 0, At.origin)
    writer.uuid(value.lineage, At.lineage)
    writer.text(value.name, at: At.name, capacity: nameCapacity)
  }

  init(decoding reader: FieldReader) throws(FormatError) {
    let flags = reader.u8(At.flags)
    guard reader.isZero(At.end..<reader.count),
      flags & ~(readOnlyFlag | trashFlag | receivingFlag) == 0
    else {
      throw .reservedNotZero(.volumeRecord)
    }
    let nameLength = Int(reader.u8(At.nameLength))
    guard let name = reader.text(at: At.name, length: nameLength, capacity: nameCapacity) else {
      throw .badField(.volumeRecord, "name")
    }
    self.init(
      id: VolumeID(reader.u64(At.id)), uuid: reader.uuid(At.uuid), name: name,
      sizeBytes: reader.u64(At.sizeBytes), logicalBlockBytes: reader.u32(At.logicalBlockBytes),
      createdAt: reader.u64(At.createdAt), fullPolicy: try Self.fullPolicy(reader))
    family = reader.u64(At.family)
    isReadOnly = flags & readOnlyFlag != 0
    isInTrash = flags & trashFlag != 0
    trashedAt = reader.u64(At.trashedAt)
    expiresAt = reader.u64(At.expiresAt)
    isReceiving = flags & receivingFlag != 0
    lineage = reader.uuid(At.lineage)
    versionNode = reader.u64(At.versionNode)
    shareEpoch = ShareEpoch(reader.u32(At.shareEpoch))
    bookmarkEpoch = ShareEpoch(reader.u32(At.bookmarkEpoch))
    root = try reader.root(At.root, .volumeRecord)
    allocatedExtents = reader.u64(At.allocatedExtents)
    mappedBlocks = reader.u64(At.mappedBlocks)
    guaranteeBytes = reader.u64(At.guaranteeBytes)
    limitBytes = reader.u64(At.limitBytes)
    copies = reader.u8(At.copies)
    holds = reader.u32(At.holds)
    keyID = reader.u64(At.keyID)
    properties = try reader.root(At.properties, .volumeRecord)
    let origin = reader.u64(At.origin)
    self.origin = origin == 0 ? nil : VolumeID(origin)
    try validate()
  }

  private static func fullPolicy(_ reader: FieldReader) throws(FormatError) -> FullPoolPolicy {
    let seconds = reader.u32(At.waitSeconds)
    switch reader.u8(At.fullPolicy) {
    case 0:
      guard seconds == 0 else { throw .reservedNotZero(.volumeRecord) }
      return .error
    case 1: return .wait(seconds: seconds)
    default: throw .unknownKind(.volumeRecord)
    }
  }
}
