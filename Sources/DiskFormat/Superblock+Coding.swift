import StorageUnits

/// Byte offsets in a superblock.
private enum At {
  static let magic = 0
  static let version = 8
  static let checksum = 12
  static let mustRefuse = 16
  static let mayIgnore = 24
  static let clearBeforeWrite = 32
  static let poolUUID = 40
  static let deviceUUID = 56
  static let device = 72
  static let applyVersion = 74
  static let shareEpoch = 76
  static let sequence = 80
  static let checkpointSequence = 88
  static let checkpointRecord = 96
  static let logGeneration = 104
  static let logNonce = 112
  static let segmentShift = 120
  static let flags = 121
  static let allocationRunExtents = 122
  static let segmentCount = 124
  static let nextVolumeID = 128
  static let fenceEpoch = 136
  static let dirtyNodeBytes = 144
  static let countDeltaBytes = 152
  static let openedAt = 160
  static let openedProcess = 168
  static let memberCount = 172
  static let rangeCount = 174
  static let streamCount = 175
  static let nameLength = 176
  static let hostLength = 177
  static let name = 192
  static let host = 320
  static let catalogue = 384
  static let doomed = 408
  static let versionTree = 432
  static let trashExpiry = 180
  static let bookmarks = 456
  static let holds = 480
  static let owed = 504
  static let reservedRoots = 528
  static let segmentTable = 608
  static let segmentTableLevel = 632
  static let streams = 640
  static let ranges = 1664
  static let members = 1792
  static let end = 4672
}

/// Widths of the parts.
private enum Width {
  static let name = 128
  static let host = 64
  static let stream = 64
  static let range = 16
  static let member = 48
}

private let openFlag: UInt8 = 1

extension Superblock {
  /// "LAMINAPL" in the order of the bytes.
  public static let magic: UInt64 = 0x4C50_414E_494D_414C
  /// The longest pool name, in bytes of UTF-8.
  public static let maximumNameBytes = 127

  /// Refuses what version 1 does not know or no writer makes; called before writing and after
  /// reading.
  public func validate() throws(FormatError) {
    guard features.mustRefuse == 0 else { throw .unknownFeatures(features.mustRefuse) }
    try FormatError.require(poolUUID != .zero, .superblock, "poolUUID")
    let nameBytes = poolName.utf8.count
    try FormatError.require(
      nameBytes >= 1 && nameBytes <= Self.maximumNameBytes, .superblock, "poolName")
    try FormatError.require(sequence >= 1, .superblock, "sequence")
    try FormatError.require(shareEpoch.number >= 1, .superblock, "shareEpoch")
    try FormatError.require(
      segmentShift >= FormatConstants.smallestSegmentShift
        && segmentShift <= FormatConstants.largestSegmentShift, .superblock, "segmentShift")
    try FormatError.require(
      segmentCount >= 1 && UInt64(segmentCount) << UInt64(segmentShift) <= 1 << 40,
      .superblock, "segmentCount")
    try FormatError.require(nextVolumeID >= 1, .superblock, "nextVolumeID")
    try validateCounters()
    try catalogue.validate(.superblock)
    try doomed.validate(.superblock)
    try versionTree.validate(.superblock)
    try bookmarks.validate(.superblock)
    try holds.validate(.superblock)
    try owed.validate(.superblock)
    try FormatError.require(
      segmentTable.level <= FormatConstants.maximumLevel, .superblock, "segmentTable")
    try validateParts()
    try validateMembers()
  }

  private func validateCounters() throws(FormatError) {
    try FormatError.requireCounter(sequence, .superblock, "sequence")
    try FormatError.requireCounter(checkpointSequence, .superblock, "checkpointSequence")
    try FormatError.requireCounter(checkpointRecord.number, .superblock, "checkpointRecord")
    try FormatError.requireCounter(logGeneration, .superblock, "logGeneration")
    try FormatError.requireCounter(nextVolumeID, .superblock, "nextVolumeID")
    for stream in streams {
      try FormatError.requireCounter(stream.firstSequence, .superblock, "firstSequence")
    }
  }

