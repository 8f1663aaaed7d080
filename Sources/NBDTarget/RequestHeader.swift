/// The fixed part of a request (proto.md, "Request message": compact and extended), as it came:
/// nothing is checked yet.
@frozen public struct RequestHeader: Hashable, Sendable {
  public static let compactBytes = 28
  public static let extendedBytes = 32

  public var magic: UInt32
  public var flags: UInt16
  public var type: UInt16
  /// The client's own; given back as the same bytes.
  public var cookie: UInt64
  public var offset: UInt64
  /// Of the range, or of the payload.
  public var length: UInt64

  @inlinable public init(
    magic: UInt32, flags: UInt16, type: UInt16, cookie: UInt64, offset: UInt64, length: UInt64
  ) {
    self.magic = magic
    self.flags = flags
    self.type = type
    self.cookie = cookie
    self.offset = offset
    self.length = length
  }

  /// How long a header is in a session.
  @inlinable public static func byteCount(isExtended: Bool) -> Int {
    isExtended ? extendedBytes : compactBytes
  }

  /// Reads the header from `bytes`, of which the first 28 or 32 are used.
  @inlinable public init(parsing bytes: UnsafeRawBufferPointer, isExtended: Bool) {
    precondition(bytes.count >= Self.byteCount(isExtended: isExtended))
    // In bounds by the precondition; the loads may be at any alignment.
    unsafe self.init(
      magic: UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt32.self)),
      flags: UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt16.self)),
      type: UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 6, as: UInt16.self)),
      cookie: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
      offset: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self)),
      length: isExtended
        ? UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
        : UInt64(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt32.self))))
  }

  /// The bytes that follow the header: of a write always, although with extended headers it ought
  /// to say so (QEMU's client, up to version 10 at least, does not).
  func payloadBytes(isExtended: Bool) -> UInt64 {
    let isAnnounced = isExtended && CommandFlags(rawValue: flags).contains(.payloadLength)
    return isAnnounced || type == NBDCommand.write.rawValue ? length : 0
  }
}
