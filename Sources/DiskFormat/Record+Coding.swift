public import StorageUnits

/// Byte offsets of the header that every record has.
private enum At {
  static let type = 0
  static let flags = 1
  static let payloadBytes = 2
}

extension RecordFormat {
  /// The payload of records of one type, in bytes; nil for types that version 1 does not have.
  static func payloadBytes(of type: RecordType) -> Int? {
    switch type {
    case .map: 16 + FormatConstants.mapEntryBytes
    case .createVolume, .alterVolume: FormatConstants.volumeRecordBytes
    case .deleteVolume: 8
    case .snapshot, .clone: 8 + FormatConstants.volumeRecordBytes
    case .rollback: 16
    case .unshare: 16
    case .segmentClass: 12
    case .drop: 24
    case .bookmark: 8 + FormatConstants.bookmarkBytes
    case .resize: 32
    case .hold: 8 + FormatConstants.holdEntryBytes
    case .settings: 16
    case .owed: 8 + FormatConstants.owedRangeBytes
    case .trash, .device, .move, .regionOpen, .checkpointMark: nil
    }
  }

  /// Writes a `map` record without building a `Record`; allocates nothing. Returns `mapBytes`.
  ///
  /// `bytes` has room for `mapBytes`, at any alignment. `more`: the next record belongs to the same
  /// group. The entry must be valid (`MapEntry.validate`), which debug builds assert.
  @discardableResult
  public static func encodeMap(
    volume: VolumeID, extent: VirtualExtent, entry: MapEntry, more: Bool,
    into bytes: UnsafeMutableRawPointer
  ) -> Int {
    assert((try? entry.validate()) != nil)
    let header =
      UInt32(RecordType.map.rawValue) | UInt32(more ? moreFlag : 0) << 8
      | UInt32(mapBytes - headerBytes) << 16
    unsafe bytes.storeBytes(of: header.littleEndian, as: UInt32.self)
    unsafe bytes.storeBytes(of: volume.number.littleEndian, toByteOffset: 4, as: UInt64.self)
    unsafe bytes.storeBytes(of: extent.index.littleEndian, toByteOffset: 12, as: UInt64.self)
    unsafe store(entry.upper, bytes + 20)
    unsafe store(entry.lower, bytes + 32)
    return mapBytes
  }

  @inline(__always)
  private static func store(_ layer: Layer, _ bytes: UnsafeMutableRawPointer) {
    let word = layer.address.block | UInt64(layer.mask.bits) << 40 | UInt64(layer.flags) << 56
    unsafe bytes.storeBytes(of: word.littleEndian, as: UInt64.self)
    unsafe bytes.storeBytes(of: layer.birth.number.littleEndian, toByteOffset: 8, as: UInt32.self)
  }
}

extension Record {
  public var type: RecordType {
    switch self {
    case .map: .map
    case .createVolume: .createVolume
    case .alterVolume: .alterVolume
    case .deleteVolume: .deleteVolume
    case .snapshot: .snapshot
    case .clone: .clone
    case .rollback: .rollback
    case .unshare: .unshare
    case .segmentClass: .segmentClass
    case .drop: .drop
    case .createBookmark, .deleteBookmark: .bookmark
    case .resize: .resize
    case .hold: .hold
    case .owed: .owed
    case .settings: .settings
    }
  }

  /// What the record takes when encoded, header included, in bytes.
  public var encodedBytes: Int {
    guard let payload = RecordFormat.payloadBytes(of: type) else {
      preconditionFailure("a record that exists has a size")
    }
    return RecordFormat.headerBytes + payload
  }

