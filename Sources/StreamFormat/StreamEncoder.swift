/// Makes the frames of a stream. Ranges are given in ascending order; see `StreamEvent`.
public struct StreamEncoder {
  private var order: RangeOrder
  private var number: UInt64 = 0
  /// The bytes of data so far.
  public private(set) var dataBytes: UInt64 = 0

  /// For the stream that begins with this header.
  public init(_ header: StreamHeader) { order = RangeOrder(sizeBytes: header.sizeBytes) }

  /// At most `maximumDataBytes` of the volume, from `offset` on.
  public mutating func data(offset: UInt64, _ payload: UnsafeRawBufferPointer) -> [UInt8] {
    precondition(payload.count <= StreamFormat.maximumDataBytes)
    take(offset, UInt64(payload.count))
    dataBytes += UInt64(payload.count)
    let frame = FrameHeader(
      type: .data, payloadBytes: payload.count, number: number, offset: offset,
      length: UInt64(payload.count))
    return frame.encoded { unsafe $0.append(contentsOf: payload) }
  }

  /// A range that reads as zeros.
  public mutating func zeros(offset: UInt64, length: UInt64) -> [UInt8] {
    take(offset, length)
    let frame = FrameHeader(
      type: .zeros, payloadBytes: 0, number: number, offset: offset, length: length)
    return frame.encoded { _ in }
  }

  /// The last frame.
  public mutating func end(_ digest: VolumeDigest) -> [UInt8] {
    number += 1
    let frame = FrameHeader(
      type: .end, payloadBytes: StreamFormat.endPayloadBytes, number: number, offset: 0, length: 0)
    var total = ByteFields(count: 8)
    total.set(dataBytes, 0)
    return frame.encoded {
      $0 += digest.bytes
      $0 += total.bytes
    }
  }

  private mutating func take(_ offset: UInt64, _ length: UInt64) {
    let isInOrder = order.take(offset: offset, length: length)
    precondition(isInOrder, "ranges of a stream come in ascending order")
    number += 1
  }
}
