/// What the frames behind the header say, in ascending order of volume bytes; `end` is the last.
public enum StreamEvent: Hashable, Sendable {
  case header(StreamHeader)
  /// These bytes of the volume, whole blocks of 4096 (the volume's last one may be cut off).
  case data(offset: UInt64, bytes: [UInt8])
  /// This range of the volume, whole blocks, reads as zeros and holds no space.
  case zeros(offset: UInt64, length: UInt64)
  /// The stream is whole, and this is the digest of the whole volume as it is then.
  case end(VolumeDigest)
}

enum FrameType: UInt8 {
  case data = 1
  case zeros = 2
  case end = 3
}

/// The fixed part of a frame.
struct FrameHeader: Hashable {
  var type: FrameType
  var payloadBytes: Int
  /// Counts the frames of the stream from 1, so that one that is missing or twice is noticed.
  var number: UInt64
  /// The range of the volume, in bytes; zero for `end`.
  var offset: UInt64
  var length: UInt64

  enum At {
    static let type = 0
    static let payloadBytes = 4
    static let number = 8
    static let offset = 16
    static let length = 24
    static let checksum = 36
    static let reservedParts = [1..<4, 32..<36]
  }

  /// The frame with its payload appended by `fill`, sealed.
  func encoded(_ fill: (inout [UInt8]) -> Void) -> [UInt8] {
    var fields = ByteFields(count: StreamFormat.frameHeaderBytes)
    fields.set(type.rawValue, At.type)
    fields.set(UInt32(payloadBytes), At.payloadBytes)
    fields.set(number, At.number)
    fields.set(offset, At.offset)
    fields.set(length, At.length)
    var bytes = fields.bytes
    bytes.reserveCapacity(bytes.count + payloadBytes)
    fill(&bytes)
    precondition(bytes.count == StreamFormat.frameHeaderBytes + payloadBytes)
    let checksum = FrameChecksum.of(bytes[...], fieldAt: At.checksum)
    for index in 0..<4 {
      bytes[At.checksum + index] = UInt8(truncatingIfNeeded: checksum >> (8 * index))
    }
    return bytes
  }

  /// Reads the fixed part; `at` is where in the stream it begins. What it says of the payload's
  /// length is bounded, so that a damaged one asks for no more than a frame may have.
  init(decoding slice: ArraySlice<UInt8>, at: UInt64) throws(StreamError) {
    let fields = ByteFields(slice)
    guard let type = FrameType(rawValue: fields.get(At.type)) else {
      throw .badField("type", at: at)
    }
    for part in At.reservedParts where !fields.isZero(part) { throw .badField("reserved", at: at) }
    let payload: UInt32 = fields.get(At.payloadBytes)
    self.init(
      type: type, payloadBytes: Int(payload), number: fields.get(At.number),
      offset: fields.get(At.offset), length: fields.get(At.length))
    let isRight =
      switch type {
      case .data: payloadBytes <= StreamFormat.maximumDataBytes && UInt64(payload) == length
      case .zeros: payloadBytes == 0
      case .end: payloadBytes == StreamFormat.endPayloadBytes && offset == 0 && length == 0
      }
    guard isRight else { throw .badField("length", at: at) }
  }

  init(type: FrameType, payloadBytes: Int, number: UInt64, offset: UInt64, length: UInt64) {
    self.type = type
    self.payloadBytes = payloadBytes
    self.number = number
    self.offset = offset
    self.length = length
  }
}

/// Ranges of a stream come in ascending order, in whole blocks, inside the volume.
struct RangeOrder: Hashable {
  var sizeBytes: UInt64
  /// The first byte that the next range may begin with.
  private(set) var next: UInt64 = 0

  init(sizeBytes: UInt64) { self.sizeBytes = sizeBytes }

  /// Takes the next range; false: it may not come here.
  mutating func take(offset: UInt64, length: UInt64) -> Bool {
    let block = UInt64(StreamFormat.blockBytes)
    guard length > 0, offset >= next, offset % block == 0, offset < sizeBytes,
      length <= sizeBytes - offset
    else { return false }
    guard length % block == 0 || offset + length == sizeBytes else { return false }
    next = (offset + length + block - 1) / block * block
    return true
  }
}