  /// Writes the record at the start of `bytes`, which has room for it, at any alignment. Returns
  /// the number of bytes written. The roots and statistics of a volume in it are written as zero.
  ///
  /// `more`: the next record belongs to the same group.
  @discardableResult
  public func encode(more: Bool, into bytes: UnsafeMutableRawBufferPointer) -> Int {
    let length = encodedBytes
    precondition(length <= bytes.count)
    guard let base = bytes.baseAddress else { preconditionFailure("no bytes") }
    if case .map(let volume, let extent, let entry) = self {
      return unsafe RecordFormat.encodeMap(
        volume: volume, extent: extent, entry: entry, more: more, into: base)
    }
    let writer = unsafe FieldWriter(clearing: base, count: length)
    writer.u8(type.rawValue, At.type)
    writer.u8(more ? RecordFormat.moreFlag : 0, At.flags)
    writer.u16(UInt16(length - RecordFormat.headerBytes), At.payloadBytes)
    encodePayload(writer)
    return length
  }

  private func encodePayload(_ writer: FieldWriter) {
    let start = RecordFormat.headerBytes
    switch self {
    case .map: preconditionFailure("map records have a path of their own")
    case .createVolume(let volume), .alterVolume(let volume):
      volume.encode(into: writer.volumePart(at: start), asRecord: true)
    case .deleteVolume(let id): writer.u64(id.number, start)
    case .snapshot(let source, let volume), .clone(let source, let volume):
      writer.u64(source.number, start)
      volume.encode(into: writer.volumePart(at: start + 8), asRecord: true)
    case .rollback(let volume, let snapshot):
      writer.u64(volume.number, start)
      writer.u64(snapshot.number, start + 8)
    case .unshare(let volume, let branchPoint):
      writer.u64(volume.number, start)
      writer.u32(branchPoint.number, start + 8)
    case .segmentClass(let segment, let segmentClass, let partner):
      precondition(partner != segment)
      precondition(partner == nil || segmentClass == .node)
      precondition(segmentClass != .lent)
      writer.u32(segment.index, start)
      writer.u8(segmentClass.rawValue, start + 4)
      if let partner {
        writer.u8(1, start + 5)
        writer.u32(partner.index, start + 8)
      }
    case .drop(let step):
      writer.u64(step.doomed.number, start)
      writer.u64(step.key, start + 8)
      writer.u8(step.level, start + 16)
      writer.u8(step.decision.rawValue, start + 17)
    case .createBookmark(let bookmark):
      bookmark.encode(
        into: writer.part(at: start + 8, count: FormatConstants.bookmarkBytes), isRecord: true)
    case .deleteBookmark(let id):
      precondition(id.number != 0)
      writer.u64(id.number, start)
    case .resize(let step):
      writer.u64(step.volume.number, start)
      writer.u64(step.sizeBytes, start + 8)
      writer.u64(step.cutExtents, start + 16)
      writer.u64(step.cutBlocks, start + 24)
    case .settings(let settings): writer.u32(settings.trashExpirySeconds, start)
    case .hold(let change):
      writer.u8(change.action.rawValue, start)
      change.entry.encode(
        into: writer.part(at: start + 8, count: FormatConstants.holdEntryBytes))
    case .owed(let change):
      writer.u8(change.action.rawValue, start)
      change.range.encode(
        into: writer.part(at: start + 8, count: FormatConstants.owedRangeBytes))
    }
  }

  /// Reads the record at byte `offset` of `bytes`; `length` bytes on, the next one may follow.
  ///
  /// Nothing about the bytes is taken for granted. A type that version 1 does not have is
  /// `.unknownKind(.record)`.
  public static func decode(
    from bytes: UnsafeRawBufferPointer, at offset: Int = 0
  ) throws(FormatError) -> (record: Record, more: Bool, length: Int) {
    precondition(offset >= 0)
    guard let base = bytes.baseAddress, offset <= bytes.count - RecordFormat.headerBytes else {
      throw .truncated(.record)
    }
    let rest = unsafe FieldReader(base + offset, count: bytes.count - offset)
    guard let type = RecordType(rawValue: rest.u8(At.type)),
      let payload = RecordFormat.payloadBytes(of: type)
    else { throw .unknownKind(.record) }
    let flags = rest.u8(At.flags)
    guard flags & ~RecordFormat.moreFlag == 0 else { throw .reservedNotZero(.record) }
    guard Int(rest.u16(At.payloadBytes)) == payload else {
      throw .badField(.record, "payloadBytes")
    }
    let length = RecordFormat.headerBytes + payload
    guard length <= rest.count else { throw .truncated(.record) }
    let record = try decode(type, rest.part(at: RecordFormat.headerBytes, count: payload))
    return (record, flags & RecordFormat.moreFlag != 0, length)
  }

