import DiskFormat
import StorageUnits
import Testing

/// Bytes that version 1 gives no meaning are zero; a structure that is whole but has one set was
/// written by something else, and is refused.
@Suite struct ReservedBytesTests {
  /// `bytes` with `value` at `at`, and the checksum at `field` over the first `count` bytes made
  /// right again.
  private func resealed(
    _ bytes: [UInt8], at: Int, value: UInt8 = 0x80, field: Int, count: Int? = nil
  ) -> [UInt8] {
    var bytes = bytes
    bytes[at] = value
    bytes.replaceSubrange(field..<field + 4, with: [0, 0, 0, 0])
    let checksum = unsafe bytes.withUnsafeBytes {
      unsafe Checksum.crc32c(UnsafeRawBufferPointer(rebasing: $0[..<(count ?? $0.count)]))
    }
    for i in 0..<4 { bytes[field + i] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * i)) }
    return bytes
  }

  /// By the name of the reserved root, its first byte.
  static let reservedRoots: [(String, Int)] = [
    ("attributes", 528), ("keys", 552), ("count runs", 576),
  ]

  @Test(arguments: reservedRoots.map(\.0))
  func reservedRootsAreRefused(name: String) throws {
    let (_, start) = try #require(Self.reservedRoots.first { $0.0 == name })
    let bytes = Golden.superblock.encoded()
    for at in start..<start + 24 {
      #expect(throws: FormatError.reservedNotZero(.superblock)) {
        try decodeSuperblock(resealed(bytes, at: at, value: 1, field: 12))
      }
    }
  }

  @Test func reservedBytesOfASuperblockAreRefused() {
    let bytes = Golden.superblock.encoded()
    let reserved: [Range<Int>] = [
      9..<12, 121..<122, 178..<180, 184..<192, 401..<408, 425..<432, 449..<456, 497..<504,
      521..<528, 600..<608, 628..<632, 633..<640,
      640 + 32..<1664, 1664 + 2 * 16..<1792, 1792 + 35..<1792 + 48, 1792 + 2 * 48..<8192,
    ]
    for at in reserved.joined() {
      #expect(throws: FormatError.reservedNotZero(.superblock), "byte \(at)") {
        try decodeSuperblock(resealed(bytes, at: at, field: 12))
      }
    }
  }

  @Test func textIsFilledWithZeros() {
    let bytes = Golden.superblock.encoded()
    #expect(throws: FormatError.badField(.superblock, "poolName")) {
      try decodeSuperblock(resealed(bytes, at: 192 + 20, value: 0x41, field: 12))
    }
    #expect(throws: FormatError.badField(.superblock, "host")) {
      try decodeSuperblock(resealed(bytes, at: 320 + 63, value: 0x41, field: 12))
    }
    #expect(throws: FormatError.badField(.superblock, "poolName"), "not UTF-8") {
      try decodeSuperblock(resealed(bytes, at: 192, value: 0xFF, field: 12))
    }
  }

  @Test func unknownFeaturesAreRefusedBeforeAnythingElseIsBelieved() {
    var bytes = resealed(Golden.superblock.encoded(), at: 9000 - 1000, field: 12)
    bytes = resealed(bytes, at: 17, value: 3, field: 12)
    #expect(throws: FormatError.unknownFeatures(0x300)) { try decodeSuperblock(bytes) }
  }

  @Test func reservedBytesOfANodeHeaderAreRefused() {
    for at in [7, 54, 55, 56, 57, 58, 59] {
      withNode(holding: resealed(Golden.mapLeaf, at: at, field: 60)) { node in
        #expect(throws: FormatError.reservedNotZero(.node)) { try node.open() }
      }
    }
    let fields: [(Int, UInt8, FormatError)] = [
      (4, 10, .unknownKind(.node)), (5, 2, .unknownVersion(.node)),
      (6, 5, .badField(.node, "level")),
      (37, 1, .badField(.node, "address")), (0, 0, .badMagic(.node)),
    ]
    for (at, value, error) in fields {
      withNode(holding: resealed(Golden.mapLeaf, at: at, value: value, field: 60)) { node in
        #expect(throws: error) { try node.open() }
      }
    }
  }

  /// The contents are looked at after the checksum: a writer's mistake is not a reader's crash.
  @Test func reservedBytesInsideANodeAreRefused() {
    func refused(_ bytes: [UInt8], at: Int, value: UInt8, _ error: FormatError) {
      withNode(holding: resealed(bytes, at: at, value: value, field: 60)) { node in
        #expect(throws: error, "byte \(at)") { try node.validateContents(try node.open()) }
      }
    }
    refused(Golden.mapLeaf, at: 64 + 7, value: 0x81, .reservedNotZero(.node))
    refused(Golden.mapLeaf, at: 64 + 7, value: 0x09, .reservedNotZero(.node))
    refused(Golden.mapLeaf, at: 64 + 7, value: 0x05, .unknownKind(.node))
    refused(Golden.mapInner, at: 64 + 6, value: 1, .reservedNotZero(.node))
    refused(Golden.mapInner, at: 64 + 5, value: 0x80, .reservedNotZero(.node))
    refused(Golden.countPage, at: 64 + 3072, value: 1, .reservedNotZero(.node))
    refused(Golden.countPage, at: 4095, value: 1, .reservedNotZero(.node))
    refused(Golden.segmentPage, at: 4095, value: 1, .reservedNotZero(.node))
    refused(Golden.segmentPage, at: 64 + 17, value: 1, .unknownKind(.segmentTable))
    refused(Golden.segmentPage, at: 64 + 18, value: 1, .reservedNotZero(.segmentTable))
    refused(Golden.segmentPage, at: 64 + 40, value: 1, .reservedNotZero(.segmentTable))
    refused(Golden.segmentInner, at: 64 + 20, value: 1, .reservedNotZero(.segmentTable))
    for byte in [46, 47, 72, 79] {
      refused(
        Golden.bookmarkLeaf, at: 64 + 11 * 336 + byte, value: 1, .reservedNotZero(.bookmark))
    }
    refused(Golden.doomedLeaf, at: 64 + 64 + 49, value: 1, .reservedNotZero(.doomedEntry))
    refused(Golden.catalogueLeaf, at: 64 + 8, value: 1, .reservedNotZero(.volumeRecord))
    refused(
      Golden.catalogueLeaf, at: 64 + 2 * 448 + 336, value: 1, .reservedNotZero(.volumeRecord))
    // A lineage without a reason, and a snapshot that something is received into.
    refused(
      Golden.catalogueLeaf, at: 64 + 2 * 448 + 304, value: 1, .badField(.volumeRecord, "lineage"))
    refused(
      Golden.catalogueLeaf, at: 64 + 3 * 448 + 60, value: 5, .badField(.volumeRecord, "flags"))
  }

  @Test func whatFollowsTheRecordsOfAJournalBlockIsZero() {
    let bytes = Golden.journalBlock
    for at in [80, 91, 4095] {
      withNode(holding: resealed(bytes, at: at, field: 92)) { block in
        #expect(throws: FormatError.reservedNotZero(.journalBlock)) {
          try JournalBlockHeader.decode(block)
        }
      }
    }
    let fields: [(Int, UInt8, FormatError)] = [
      (5, 1, .unknownKind(.journalBlock)), (4, 2, .unknownVersion(.journalBlock)),
      (64, 77, .badField(.journalBlock, "durableThrough")),
      (75, 0x10, .badField(.journalBlock, "payloadBytes")),
      (73, 0x10, .badField(.journalBlock, "recordCount")),
      (72, 0, .badField(.journalBlock, "recordCount")),
    ]
    for (at, value, error) in fields {
      withNode(holding: resealed(bytes, at: at, value: value, field: 92)) { block in
        #expect(throws: error, "byte \(at)") { try JournalBlockHeader.decode(block) }
      }
    }
  }

  @Test func reservedBytesOfTheTailAreRefused() throws {
    let header = Golden.tailHeader.encoded()
    for at in [9, 11, 64, 127] {
      #expect(throws: FormatError.reservedNotZero(.tailHeader)) {
        try decodeTailHeader(resealed(header, at: at, field: 12, count: 128))
      }
    }
    for at in [136, 4095] {
      var bytes = header
      bytes[at] = 1
      #expect(throws: FormatError.reservedNotZero(.tailHeader)) { try decodeTailHeader(bytes) }
    }
    let frame = tailFrame(Golden.records[0], number: RecordNumber(1), generation: 5)
    for at in [18, 19, frame.count - 1] {
      #expect(throws: FormatError.reservedNotZero(.tailFrame)) {
        try decodeTailFrame(resealed(frame, at: at, field: 20))
      }
    }
  }

  @Test func reservedRecordTypesAreRefused() {
    var bytes = Golden.records[0].encoded(more: false)
    let known = Set((Golden.everyRecord + Golden.bookmarkRecords).map(\.type.rawValue))
    for type in 0...255 as ClosedRange<UInt8> where !known.contains(type) {
      bytes[0] = type
      #expect(throws: FormatError.unknownKind(.record)) { try decodeRecord(bytes) }
    }
  }

  @Test func recordsThatNameANodeAreRefused() {
    var bytes = Golden.records[1].encoded(more: false)
    bytes[4 + 72] = 1
    #expect(throws: FormatError.reservedNotZero(.record)) { try decodeRecord(bytes) }
  }
  @Test func segmentsAreLentByBeingAPartnerOnly() {
    let record = Record.segmentClass(
      SegmentIndex(index: 4), .node, partner: SegmentIndex(index: 0))
    var bytes = record.encoded(more: false)
    bytes[4 + 4] = SegmentClass.data.rawValue
    #expect(throws: FormatError.badField(.record, "partner")) { try decodeRecord(bytes) }
    bytes[4 + 4] = SegmentClass.lent.rawValue
    #expect(throws: FormatError.badField(.record, "class")) { try decodeRecord(bytes) }
    bytes[4 + 4] = SegmentClass.node.rawValue
    bytes[4 + 8] = 4
    #expect(throws: FormatError.badField(.record, "partner")) { try decodeRecord(bytes) }
  }
}
