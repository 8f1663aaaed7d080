import StorageUnits

/// Byte offsets in a journal block.
private enum At {
  static let magic = 0
  static let version = 4
  static let stream = 5
  static let applyVersion = 6
  static let pool = 8
  static let logGeneration = 16
  static let logNonce = 24
  static let sequence = 32
  static let superblockSequence = 40
  static let checkpointSequence = 48
  static let firstRecord = 56
  static let durableThrough = 64
  static let recordCount = 72
  static let payloadBytes = 74
  static let previousChecksum = 76
  static let reserved = 80
  static let checksum = 92
}

extension JournalBlockHeader {
  public static let magic: UInt32 = 0x4A4D_414C  // "LAMJ"

  /// Refuses what no writer makes; called before writing and after reading.
  public func validate() throws(FormatError) {
    guard stream == 0 else { throw .unknownKind(.journalBlock) }
    try FormatError.require(sequence >= 1, .journalBlock, "sequence")
    try FormatError.require(durableThrough < sequence, .journalBlock, "durableThrough")
    try FormatError.require(firstRecord.number >= 1, .journalBlock, "firstRecord")
    try FormatError.requireCounter(sequence, .journalBlock, "sequence")
    try FormatError.requireCounter(superblockSequence, .journalBlock, "superblockSequence")
    try FormatError.requireCounter(firstRecord.number, .journalBlock, "firstRecord")
    try FormatError.require(
      payloadBytes <= FormatConstants.journalPayloadBytes, .journalBlock, "payloadBytes")
    // A record has a header of four bytes at the least; no records, no bytes.
    try FormatError.require(
      Int(recordCount) * RecordFormat.headerBytes <= Int(payloadBytes)
        && (recordCount == 0) == (payloadBytes == 0), .journalBlock, "recordCount")
    try FormatError.require(
      sequence > 1 || previousChecksum == 0, .journalBlock, "previousChecksum")
  }

  /// Writes the 96-byte header, without the checksum: `sealJournalBlock` follows when the records
  /// are in their place.
  public func encode(into block: NodeImage) {
    FormatError.assertValid { () throws(FormatError) in try validate() }
    let writer = block.writer(at: 0, count: FormatConstants.journalHeaderBytes)
    writer.u32(Self.magic, At.magic)
    writer.u8(FormatConstants.version, At.version)
    writer.u8(stream, At.stream)
    writer.u16(applyVersion, At.applyVersion)
    writer.u64(pool, At.pool)
    writer.u64(logGeneration, At.logGeneration)
    writer.u64(logNonce, At.logNonce)
    writer.u64(sequence, At.sequence)
    writer.u64(superblockSequence, At.superblockSequence)
    writer.u64(checkpointSequence, At.checkpointSequence)
    writer.u64(firstRecord.number, At.firstRecord)
    writer.u64(durableThrough, At.durableThrough)
    writer.u16(recordCount, At.recordCount)
    writer.u16(payloadBytes, At.payloadBytes)
    writer.u32(previousChecksum, At.previousChecksum)
  }

  /// Reads and verifies the header and the checksum of a block that was read from a device. Whether
  /// it belongs to this pool, log generation and ring position is for the caller to compare.
  public static func decode(_ block: NodeImage) throws(FormatError) -> JournalBlockHeader {
    let reader = block.reader(at: 0, count: FormatConstants.blockBytes)
    guard reader.u32(At.magic) == magic else { throw .badMagic(.journalBlock) }
    guard reader.u8(At.version) == FormatConstants.version else {
      throw .unknownVersion(.journalBlock)
    }
    guard block.computedChecksum(withoutFieldAt: At.checksum) == block.journalChecksum else {
      throw .badChecksum(.journalBlock)
    }
    guard reader.isZero(At.reserved..<At.checksum) else { throw .reservedNotZero(.journalBlock) }
    let header = JournalBlockHeader(
      stream: reader.u8(At.stream), pool: reader.u64(At.pool),
      logGeneration: reader.u64(At.logGeneration), logNonce: reader.u64(At.logNonce),
      sequence: reader.u64(At.sequence), superblockSequence: reader.u64(At.superblockSequence),
      checkpointSequence: reader.u64(At.checkpointSequence),
      firstRecord: RecordNumber(reader.u64(At.firstRecord)),
      recordCount: reader.u16(At.recordCount), payloadBytes: reader.u16(At.payloadBytes),
      durableThrough: reader.u64(At.durableThrough), applyVersion: reader.u16(At.applyVersion),
      previousChecksum: reader.u32(At.previousChecksum))
    try header.validate()
    let end = FormatConstants.journalHeaderBytes + Int(header.payloadBytes)
    guard reader.isZero(end..<FormatConstants.blockBytes) else {
      throw .reservedNotZero(.journalBlock)
    }
    return header
  }
}

extension NodeImage {
  /// Completes a journal block whose header and records are in place: sets what follows the records
  /// to zero, and stores and returns the checksum over all 4096 bytes, which the next block
  /// repeats.
  @discardableResult public func sealJournalBlock() -> UInt32 {
    precondition(load32(At.magic) == JournalBlockHeader.magic)
    let end = FormatConstants.journalHeaderBytes + Int(load16(At.payloadBytes))
    precondition(end <= FormatConstants.blockBytes)
    _ = writer(at: end, count: FormatConstants.blockBytes - end)
    store32(0, At.checksum)
    let checksum = computedChecksum(withoutFieldAt: At.checksum)
    store32(checksum, At.checksum)
    return checksum
  }

  /// The checksum as stored in a journal block.
  public var journalChecksum: UInt32 { load32(At.checksum) }

  /// The checksum of all 4096 bytes with the four at `field` as zero.
  func computedChecksum(withoutFieldAt field: Int) -> UInt32 {
    unsafe Checksum.crc32c(
      UnsafeRawBufferPointer(start: base, count: FormatConstants.blockBytes),
      withoutFieldAt: field)
  }
}