  /// As `decode(from:at:)` of a buffer.
  public static func decode(
    from bytes: RawSpan, at offset: Int = 0
  ) throws(FormatError) -> (record: Record, more: Bool, length: Int) {
    try unsafe bytes.withUnsafeBytes {
      (buffer) throws(FormatError) -> (record: Record, more: Bool, length: Int) in
      try unsafe decode(from: buffer, at: offset)
    }
  }

  /// Reads the record `offset` bytes into the payload of a journal block whose header was accepted.
  public static func decode(
    fromJournal block: NodeImage, _ header: JournalBlockHeader, at offset: Int
  ) throws(FormatError) -> (record: Record, more: Bool, length: Int) {
    precondition(header.payloadBytes <= FormatConstants.journalPayloadBytes)
    let payload = unsafe UnsafeRawBufferPointer(
      start: block.base + FormatConstants.journalHeaderBytes, count: Int(header.payloadBytes))
    return try unsafe decode(from: payload, at: offset)
  }

  private static func decode(
    _ type: RecordType, _ payload: FieldReader
  ) throws(FormatError) -> Record {
    switch type {
    case .map:
      let entry = MapEntry(upper: payload.layer(16), lower: payload.layer(28))
      try entry.validate(.record)
      return .map(
        volume: try payload.volumeID(0), extent: VirtualExtent(index: payload.u64(8)),
        entry: entry)
    case .createVolume: return .createVolume(try payload.volume(0))
    case .alterVolume: return .alterVolume(try payload.volume(0))
    case .deleteVolume: return .deleteVolume(try payload.volumeID(0))
    case .snapshot:
      return .snapshot(source: try payload.volumeID(0), snapshot: try payload.volume(8))
    case .clone: return .clone(source: try payload.volumeID(0), clone: try payload.volume(8))
    case .rollback:
      return .rollback(volume: try payload.volumeID(0), snapshot: try payload.volumeID(8))
    case .unshare:
      guard payload.isZero(12..<16) else { throw .reservedNotZero(.record) }
      return .unshare(
        volume: try payload.volumeID(0), branchPoint: ShareEpoch(payload.u32(8)))
    case .segmentClass:
      guard payload.isZero(6..<8) else { throw .reservedNotZero(.record) }
      guard let segmentClass = SegmentClass(rawValue: payload.u8(4)) else {
        throw .unknownKind(.record)
      }
      // A segment becomes lent by being named as a partner only.
      try FormatError.require(segmentClass != .lent, .record, "class")
      try FormatError.require(payload.u8(5) == 0 || segmentClass == .node, .record, "partner")
      let segment = SegmentIndex(index: payload.u32(0))
      return .segmentClass(
        segment, segmentClass, partner: try payload.partner(of: segment))
    case .drop: return .drop(try DropStep(decoding: payload))
    case .bookmark: return try bookmark(payload)
    case .resize: return .resize(try ResizeStep(decoding: payload))
    case .settings:
      guard payload.isZero(4..<16) else { throw .reservedNotZero(.record) }
      return .settings(PoolSettings(trashExpirySeconds: payload.u32(0)))
    case .hold:
      guard payload.isZero(1..<8) else { throw .reservedNotZero(.record) }
      guard let action = HoldChange.Action(rawValue: payload.u8(0)) else {
        throw .unknownKind(.record)
      }
      let entry = payload.part(at: 8, count: FormatConstants.holdEntryBytes)
      return .hold(HoldChange(action, try HoldEntry(decoding: entry)))
    case .owed:
      guard payload.isZero(1..<8) else { throw .reservedNotZero(.record) }
      guard let action = OwedChange.Action(rawValue: payload.u8(0)) else {
        throw .unknownKind(.record)
      }
      let range = payload.part(at: 8, count: FormatConstants.owedRangeBytes)
      return .owed(OwedChange(action, try OwedRange(decoding: range)))
    case .trash, .device, .move, .regionOpen, .checkpointMark:
      throw .unknownKind(.record)
    }
  }
}

