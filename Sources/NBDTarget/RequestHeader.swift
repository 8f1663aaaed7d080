/// The fixed part of a request (proto.md, "Request message"), as it came: nothing is checked yet.
@frozen public struct RequestHeader: Hashable, Sendable {
  public static let byteCount = 28

  public var magic: UInt32
  public var flags: UInt16
  public var type: UInt16
  /// The client's own; given back as the same bytes.
  public var cookie: UInt64
  public var offset: UInt64
  public var length: UInt32

  @inlinable public init(
    magic: UInt32, flags: UInt16, type: UInt16, cookie: UInt64, offset: UInt64, length: UInt32
  ) {
    self.magic = magic
    self.flags = flags
    self.type = type
    self.cookie = cookie
    self.offset = offset
    self.length = length
  }

  /// Reads the header from `bytes`, of which the first 28 are used.
  @inlinable public init(parsing bytes: UnsafeRawBufferPointer) {
    precondition(bytes.count >= Self.byteCount)
    // In bounds by the precondition; the loads may be at any alignment.
    unsafe self.init(
      magic: UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt32.self)),
      flags: UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt16.self)),
      type: UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 6, as: UInt16.self)),
      cookie: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
      offset: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self)),
      length: UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt32.self)))
  }
}
