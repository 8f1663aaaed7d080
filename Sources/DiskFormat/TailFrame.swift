public import StorageUnits

/// One record in the ring of the tail: 24 bytes of frame, then the encoded record, then zeros up to
/// a multiple of 8.
///
/// Positions are logical: they only grow, and lie in the ring at their remainder by its capacity. A
/// frame starts only where the longest one still fits before the ring's end
/// (`start(from:capacity:)`), so that none is ever split and no filler is needed.
public enum TailFrame {
  /// Record number 8, log generation 8, record length 2, reserved 2, checksum 4.
  public static let headerBytes = 24
  /// The longest frame.
  public static let maximumBytes = headerBytes + RecordFormat.maximumBytes
  /// The smallest ring that can be of use.
  public static let minimumRingBytes = 4096

  /// What a frame with a record of `recordBytes` takes in the ring.
  @inlinable public static func byteCount(recordBytes: Int) -> Int {
    (headerBytes + recordBytes + 7) & ~7
  }

  /// The logical position of a frame that is to follow what ends at `position`: there, or at the
  /// ring's start if the longest frame would not fit before its end.
  @inlinable public static func start(from position: UInt64, capacity: UInt64) -> UInt64 {
    let left = capacity - position % capacity
    return left < UInt64(maximumBytes) ? position + left : position
  }
}

/// Byte offsets in a frame.
private enum At {
  static let record = 0
  static let logGeneration = 8
  static let recordBytes = 16
  static let reserved = 18
  static let checksum = 20
}

extension TailFrame {
  /// Frames a record that is already encoded at `headerBytes` into `bytes`, and returns the frame's
  /// size. Allocates nothing. The checksum is stored last: a server killed before leaves no frame.
  @discardableResult
  public static func encode(
    record: RecordNumber, logGeneration: UInt64, recordBytes: Int,
    into bytes: UnsafeMutableRawBufferPointer
  ) -> Int {
    precondition(recordBytes >= RecordFormat.headerBytes)
    precondition(recordBytes <= RecordFormat.maximumBytes)
    let length = byteCount(recordBytes: recordBytes)
    precondition(length <= bytes.count)
    guard let base = bytes.baseAddress else { preconditionFailure("no bytes") }
    let padding = headerBytes + recordBytes
    _ = unsafe FieldWriter(clearing: base + padding, count: length - padding)
    let writer = unsafe FieldWriter(clearing: base, count: headerBytes)
    writer.u64(record.number, At.record)
    writer.u64(logGeneration, At.logGeneration)
    writer.u16(UInt16(recordBytes), At.recordBytes)
    let whole = unsafe UnsafeRawBufferPointer(start: base, count: length)
    writer.u32(unsafe Checksum.crc32c(whole, withoutFieldAt: At.checksum), At.checksum)
    return length
  }

  /// Reads the frame at the start of `bytes` (the rest of the ring up to its end). Any error means
  /// that no frame was completed here: the tail ends before it.
  ///
  /// The record lies at `headerBytes` and has `recordBytes`; `length` bytes on, after
  /// `start(from:capacity:)`, the next frame may follow.
  public static func decode(
    _ bytes: UnsafeRawBufferPointer
  ) throws(FormatError) -> (
    record: RecordNumber, logGeneration: UInt64, recordBytes: Int, length: Int
  ) {
    guard let base = bytes.baseAddress, bytes.count >= headerBytes else {
      throw .truncated(.tailFrame)
    }
    let reader = unsafe FieldReader(base, count: bytes.count)
    let recordBytes = Int(reader.u16(At.recordBytes))
    try FormatError.require(
      recordBytes >= RecordFormat.headerBytes && recordBytes <= RecordFormat.maximumBytes,
      .tailFrame, "recordBytes")
    let length = byteCount(recordBytes: recordBytes)
    guard length <= bytes.count else { throw .truncated(.tailFrame) }
    let whole = unsafe UnsafeRawBufferPointer(start: base, count: length)
    guard unsafe reader.u32(At.checksum) == Checksum.crc32c(whole, withoutFieldAt: At.checksum)
    else { throw .badChecksum(.tailFrame) }
    guard reader.u16(At.reserved) == 0, reader.isZero(headerBytes + recordBytes..<length) else {
      throw .reservedNotZero(.tailFrame)
    }
    try FormatError.requireCounter(reader.u64(At.record), .tailFrame, "record")
    return (RecordNumber(reader.u64(At.record)), reader.u64(At.logGeneration), recordBytes, length)
  }
}
