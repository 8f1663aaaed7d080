/// The types of a chunk (proto.md, "Structured reply types").
enum ChunkType: UInt16, Sendable {
  case none = 0
  case offsetData = 1
  case offsetHole = 2
  case blockStatus = 5
  case extendedBlockStatus = 6
  case error = 0x8001
  case errorOffset = 0x8002
}

/// Writes reply headers into memory that was set aside for them, in the form that the session has
/// agreed on. Each function returns the number of bytes written, which is never more than
/// `largestHeaderBytes`.
struct ReplyEncoding {
  static let largestHeaderBytes = 46
  static let simpleBytes = 16

  /// Of the request, as it came.
  var cookie: UInt64
  var offset: UInt64
  /// Headers have 64-bit lengths and say the request's offset.
  var isExtended: Bool

  /// The length of the part that all chunks begin with.
  static func chunkBytes(isExtended: Bool) -> Int { isExtended ? 32 : 20 }

  func simple(_ out: UnsafeMutableRawPointer, error: NBDError?) -> Int {
    precondition(!isExtended, "with extended headers every reply is a chunk")
    unsafe Self.store(NBDMagic.simpleReply, out, 0)
    unsafe Self.store(error?.rawValue ?? 0, out, 4)
    unsafe Self.store(cookie, out, 8)
    return Self.simpleBytes
  }

  /// The part that all chunks begin with; `payload` is the length of what follows it.
  func chunk(
    _ out: UnsafeMutableRawPointer, _ type: ChunkType, isDone: Bool, payload: Int
  ) -> Int {
    unsafe Self.store(
      isExtended ? NBDMagic.extendedReply : NBDMagic.structuredReply, out, 0)
    unsafe Self.store(UInt16(isDone ? 1 : 0), out, 4)
    unsafe Self.store(type.rawValue, out, 6)
    unsafe Self.store(cookie, out, 8)
    if isExtended {
      unsafe Self.store(offset, out, 16)
      unsafe Self.store(UInt64(payload), out, 24)
    } else {
      unsafe Self.store(UInt32(payload), out, 16)
    }
    return Self.chunkBytes(isExtended: isExtended)
  }

  /// Up to the first byte of the data.
  func offsetData(
    _ out: UnsafeMutableRawPointer, isDone: Bool, offset: UInt64, length: Int
  ) -> Int {
    let at = unsafe chunk(out, .offsetData, isDone: isDone, payload: 8 + length)
    unsafe Self.store(offset, out, at)
    return at + 8
  }

  func offsetHole(
    _ out: UnsafeMutableRawPointer, isDone: Bool, offset: UInt64, length: Int
  ) -> Int {
    let at = unsafe chunk(out, .offsetHole, isDone: isDone, payload: 12)
    unsafe Self.store(offset, out, at)
    unsafe Self.store(UInt32(length), out, at + 8)
    return at + 12
  }

  /// The whole request failed; always the last chunk.
  func error(_ out: UnsafeMutableRawPointer, _ error: NBDError) -> Int {
    let at = unsafe chunk(out, .error, isDone: true, payload: 6)
    unsafe Self.store(error.rawValue, out, at)
    unsafe Self.store(UInt16(0), out, at + 4)
    return at + 6
  }

  /// The part of a read from `offset` failed.
  func errorOffset(
    _ out: UnsafeMutableRawPointer, isDone: Bool, _ error: NBDError, offset: UInt64
  ) -> Int {
    let at = unsafe chunk(out, .errorOffset, isDone: isDone, payload: 14)
    unsafe Self.store(error.rawValue, out, at)
    unsafe Self.store(UInt16(0), out, at + 4)
    unsafe Self.store(offset, out, at + 6)
    return at + 14
  }

  func none(_ out: UnsafeMutableRawPointer) -> Int {
    unsafe chunk(out, .none, isDone: true, payload: 0)
  }

  static func store<Value: FixedWidthInteger>(
    _ value: Value, _ out: UnsafeMutableRawPointer, _ offset: Int
  ) {
    unsafe out.storeBytes(of: value.bigEndian, toByteOffset: offset, as: Value.self)
  }
}

/// Where the parts of a block-status chunk lie (proto.md, `NBD_REPLY_TYPE_BLOCK_STATUS` and
/// `NBD_REPLY_TYPE_BLOCK_STATUS_EXT`).
struct StatusChunkLayout {
  var isExtended: Bool

  /// Before the first descriptor: the chunk's header, the context's identifier, and with extended
  /// headers the number of descriptors.
  var headerBytes: Int {
    ReplyEncoding.chunkBytes(isExtended: isExtended) + (isExtended ? 8 : 4)
  }
  var descriptorBytes: Int { isExtended ? 16 : 8 }

  func storeDescriptor(
    _ out: UnsafeMutableRawPointer, _ at: Int, length: UInt64, state: UInt32
  ) {
    if isExtended {
      unsafe ReplyEncoding.store(length, out, at)
      unsafe ReplyEncoding.store(UInt64(state), out, at + 8)
    } else {
      unsafe ReplyEncoding.store(UInt32(length), out, at)
      unsafe ReplyEncoding.store(state, out, at + 4)
    }
  }

  func storeHeader(
    _ out: UnsafeMutableRawPointer, _ reply: ReplyEncoding, isDone: Bool, context: UInt32,
    descriptors: Int
  ) {
    let rest = headerBytes - ReplyEncoding.chunkBytes(isExtended: isExtended)
    let at = unsafe reply.chunk(
      out, isExtended ? .extendedBlockStatus : .blockStatus, isDone: isDone,
      payload: rest + descriptorBytes * descriptors)
    unsafe ReplyEncoding.store(context, out, at)
    if isExtended { unsafe ReplyEncoding.store(UInt32(descriptors), out, at + 4) }
  }
}