  private func validateParts() throws(FormatError) {
    // Version 1 has one journal stream; the other 15 places are for more reactors.
    try FormatError.require(streams.count == 1, .superblock, "streams")
    for stream in streams {
      try FormatError.require(
        stream.blockCount >= FormatConstants.minimumJournalBlocks, .superblock, "blockCount")
      try FormatError.require(stream.secondPlace != stream.place, .superblock, "secondPlace")
      try FormatError.require(
        stream.firstSequence > 1 || stream.firstSequence == 1 && stream.previousChecksum == 0,
        .superblock, "firstSequence")
    }
    try FormatError.require(
      systemRanges.count <= FormatConstants.maximumSystemRanges, .superblock, "systemRanges")
    for range in systemRanges {
      let end = range.firstBlock.addingReportingOverflow(range.blockCount)
      try FormatError.require(
        range.firstBlock >= FormatConstants.systemAreaOffset >> 12 && range.blockCount >= 1
          && !end.overflow && end.partialValue <= 1 << 48, .superblock, "systemRanges")
    }
  }

  private func validateMembers() throws(FormatError) {
    try FormatError.require(
      members.count >= 1 && members.count <= FormatConstants.maximumMembers,
      .superblock, "members")
    for (i, member) in members.enumerated() {
      for other in members[..<i] {
        try FormatError.require(
          other.index != member.index && other.uuid != member.uuid, .superblock, "members")
      }
    }
    let isMember = members.contains { $0.uuid == deviceUUID && $0.index == device }
    try FormatError.require(isMember, .superblock, "device")
  }

  // MARK: Writing

  /// Writes the superblock into the first 8192 bytes, checksum included. The opener's host name is
  /// cut to 64 bytes at a character.
  public func encode(into bytes: inout MutableRawSpan) {
    precondition(bytes.byteCount >= FormatConstants.superblockBytes)
    FormatError.assertValid { () throws(FormatError) in try validate() }
    unsafe bytes.withUnsafeMutableBytes { buffer in
      guard let base = buffer.baseAddress else { preconditionFailure("no bytes") }
      let writer = unsafe FieldWriter(clearing: base, count: FormatConstants.superblockBytes)
      encodeScalars(writer)
      encodeRoots(writer)
      encodeLists(writer)
      let whole = unsafe UnsafeRawBufferPointer(
        start: base, count: FormatConstants.superblockBytes)
      writer.u32(
        unsafe Checksum.crc32c(whole, withoutFieldAt: At.checksum), At.checksum)
    }
  }

  private func encodeScalars(_ writer: FieldWriter) {
    writer.u64(Self.magic, At.magic)
    writer.u8(FormatConstants.version, At.version)
    writer.u64(features.mustRefuse, At.mustRefuse)
    writer.u64(features.mayIgnore, At.mayIgnore)
    writer.u64(features.clearBeforeWrite, At.clearBeforeWrite)
    writer.uuid(poolUUID, At.poolUUID)
    writer.uuid(deviceUUID, At.deviceUUID)
    writer.u16(device.index, At.device)
    writer.u16(applyVersion, At.applyVersion)
    writer.u32(shareEpoch.number, At.shareEpoch)
    writer.u64(sequence, At.sequence)
    writer.u64(checkpointSequence, At.checkpointSequence)
    writer.u64(checkpointRecord.number, At.checkpointRecord)
    writer.u64(logGeneration, At.logGeneration)
    writer.u64(logNonce, At.logNonce)
    writer.u8(segmentShift, At.segmentShift)
    writer.u8(isOpen ? openFlag : 0, At.flags)
    writer.u16(allocationRunExtents, At.allocationRunExtents)
    writer.u32(segmentCount, At.segmentCount)
    writer.u64(nextVolumeID, At.nextVolumeID)
    writer.u64(fenceEpoch, At.fenceEpoch)
    writer.u64(bounds.dirtyNodeBytes, At.dirtyNodeBytes)
    writer.u64(bounds.countDeltaBytes, At.countDeltaBytes)
    writer.u64(openedBy.at, At.openedAt)
    writer.u32(openedBy.process, At.openedProcess)
    writer.u8(UInt8(poolName.utf8.count), At.nameLength)
    writer.text(poolName, at: At.name, capacity: Width.name)
    let host = openedBy.hostOnDisk
    writer.u8(UInt8(host.utf8.count), At.hostLength)
    writer.text(host, at: At.host, capacity: Width.host)
  }

  private func encodeRoots(_ writer: FieldWriter) {
    writer.root(catalogue, At.catalogue)
    writer.root(doomed, At.doomed)
    writer.root(versionTree, At.versionTree)
    writer.root(bookmarks, At.bookmarks)
    writer.root(holds, At.holds)
    writer.root(owed, At.owed)
    writer.u32(settings.trashExpirySeconds, At.trashExpiry)
    writer.systemPointer(segmentTable.pointer, At.segmentTable)
    writer.u8(segmentTable.level, At.segmentTableLevel)
  }

