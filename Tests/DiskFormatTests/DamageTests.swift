import DiskFormat
import StorageUnits
import Testing

/// Damaged bytes are refused, and no bit of a structure is without a meaning.
@Suite struct DamageTests {
  /// Flips every bit of `bytes` in turn, and reports those flips that `survives` accepts.
  private func survivors(_ bytes: [UInt8], _ survives: ([UInt8]) -> Bool) -> [Int] {
    var bytes = bytes
    var found: [Int] = []
    for bit in 0..<bytes.count * 8 {
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      if survives(bytes) { found.append(bit) }
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
    }
    return found
  }

  @Test func everyBitOfASuperblockIsCovered() {
    let found = survivors(Golden.superblock.encoded()) { (try? decodeSuperblock($0)) != nil }
    #expect(found == [])
  }

  @Test(arguments: [
    "map-leaf-v1", "map-inner-v1", "catalogue-leaf-v1", "doomed-leaf-v1", "count-page-v1",
    "segment-page-v1", "segment-inner-v1", "snapshot-leaf-v1", "doomed-leaf-branched-v1",
    "version-tree-leaf-v1",
  ])
  func everyBitOfANodeIsCovered(name: String) throws {
    try withNode(holding: try HexImage.load(name)) { (node) throws in
      var found: [Int] = []
      for bit in 0..<4096 * 8 {
        node.store8(node.load8(bit / 8) ^ 1 << UInt8(bit % 8), bit / 8)
        if (try? node.open()) != nil { found.append(bit) }
        node.store8(node.load8(bit / 8) ^ 1 << UInt8(bit % 8), bit / 8)
      }
      #expect(found == [])
    }
  }

  @Test func everyBitOfAJournalBlockIsCovered() throws {
    withNode(holding: Golden.journalBlock) { block in
      var found: [Int] = []
      for bit in 0..<4096 * 8 {
        block.store8(block.load8(bit / 8) ^ 1 << UInt8(bit % 8), bit / 8)
        if (try? JournalBlockHeader.decode(block)) != nil { found.append(bit) }
        block.store8(block.load8(bit / 8) ^ 1 << UInt8(bit % 8), bit / 8)
      }
      #expect(found == [])
    }
  }

  /// The position of the oldest frame is one store that no checksum can go with; all else is
  /// covered.
  @Test func everyBitOfATailHeaderButItsStartIsCovered() {
    let found = survivors(Golden.tailHeader.encoded()) { (try? decodeTailHeader($0)) != nil }
    let start = TailHeader.startOffset * 8
    #expect(found == Array(start + 3..<start + 63))
  }

  @Test func everyBitOfATailFrameIsCovered() {
    for record in Golden.everyRecord + Golden.bookmarkRecords {
      let bytes = tailFrame(record, number: RecordNumber(1), generation: 5)
      #expect(survivors(bytes) { (try? decodeTailFrame($0)) != nil } == [])
    }
  }

  /// Records and slots have no checksum of their own: each flip is refused or changes the value.
  @Test func noBitOfARecordIsIgnored() {
    for record in Golden.everyRecord {
      let found = survivors(record.encoded(more: false)) { bytes in
        guard let read = try? decodeRecord(bytes) else { return false }
        return read.record == record && !read.more
      }
      #expect(found == [], "\(record.type)")
    }
  }

  @Test func noBitOfASlotIsIgnored() {
    func check<Value: Equatable>(
      _ what: String, at: Int, count: Int, _ value: Value, _ read: (NodeImage) throws -> Value?
    ) {
      withNode(holding: Golden.images.first { $0.name == what }?.encode() ?? []) { node in
        var found: [Int] = []
        for bit in at * 8..<(at + count) * 8 {
          node.store8(node.load8(bit / 8) ^ 1 << UInt8(bit % 8), bit / 8)
          if let changed = try? read(node), changed == value { found.append(bit) }
          node.store8(node.load8(bit / 8) ^ 1 << UInt8(bit % 8), bit / 8)
        }
        #expect(found == [], "\(what)")
      }
    }
    check("catalogue-leaf-v1", at: 64 + 2 * 448, count: 448, Golden.storedVolume) {
      try VolumeRecord.decode(from: $0, slot: 2)
    }
    check("doomed-leaf-v1", at: 64 + 64, count: 64, Golden.doomed) {
      try DoomedEntry.decode(from: $0, index: 1)
    }
    for (slot, branchPoint) in Golden.versionNodes {
      check("version-tree-leaf-v1", at: 64 + slot * 16, count: 16, branchPoint) {
        try VersionNode.decode(from: $0, index: slot)
      }
    }
    check("bookmark-leaf-v1", at: 64 + 11 * 336, count: 336, Golden.bookmark) {
      try Bookmark.decode(from: $0, index: 11)
    }
    check("trash-leaf-v1", at: 64 + 2 * 448, count: 448, Golden.trashed) {
      try VolumeRecord.decode(from: $0, slot: 2)
    }
    for (slot, hold) in Golden.holds {
      check("holds-leaf-v1", at: 64 + slot * 256, count: 256, hold) {
        try HoldEntry.decode(from: $0, index: slot)
      }
    }
    for (slot, range) in Golden.owed {
      check("owed-leaf-v1", at: 64 + slot * 24, count: 24, range) {
        try OwedRange.decode(from: $0, index: slot)
      }
    }
    for (i, segment) in Golden.segments.enumerated() {
      check("segment-page-v1", at: 64 + i * 64, count: 64, segment) {
        try SegmentEntry.decode(from: $0, index: i)
      }
    }
    check("segment-inner-v1", at: 64, count: 24, Golden.superblock.segmentTable.pointer) {
      try SystemPointer.decode(from: $0, index: 0)
    }
  }

  @Test func truncatedBytesAreRefused() {
    let superblock = Golden.superblock.encoded()
    for count in [0, 1, 4096, 8191] {
      #expect(throws: FormatError.truncated(.superblock)) {
        try decodeSuperblock(Array(superblock[..<count]))
      }
    }
    for record in Golden.everyRecord {
      let bytes = record.encoded(more: false)
      for count in 0..<bytes.count {
        #expect(throws: FormatError.truncated(.record)) {
          try decodeRecord(Array(bytes[..<count]))
        }
      }
      let frame = tailFrame(record, number: RecordNumber(1), generation: 5)
      for count in 0..<frame.count {
        #expect(throws: FormatError.truncated(.tailFrame)) {
          try decodeTailFrame(Array(frame[..<count]))
        }
      }
    }
    let header = Golden.tailHeader.encoded()
    for count in [0, 1, 128, 4095] {
      #expect(throws: FormatError.truncated(.tailHeader)) {
        try decodeTailHeader(Array(header[..<count]))
      }
    }
  }
}
