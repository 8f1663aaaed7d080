import DiskFormat
import StorageUnits

/// Every structure of the on-disk format from any bytes. Each is refused with a `FormatError`, or
/// is written again to the very same bytes: a decoder that reads past something, or accepts what no
/// encoder writes, shows as a difference.
public enum FormatFuzzing {
  public static func run(_ bytes: [UInt8]) throws(BrokenProperty) {
    guard let input = FormatInput(bytes) else { return }
    switch input.structure {
    case .superblock: try superblock(input)
    case .node: try node(input)
    case .countImage: try countImage(input)
    case .journalBlock: try journalBlock(input)
    case .record: try record(input)
    case .tailHeader: try tailHeader(input)
    case .tailFrame: try tailFrame(input)
    }
  }

  private static func same(
    _ written: [UInt8], _ read: [UInt8], _ what: String
  ) throws(BrokenProperty) {
    guard written != read else { return }
    let at = zip(written, read).enumerated().first { $0.element.0 != $0.element.1 }?.offset
    throw BrokenProperty(
      "\(what) is written differently from what was read, first at byte \(at ?? read.count)")
  }

  // MARK: Superblock

  private static func superblock(_ input: FormatInput) throws(BrokenProperty) {
    var bytes = input.bytes
    if input.preparation != .raw {
      bytes = input.resized(to: FormatConstants.superblockBytes)
      Mending.mend(&bytes, field: 12)
    }
    guard let read = unsafe try? Superblock(decoding: bytes.span.bytes) else { return }
    var written = [UInt8](repeating: 0xA5, count: FormatConstants.superblockBytes)
    var span = written.mutableSpan
    var raw = unsafe span.mutableBytes
    read.encode(into: &raw)
    try same(written, Array(bytes.prefix(written.count)), "a superblock")
  }

  // MARK: Journal and records

  private static func journalBlock(_ input: FormatInput) throws(BrokenProperty) {
    var bytes = input.resized(to: FormatConstants.blockBytes)
    if input.preparation != .raw { Mending.mend(&bytes, field: 92) }
    let block = BlockMemory(bytes)
    guard let header = try? JournalBlockHeader.decode(block.node) else { return }
    let copy = BlockMemory([UInt8](repeating: 0, count: FormatConstants.blockBytes))
    header.encode(into: copy.node)
    var offset = 0
    while let read = try? Record.decode(fromJournal: block.node, header, at: offset) {
      try BrokenProperty.unless(read.length > 0, "a record of no bytes")
      for (i, byte) in encoded(read.record, more: read.more).enumerated() {
        copy.node.store8(byte, FormatConstants.journalHeaderBytes + offset + i)
      }
      offset += read.length
    }
    try BrokenProperty.unless(
      offset <= Int(header.payloadBytes), "records go on behind the payload")
    // What cannot be read as records is not written again.
    guard offset == Int(header.payloadBytes) else { return }
    copy.node.sealJournalBlock()
    try same(copy.bytes, bytes, "a journal block")
  }

  private static func record(_ input: FormatInput) throws(BrokenProperty) {
    guard let read = unsafe try? Record.decode(from: input.bytes.span.bytes) else { return }
    try same(
      encoded(read.record, more: read.more), Array(input.bytes.prefix(read.length)), "a record")
  }

  private static func encoded(_ record: Record, more: Bool) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xA5, count: RecordFormat.maximumBytes)
    let length = unsafe bytes.withUnsafeMutableBytes {
      unsafe record.encode(more: more, into: $0)
    }
    return Array(bytes[..<length])
  }

  // MARK: Tail

  private static func tailHeader(_ input: FormatInput) throws(BrokenProperty) {
    var bytes = input.bytes
    if input.preparation != .raw {
      bytes = input.resized(to: TailHeader.byteCount)
      Mending.mend(&bytes, field: 12, count: TailHeader.startOffset)
    }
    let decoded = try? unsafe bytes.withUnsafeBytes { try unsafe TailHeader.decode($0) }
    guard let decoded else { return }
    var written = [UInt8](repeating: 0xA5, count: TailHeader.byteCount)
    unsafe written.withUnsafeMutableBytes { unsafe decoded.header.encode(into: $0) }
    for i in 0..<8 {
      written[TailHeader.startOffset + i] = UInt8(
        truncatingIfNeeded: decoded.start >> UInt64(8 * i))
    }
    try same(written, Array(bytes.prefix(written.count)), "a tail header")
  }

  private static func tailFrame(_ input: FormatInput) throws(BrokenProperty) {
    var bytes = input.bytes
    if input.preparation != .raw, bytes.count >= TailFrame.headerBytes {
      let recordBytes = Int(bytes[16]) | Int(bytes[17]) << 8
      Mending.mend(
        &bytes, field: 20, count: TailFrame.byteCount(recordBytes: recordBytes))
    }
    let decoded = try? unsafe bytes.withUnsafeBytes { try unsafe TailFrame.decode($0) }
    guard let decoded else { return }
    try BrokenProperty.unless(
      decoded.length <= bytes.count, "a frame that is longer than the ring's rest")
    var written = Array(bytes.prefix(decoded.length))
    unsafe written.withUnsafeMutableBytes {
      _ = unsafe TailFrame.encode(
        record: decoded.record, logGeneration: decoded.logGeneration,
        recordBytes: decoded.recordBytes, into: $0)
    }
    try same(written, Array(bytes.prefix(decoded.length)), "a tail frame")
  }
}