extension Record {
  /// The id of the bookmark that goes, or zero and the bookmark that comes.
  private static func bookmark(_ payload: FieldReader) throws(FormatError) -> Record {
    let id = payload.u64(0)
    let new = payload.part(at: 8, count: FormatConstants.bookmarkBytes)
    guard id != 0 else { return .createBookmark(try Bookmark(decoding: new, isRecord: true)) }
    try FormatError.requireCounter(id, .record, "bookmark")
    guard new.isZero(0..<new.count) else { throw .reservedNotZero(.record) }
    return .deleteBookmark(RecordNumber(id))
  }
}

extension DropStep {
  fileprivate init(decoding payload: FieldReader) throws(FormatError) {
    guard payload.isZero(18..<24) else { throw .reservedNotZero(.record) }
    guard let decision = Decision(rawValue: payload.u8(17)) else { throw .unknownKind(.record) }
    let doomed = payload.u64(0)
    try FormatError.require(doomed != 0, .record, "doomed")
    let level = payload.u8(16)
    try FormatError.require(level <= FormatConstants.maximumLevel, .record, "level")
    self.init(
      doomed: RecordNumber(doomed), level: level, key: payload.u64(8), decision: decision)
  }
}

extension ResizeStep {
  fileprivate init(decoding payload: FieldReader) throws(FormatError) {
    let size = payload.u64(8)
    try FormatError.require(
      size > 0 && size <= StorageSizes.maximumVolumeBytes, .record, "sizeBytes")
    self.init(
      volume: try payload.volumeID(0), sizeBytes: size, cutExtents: payload.u64(16),
      cutBlocks: payload.u64(24))
  }
}

extension FieldWriter {
  fileprivate func volumePart(at: Int) -> FieldWriter {
    part(at: at, count: FormatConstants.volumeRecordBytes)
  }
}

extension FieldReader {
  fileprivate func layer(_ at: Int) -> Layer {
    let word = u64(at)
    return Layer(
      address: PoolAddress(block: word & 0xFF_FFFF_FFFF),
      mask: BlockMask(bits: UInt16(truncatingIfNeeded: word >> 40)),
      flags: UInt8(truncatingIfNeeded: word >> 56), birth: ShareEpoch(u32(at + 8)))
  }

  fileprivate func volumeID(_ at: Int) throws(FormatError) -> VolumeID {
    let number = u64(at)
    try FormatError.require(number != 0, .record, "volume")
    return VolumeID(number)
  }

  /// Byte 5 says whether there is a partner, for segment 0 may be one.
  fileprivate func partner(of segment: SegmentIndex) throws(FormatError) -> SegmentIndex? {
    let partner = SegmentIndex(index: u32(8))
    switch u8(5) {
    case 0:
      guard partner.index == 0 else { throw .reservedNotZero(.record) }
      return nil
    case 1:
      try FormatError.require(partner != segment, .record, "partner")
      return partner
    default: throw .unknownKind(.record)
    }
  }

  fileprivate func volume(_ at: Int) throws(FormatError) -> VolumeRecord {
    let volume = try VolumeRecord(
      decoding: part(at: at, count: FormatConstants.volumeRecordBytes))
    guard volume == volume.withoutDerivedFields else { throw .reservedNotZero(.record) }
    return volume
  }
}
