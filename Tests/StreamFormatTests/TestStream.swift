import StorageUnits

@testable import StreamFormat

/// A small stream with everything in it.
enum TestStream {
  static let header = StreamHeader(
    pool: StorageUUID(high: 0x0102_0304_0506_4708, low: 0x890A_0B0C_0D0E_0F10),
    volume: StorageUUID(high: 0x1112_1314_1516_4718, low: 0x991A_1B1C_1D1E_1F20),
    snapshot: StorageUUID(high: 0x2122_2324_2526_4728, low: 0xA92A_2B2C_2D2E_2F30),
    base: nil, sizeBytes: 5 * 4096 + 512, logicalBlockBytes: 512, createdAt: 1_790_000_000,
    expectedBytes: 8704, poolName: "tank", volumeName: "disk", snapshotName: "monday",
    baseName: "")

  static let incrementalHeader: StreamHeader = {
    var incremental = header
    incremental.base = StorageUUID(high: 0x3132_3334_3536_4738, low: 0xB93A_3B3C_3D3E_3F40)
    incremental.baseName = "sunday"
    return incremental
  }()

  /// Blocks 1 and 5 (cut off) have data, blocks 2 to 4 are zeros, block 0 is not spoken of.
  static func events(of header: StreamHeader) -> [StreamEvent] {
    let hash = VolumeHash()
    let first = pattern(1, 4096)
    let last = pattern(2, 512)
    unsafe first.withUnsafeBytes { unsafe hash.add(offset: 4096, $0) }
    unsafe last.withUnsafeBytes { unsafe hash.add(offset: 5 * 4096, $0) }
    return [
      .header(header), .data(offset: 4096, bytes: first),
      .zeros(offset: 2 * 4096, length: 3 * 4096), .data(offset: 5 * 4096, bytes: last),
      .end(hash.finish(sizeBytes: header.sizeBytes)),
    ]
  }

  static func bytes(of header: StreamHeader) -> [UInt8] { encode(events(of: header)) }

  static func encode(_ events: [StreamEvent]) -> [UInt8] {
    var bytes: [UInt8] = []
    var encoder = StreamEncoder(header)
    for event in events {
      switch event {
      case .header(let header):
        encoder = StreamEncoder(header)
        bytes += header.encoded()
      case .data(let offset, let data):
        bytes += unsafe data.withUnsafeBytes { unsafe encoder.data(offset: offset, $0) }
      case .zeros(let offset, let length): bytes += encoder.zeros(offset: offset, length: length)
      case .end(let digest): bytes += encoder.end(digest)
      }
    }
    return bytes
  }

  /// Reads a whole stream, handed in in pieces of this size.
  static func decode(
    _ bytes: [UInt8], pieces: Int = .max
  ) throws(StreamError) -> [StreamEvent] {
    var decoder = StreamDecoder()
    var events: [StreamEvent] = []
    var at = 0
    while at < bytes.count {
      let end = pieces < bytes.count - at ? at + pieces : bytes.count
      decoder.append(bytes[at..<end])
      while let event = try decoder.next() { events.append(event) }
      at = end
    }
    try decoder.finish()
    return events
  }

  static func pattern(_ seed: UInt64, _ count: Int) -> [UInt8] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    return (0..<count).map { _ in
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return UInt8(truncatingIfNeeded: state >> 24) | 1
    }
  }
}