  private func encodeLists(_ writer: FieldWriter) {
    writer.u8(UInt8(streams.count), At.streamCount)
    for (i, stream) in streams.enumerated() {
      let at = At.streams + i * Width.stream
      writer.place(stream.place, at)
      writer.place(stream.secondPlace, at + 8)
      writer.u32(stream.blockCount, at + 16)
      writer.u32(stream.previousChecksum, at + 20)
      writer.u64(stream.firstSequence, at + 24)
    }
    writer.u8(UInt8(systemRanges.count), At.rangeCount)
    for (i, range) in systemRanges.enumerated() {
      writer.u64(range.firstBlock, At.ranges + i * Width.range)
      writer.u64(range.blockCount, At.ranges + i * Width.range + 8)
    }
    writer.u16(UInt16(members.count), At.memberCount)
    for (i, member) in members.enumerated() {
      let at = At.members + i * Width.member
      writer.uuid(member.uuid, at)
      writer.u64(member.sizeBytes, at + 16)
      writer.u64(member.superblockSequence, at + 24)
      writer.u16(member.index.index, at + 32)
      writer.u8(member.state.rawValue, at + 34)
    }
  }

  // MARK: Reading

  /// Reads and verifies the superblock in the first 8192 bytes. Whether it is the newest, and on
  /// the right device, is for the caller to compare.
  public init(decoding bytes: RawSpan) throws(FormatError) {
    self = try unsafe bytes.withUnsafeBytes { (buffer) throws(FormatError) -> Superblock in
      guard let base = buffer.baseAddress, buffer.count >= FormatConstants.superblockBytes else {
        throw .truncated(.superblock)
      }
      let whole = unsafe UnsafeRawBufferPointer(
        start: base, count: FormatConstants.superblockBytes)
      let reader = unsafe FieldReader(base, count: FormatConstants.superblockBytes)
      guard reader.u64(At.magic) == Self.magic else { throw .badMagic(.superblock) }
      guard reader.u8(At.version) == FormatConstants.version else {
        throw .unknownVersion(.superblock)
      }
      let computed = unsafe Checksum.crc32c(whole, withoutFieldAt: At.checksum)
      guard reader.u32(At.checksum) == computed else { throw .badChecksum(.superblock) }
      return try Superblock(verified: reader)
    }
  }

  private init(verified reader: FieldReader) throws(FormatError) {
    let features = FeatureMasks(
      mustRefuse: reader.u64(At.mustRefuse), mayIgnore: reader.u64(At.mayIgnore),
      clearBeforeWrite: reader.u64(At.clearBeforeWrite))
    // Before anything else: what an unknown feature changed may be any other field.
    guard features.mustRefuse == 0 else { throw .unknownFeatures(features.mustRefuse) }
    try Self.checkReserved(reader)
    guard
      let name = reader.text(
        at: At.name, length: Int(reader.u8(At.nameLength)), capacity: Width.name)
    else { throw .badField(.superblock, "poolName") }
    guard
      let host = reader.text(
        at: At.host, length: Int(reader.u8(At.hostLength)), capacity: Width.host)
    else { throw .badField(.superblock, "host") }
    self.init(
      features: features, poolUUID: reader.uuid(At.poolUUID), poolName: name,
      deviceUUID: reader.uuid(At.deviceUUID), device: DeviceIndex(index: reader.u16(At.device)),
      sequence: reader.u64(At.sequence), checkpointSequence: reader.u64(At.checkpointSequence),
      checkpointRecord: RecordNumber(reader.u64(At.checkpointRecord)),
      logGeneration: reader.u64(At.logGeneration), logNonce: reader.u64(At.logNonce),
      applyVersion: reader.u16(At.applyVersion), shareEpoch: ShareEpoch(reader.u32(At.shareEpoch)),
      segmentShift: reader.u8(At.segmentShift), segmentCount: reader.u32(At.segmentCount),
      allocationRunExtents: reader.u16(At.allocationRunExtents),
      nextVolumeID: reader.u64(At.nextVolumeID),
      bounds: WriterBounds(
        dirtyNodeBytes: reader.u64(At.dirtyNodeBytes),
        countDeltaBytes: reader.u64(At.countDeltaBytes)),
      catalogue: try reader.root(At.catalogue, .superblock),
      doomed: try reader.root(At.doomed, .superblock),
      versionTree: try reader.root(At.versionTree, .superblock),
      bookmarks: try reader.root(At.bookmarks, .superblock),
      segmentTable: SystemTreeRoot(
        pointer: try reader.systemPointer(At.segmentTable, .superblock),
        level: reader.u8(At.segmentTableLevel)),
      streams: try Self.streams(reader), systemRanges: try Self.systemRanges(reader),
      members: try Self.members(reader), fenceEpoch: reader.u64(At.fenceEpoch),
      openedBy: Opening(
        host: host, process: reader.u32(At.openedProcess), at: reader.u64(At.openedAt)),
      isOpen: reader.u8(At.flags) & openFlag != 0)
    holds = try reader.root(At.holds, .superblock)
    owed = try reader.root(At.owed, .superblock)
    settings.trashExpirySeconds = reader.u32(At.trashExpiry)
    try validate()
  }

