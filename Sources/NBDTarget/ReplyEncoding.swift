/// The types of a structured reply chunk (proto.md, "Structured reply types").
enum ChunkType: UInt16, Sendable {
  case none = 0
  case offsetData = 1
  case offsetHole = 2
  case blockStatus = 5
  case error = 0x8001
  case errorOffset = 0x8002
}

/// Writes reply headers into memory that was set aside for them. Each function returns the number
/// of bytes written, which is never more than `ReplyEncoding.largestHeaderBytes`.
enum ReplyEncoding {
  static let simpleBytes = 16
  static let chunkBytes = 20
  static let largestHeaderBytes = 34

  static func simple(
    _ out: UnsafeMutableRawPointer, cookie: UInt64, error: NBDError?
  ) -> Int {
    unsafe store(NBDMagic.simpleReply, out, 0)
    unsafe store(error?.rawValue ?? 0, out, 4)
    unsafe store(cookie, out, 8)
    return simpleBytes
  }

  /// The part that all chunks begin with; `payload` is the length of what follows it.
  static func chunk(
    _ out: UnsafeMutableRawPointer, _ type: ChunkType, isDone: Bool, cookie: UInt64, payload: Int
  ) -> Int {
    unsafe store(NBDMagic.structuredReply, out, 0)
    unsafe store(UInt16(isDone ? 1 : 0), out, 4)
    unsafe store(type.rawValue, out, 6)
    unsafe store(cookie, out, 8)
    unsafe store(UInt32(payload), out, 16)
    return chunkBytes
  }

  /// Up to the first byte of the data.
  static func offsetData(
    _ out: UnsafeMutableRawPointer, isDone: Bool, cookie: UInt64, offset: UInt64, length: Int
  ) -> Int {
    _ = unsafe chunk(out, .offsetData, isDone: isDone, cookie: cookie, payload: 8 + length)
    unsafe store(offset, out, chunkBytes)
    return chunkBytes + 8
  }

  static func offsetHole(
    _ out: UnsafeMutableRawPointer, isDone: Bool, cookie: UInt64, offset: UInt64, length: Int
  ) -> Int {
    _ = unsafe chunk(out, .offsetHole, isDone: isDone, cookie: cookie, payload: 12)
    unsafe store(offset, out, chunkBytes)
    unsafe store(UInt32(length), out, chunkBytes + 8)
    return chunkBytes + 12
  }

  /// The whole request failed; always the last chunk.
  static func error(
    _ out: UnsafeMutableRawPointer, cookie: UInt64, error: NBDError
  ) -> Int {
    _ = unsafe chunk(out, .error, isDone: true, cookie: cookie, payload: 6)
    unsafe store(error.rawValue, out, chunkBytes)
    unsafe store(UInt16(0), out, chunkBytes + 4)
    return chunkBytes + 6
  }

  /// The part of a read from `offset` failed.
  static func errorOffset(
    _ out: UnsafeMutableRawPointer, isDone: Bool, cookie: UInt64, error: NBDError, offset: UInt64
  ) -> Int {
    _ = unsafe chunk(out, .errorOffset, isDone: isDone, cookie: cookie, payload: 14)
    unsafe store(error.rawValue, out, chunkBytes)
    unsafe store(UInt16(0), out, chunkBytes + 4)
    unsafe store(offset, out, chunkBytes + 6)
    return chunkBytes + 14
  }

  static func none(_ out: UnsafeMutableRawPointer, cookie: UInt64) -> Int {
    unsafe chunk(out, .none, isDone: true, cookie: cookie, payload: 0)
  }

  static func store<Value: FixedWidthInteger>(
    _ value: Value, _ out: UnsafeMutableRawPointer, _ offset: Int
  ) {
    unsafe out.storeBytes(of: value.bigEndian, toByteOffset: offset, as: Value.self)
  }
}
