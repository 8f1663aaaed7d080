import DiskFormat
import StorageUnits

// The structures as arrays of bytes, for tests that compare, cut and change them.

/// Runs `body` with a node of 4096 zero bytes.
@discardableResult
func withNode<Result>(_ body: (NodeImage) throws -> Result) rethrows -> Result {
  let memory = UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 4096)
  defer { unsafe memory.deallocate() }
  let node = unsafe NodeImage(viewing: memory)
  node.clear()
  return try body(node)
}

/// Runs `body` with a node that holds `bytes`.
@discardableResult
func withNode<Result>(
  holding bytes: [UInt8], _ body: (NodeImage) throws -> Result
) rethrows -> Result {
  try withNode { node in
    for (i, byte) in bytes.enumerated() { node.store8(byte, i) }
    return try body(node)
  }
}

extension NodeImage {
  var bytes: [UInt8] { (0..<4096).map { load8($0) } }
}

extension Superblock {
  func encoded() -> [UInt8] {
    // What was there before must not show.
    var bytes = [UInt8](repeating: 0xA5, count: FormatConstants.superblockBytes)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    encode(into: &raw)
    return bytes
  }
}

extension Record {
  func encoded(more: Bool) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xA5, count: RecordFormat.maximumBytes)
    let length = unsafe bytes.withUnsafeMutableBytes { unsafe encode(more: more, into: $0) }
    return Array(bytes[..<length])
  }
}

extension TailHeader {
  func encoded() -> [UInt8] {
    var bytes = [UInt8](repeating: 0xA5, count: Self.byteCount)
    unsafe bytes.withUnsafeMutableBytes { unsafe encode(into: $0) }
    return bytes
  }
}

func decodeTailHeader(_ bytes: [UInt8]) throws -> (header: TailHeader, start: UInt64) {
  try unsafe bytes.withUnsafeBytes { try unsafe TailHeader.decode($0) }
}

/// A frame as it lies in the ring.
func tailFrame(_ record: Record, number: RecordNumber, generation: UInt64) -> [UInt8] {
  var bytes = [UInt8](repeating: 0xA5, count: TailFrame.maximumBytes)
  let encoded = record.encoded(more: false)
  bytes.replaceSubrange(
    TailFrame.headerBytes..<TailFrame.headerBytes + encoded.count, with: encoded)
  let length = unsafe bytes.withUnsafeMutableBytes {
    unsafe TailFrame.encode(
      record: number, logGeneration: generation, recordBytes: encoded.count, into: $0)
  }
  return Array(bytes[..<length])
}

func decodeTailFrame(
  _ bytes: [UInt8]
) throws -> (record: RecordNumber, logGeneration: UInt64, recordBytes: Int, length: Int) {
  try unsafe bytes.withUnsafeBytes { try unsafe TailFrame.decode($0) }
}

extension SeededRandom {
  mutating func tailHeader() -> TailHeader {
    TailHeader(
      poolUUID: uuid(), logGeneration: next(), bootID: uuid(),
      capacityBytes: 4096 + 8 * number(below: 1 << 30))
  }

  mutating func nodeHeader() -> NodeHeader {
    let types: [NodeType] = [.map, .catalogue, .countPage, .doomed, .segmentTable]
    let type = types[Int(next() % 5)]
    return NodeHeader(
      type: type, level: type == .countPage ? 0 : UInt8(next() % 5), pool: next(), owner: next(),
      key: next(), address: PoolAddress(block: number(below: 1 << 40)), checkpoint: next(),
      birth: epoch(), entries: UInt16(number(below: 1 << 16)))
  }
}

func decodeSuperblock(_ bytes: [UInt8]) throws -> Superblock {
  try unsafe Superblock(decoding: bytes.span.bytes)
}

func decodeRecord(_ bytes: [UInt8]) throws -> (record: Record, more: Bool, length: Int) {
  try unsafe Record.decode(from: bytes.span.bytes)
}
