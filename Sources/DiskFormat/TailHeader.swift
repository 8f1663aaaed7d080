public import StorageUnits

/// The first 4096 bytes of the tail: the memory that holds records that were answered but are in no
/// durable journal block yet, and that outlives the server's process (design §4 rule 9).
///
/// The ring of `capacityBytes` follows. All but `start` is fixed for a log generation and covered
/// by a checksum; `start` is one aligned 8-byte store, so that a server killed in any instruction
/// leaves the old value or the new one.
public struct TailHeader: Hashable, Sendable {
  public var poolUUID: StorageUUID
  /// Records of another log generation are not continued.
  public var logGeneration: UInt64
  /// The kernel's boot id: after another boot the memory's content proves nothing.
  public var bootID: StorageUUID
  /// Bytes of the ring: a multiple of 8, at least `TailFrame.minimumRingBytes`.
  public var capacityBytes: UInt64

  public init(
    poolUUID: StorageUUID, logGeneration: UInt64, bootID: StorageUUID, capacityBytes: UInt64
  ) {
    self.poolUUID = poolUUID
    self.logGeneration = logGeneration
    self.bootID = bootID
    self.capacityBytes = capacityBytes
  }

  public static let byteCount = 4096
  /// Byte offset of the logical position of the oldest frame: 8 bytes, little-endian, aligned.
  public static let startOffset = 128
  /// "LAMINATL" in the order of the bytes.
  public static let magic: UInt64 = 0x4C54_414E_494D_414C
}

/// Byte offsets in the tail's header.
private enum At {
  static let magic = 0
  static let version = 8
  static let checksum = 12
  static let poolUUID = 16
  static let logGeneration = 32
  static let bootID = 40
  static let capacityBytes = 56
  static let reserved = 64
  /// The checksum covers the bytes before.
  static let end = 128
}

extension TailHeader {
  /// Refuses what no writer makes; called before writing and after reading.
  public func validate() throws(FormatError) {
    try FormatError.require(poolUUID != .zero, .tailHeader, "poolUUID")
    try FormatError.require(
      capacityBytes % 8 == 0 && capacityBytes >= UInt64(TailFrame.minimumRingBytes)
        && capacityBytes <= 1 << 40, .tailHeader, "capacityBytes")
  }

  /// Writes the header, `start` as zero, into the first 4096 bytes.
  public func encode(into bytes: UnsafeMutableRawBufferPointer) {
    precondition(bytes.count >= Self.byteCount)
    FormatError.assertValid { () throws(FormatError) in try validate() }
    guard let base = bytes.baseAddress else { preconditionFailure("no bytes") }
    let writer = unsafe FieldWriter(clearing: base, count: Self.byteCount)
    writer.u64(Self.magic, At.magic)
    writer.u8(FormatConstants.version, At.version)
    writer.uuid(poolUUID, At.poolUUID)
    writer.u64(logGeneration, At.logGeneration)
    writer.uuid(bootID, At.bootID)
    writer.u64(capacityBytes, At.capacityBytes)
    let fixed = unsafe UnsafeRawBufferPointer(start: base, count: At.end)
    writer.u32(unsafe Checksum.crc32c(fixed, withoutFieldAt: At.checksum), At.checksum)
  }

  /// Reads and verifies the header in the first 4096 bytes, and the logical position of the oldest
  /// frame. Whether pool, log generation and boot are the right ones is for the caller to compare.
  public static func decode(
    _ bytes: UnsafeRawBufferPointer
  ) throws(FormatError) -> (header: TailHeader, start: UInt64) {
    guard let base = bytes.baseAddress, bytes.count >= byteCount else {
      throw .truncated(.tailHeader)
    }
    let reader = unsafe FieldReader(base, count: byteCount)
    guard reader.u64(At.magic) == magic else { throw .badMagic(.tailHeader) }
    guard reader.u8(At.version) == FormatConstants.version else {
      throw .unknownVersion(.tailHeader)
    }
    let fixed = unsafe UnsafeRawBufferPointer(start: base, count: At.end)
    guard unsafe reader.u32(At.checksum) == Checksum.crc32c(fixed, withoutFieldAt: At.checksum)
    else { throw .badChecksum(.tailHeader) }
    guard reader.isZero(At.version + 1..<At.checksum), reader.isZero(At.reserved..<At.end),
      reader.isZero(startOffset + 8..<byteCount)
    else { throw .reservedNotZero(.tailHeader) }
    let header = TailHeader(
      poolUUID: reader.uuid(At.poolUUID), logGeneration: reader.u64(At.logGeneration),
      bootID: reader.uuid(At.bootID), capacityBytes: reader.u64(At.capacityBytes))
    try header.validate()
    let start = reader.u64(startOffset)
    try FormatError.require(start % 8 == 0, .tailHeader, "start")
    try FormatError.requireCounter(start, .tailHeader, "start")
    return (header, start)
  }
}