  /// Roots that version 1 does not build are reserved: zero, like all bytes without a name.
  private static func checkReserved(_ reader: FieldReader) throws(FormatError) {
    let reserved = [
      At.version + 1..<At.checksum, At.hostLength + 1..<At.trashExpiry,
      At.trashExpiry + 4..<At.name,
      At.reservedRoots..<At.segmentTable, At.segmentTableLevel + 1..<At.streams,
      At.end..<FormatConstants.superblockBytes,
    ]
    for range in reserved {
      guard reader.isZero(range) else { throw .reservedNotZero(.superblock) }
    }
    guard reader.u8(At.flags) & ~openFlag == 0 else { throw .reservedNotZero(.superblock) }
  }

  private static func streams(_ reader: FieldReader) throws(FormatError) -> [JournalStream] {
    let count = Int(reader.u8(At.streamCount))
    try FormatError.require(
      count <= FormatConstants.maximumStreams, .superblock, "streams")
    guard reader.isZero(At.streams + count * Width.stream..<At.ranges) else {
      throw .reservedNotZero(.superblock)
    }
    var streams: [JournalStream] = []
    for i in 0..<count {
      let at = At.streams + i * Width.stream
      guard reader.isZero(at + 32..<at + Width.stream) else {
        throw .reservedNotZero(.superblock)
      }
      streams.append(
        JournalStream(
          place: try reader.place(at, .superblock),
          secondPlace: try reader.optionalPlace(at + 8, .superblock),
          blockCount: reader.u32(at + 16), firstSequence: reader.u64(at + 24),
          previousChecksum: reader.u32(at + 20)))
    }
    return streams
  }

  private static func systemRanges(_ reader: FieldReader) throws(FormatError) -> [SystemRange] {
    let count = Int(reader.u8(At.rangeCount))
    try FormatError.require(
      count <= FormatConstants.maximumSystemRanges, .superblock, "systemRanges")
    guard reader.isZero(At.ranges + count * Width.range..<At.members) else {
      throw .reservedNotZero(.superblock)
    }
    return (0..<count).map { i in
      SystemRange(
        firstBlock: reader.u64(At.ranges + i * Width.range),
        blockCount: reader.u64(At.ranges + i * Width.range + 8))
    }
  }

  private static func members(_ reader: FieldReader) throws(FormatError) -> [PoolMember] {
    let count = Int(reader.u16(At.memberCount))
    try FormatError.require(count <= FormatConstants.maximumMembers, .superblock, "members")
    guard reader.isZero(At.members + count * Width.member..<At.end) else {
      throw .reservedNotZero(.superblock)
    }
    var members: [PoolMember] = []
    for i in 0..<count {
      let at = At.members + i * Width.member
      guard let state = PoolMember.State(rawValue: reader.u8(at + 34)) else {
        throw .unknownKind(.superblock)
      }
      guard reader.isZero(at + 35..<at + Width.member) else {
        throw .reservedNotZero(.superblock)
      }
      members.append(
        PoolMember(
          uuid: reader.uuid(at), index: DeviceIndex(index: reader.u16(at + 32)), state: state,
          sizeBytes: reader.u64(at + 16), superblockSequence: reader.u64(at + 24)))
    }
    return members
  }
}

extension Opening {
  /// The host name as a superblock keeps it: whole characters, at most 64 bytes.
  var hostOnDisk: String {
    var text = host
    while text.utf8.count > Width.host { text.removeLast() }
    return text
  }
}
