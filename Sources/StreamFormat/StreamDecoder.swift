/// Reads a stream as its bytes arrive, and holds no more of it than one frame and what was handed
/// in last. Nothing about the bytes is taken for granted: whatever is not exactly what an encoder
/// writes is refused.
public struct StreamDecoder {
  private enum State {
    case header
    case frames
    case ended
    case failed(StreamError)
  }

  private var state = State.header
  private var buffer: [UInt8] = []
  /// The first byte of the buffer that was not read, and where in the stream it is.
  private var start = 0
  public private(set) var position: UInt64 = 0
  private var order = RangeOrder(sizeBytes: 0)
  private var number: UInt64 = 0
  private var dataBytes: UInt64 = 0

  public init() {}

  /// Takes the next bytes. Call `next` afterwards until it gives nil.
  public mutating func append(_ bytes: some Sequence<UInt8>) {
    if start > 0 {
      buffer.removeSubrange(..<start)
      start = 0
    }
    buffer.append(contentsOf: bytes)
  }

  /// What comes next; nil: more bytes are needed. Once it has thrown, it throws the same again.
  public mutating func next() throws(StreamError) -> StreamEvent? {
    do throws(StreamError) {
      switch state {
      case .header: return try nextHeader()
      case .frames: return try nextFrame()
      case .ended:
        guard start == buffer.count else { throw .trailingBytes(at: position) }
        return nil
      case .failed(let error): throw error
      }
    } catch {
      state = .failed(error)
      throw error
    }
  }

  /// The input has ended: throws unless the stream is whole.
  public mutating func finish() throws(StreamError) {
    switch state {
    case .ended where start == buffer.count: return
    case .ended: throw .trailingBytes(at: position)
    case .failed(let error): throw error
    case .header, .frames: throw .truncated(at: position + UInt64(buffer.count - start))
    }
  }

  private mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
    guard buffer.count - start >= count else { return nil }
    return buffer[start..<start + count]
  }

  private mutating func move(by count: Int) {
    start += count
    position += UInt64(count)
  }

  private mutating func nextHeader() throws(StreamError) -> StreamEvent? {
    guard let bytes = take(StreamFormat.headerBytes) else {
      // What is no stream at all is refused with its first bytes.
      guard buffer[start...].prefix(8).elementsEqual("LAMINAST".utf8.prefix(buffer.count - start))
      else { throw .notAStream }
      return nil
    }
    let header = try StreamHeader(decoding: bytes)
    move(by: StreamFormat.headerBytes)
    order = RangeOrder(sizeBytes: header.sizeBytes)
    state = .frames
    return .header(header)
  }

  private mutating func nextFrame() throws(StreamError) -> StreamEvent? {
    guard let fixed = take(StreamFormat.frameHeaderBytes) else { return nil }
    let frame = try FrameHeader(decoding: fixed, at: position)
    let total = StreamFormat.frameHeaderBytes + frame.payloadBytes
    guard let bytes = take(total) else { return nil }
    let stored: UInt32 = ByteFields(bytes.prefix(StreamFormat.frameHeaderBytes))
      .get(FrameHeader.At.checksum)
    guard stored == FrameChecksum.of(bytes, fieldAt: FrameHeader.At.checksum) else {
      throw .badChecksum(at: position)
    }
    guard frame.number == number + 1 else { throw .badField("number", at: position) }
    let event = try event(of: frame, bytes.dropFirst(StreamFormat.frameHeaderBytes))
    number = frame.number
    move(by: total)
    return event
  }

  private mutating func event(
    of frame: FrameHeader, _ payload: ArraySlice<UInt8>
  ) throws(StreamError) -> StreamEvent {
    switch frame.type {
    case .data:
      guard order.take(offset: frame.offset, length: frame.length) else {
        throw .badField("range", at: position)
      }
      dataBytes += frame.length
      return .data(offset: frame.offset, bytes: Array(payload))
    case .zeros:
      guard order.take(offset: frame.offset, length: frame.length) else {
        throw .badField("range", at: position)
      }
      return .zeros(offset: frame.offset, length: frame.length)
    case .end:
      let total: UInt64 = ByteFields(payload.suffix(8)).get(0)
      guard total == dataBytes else { throw .badField("dataBytes", at: position) }
      state = .ended
      return .end(VolumeDigest(Array(payload.prefix(StreamFormat.digestBytes))))
    }
  }
}
