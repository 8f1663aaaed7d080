import StreamFormat

/// Streams that somebody hands to `lamina receive`, in pieces of any size. The first byte says
/// whether the checksums are mended, so that what they guard is reached, and the second how large
/// the pieces are; the rest is the stream.
///
/// Besides surviving it: a stream that is accepted is written again to the very same bytes, and
/// what is refused once is refused for good.
public enum StreamFuzzing {
  public static func run(_ bytes: [UInt8]) throws(BrokenProperty) {
    guard bytes.count > 2 else { return }
    var stream = Array(bytes[2...])
    if bytes[0] & 1 != 0 { mend(&stream) }
    let pieces = Int(bytes[1]) * 17 + 1
    var decoder = StreamDecoder()
    var events: [StreamEvent] = []
    var at = 0
    do throws(StreamError) {
      while at < stream.count {
        let end = min(at + pieces, stream.count)
        decoder.append(stream[at..<end])
        while let event = try decoder.next() { events.append(event) }
        at = end
      }
      try decoder.finish()
    } catch {
      let isWhole = (try? decoder.finish()) != nil
      try BrokenProperty.unless(!isWhole, "a stream that was refused is whole: \(error)")
      return
    }
    try BrokenProperty.unless(
      withoutOptionalFeatures(written(events)) == withoutOptionalFeatures(stream),
      "a stream is written differently from what was read")
  }

  private static func written(_ events: [StreamEvent]) -> [UInt8] {
    var bytes: [UInt8] = []
    var encoder: StreamEncoder?
    for event in events {
      switch event {
      case .header(let header):
        encoder = StreamEncoder(header)
        bytes += header.encoded()
      case .data(let offset, let data):
        bytes += unsafe data.withUnsafeBytes { unsafe encoder?.data(offset: offset, $0) } ?? []
      case .zeros(let offset, let length):
        bytes += encoder?.zeros(offset: offset, length: length) ?? []
      case .end(let digest): bytes += encoder?.end(digest) ?? []
      }
    }
    return bytes
  }

  /// Features that a reader may ignore are not kept, and the header's checksum covers them.
  private static func withoutOptionalFeatures(_ stream: [UInt8]) -> [UInt8] {
    var stream = stream
    for index in 24..<32 where index < stream.count { stream[index] = 0 }
    for index in 12..<16 where index < stream.count { stream[index] = 0 }
    return stream
  }

  /// Gives the header and each frame the checksum that it should have, as far as lengths lead.
  private static func mend(_ stream: inout [UInt8]) {
    guard stream.count >= StreamFormat.headerBytes else { return }
    Mending.mend(&stream, field: 12, count: StreamFormat.headerBytes)
    var at = StreamFormat.headerBytes
    while at + StreamFormat.frameHeaderBytes <= stream.count {
      let payload = (0..<4).reduce(0) { $0 | Int(stream[at + 4 + $1]) << (8 * $1) }
      let end = at + StreamFormat.frameHeaderBytes + payload
      guard end <= stream.count else { return }
      var frame = Array(stream[at..<end])
      Mending.mend(&frame, field: 36)
      stream.replaceSubrange(at..<end, with: frame)
      at = end
    }
  }
}
