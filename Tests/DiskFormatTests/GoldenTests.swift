import DiskFormat
import Foundation
import StorageUnits
import Testing

/// Images of version 1 that are kept in `Golden/`: what a released version wrote stays readable,
/// and what is written today is what a released version reads.
///
/// Images that exist are never edited. For a new structure, add its value and run the tests with
/// `LAMINA_ADD_GOLDEN=1`: it writes the images that are missing, and no others.
@Suite struct GoldenTests {
  @Test(arguments: Golden.images.map(\.name))
  func theEncoderWritesTheImage(name: String) throws {
    let image = try #require(Golden.images.first { $0.name == name })
    #expect(try HexImage.load(name, orAdd: image.encode) == image.encode())
  }

  @Test func theSuperblockIsRead() throws {
    #expect(try decodeSuperblock(try HexImage.load("superblock-v1")) == Golden.superblock)
  }

  @Test func mapNodesAreRead() throws {
    try withNode(holding: try HexImage.load("map-leaf-v1")) { (node) throws in
      let header = try node.open()
      #expect(header == Golden.nodeHeader(.map, owner: 7))
      try node.validateContents(header)
      #expect(node.entry(0) == Golden.entry)
      #expect(node.entry(1) == MapEntry(upper: Golden.plain, lower: .none))
      #expect(node.entry(2) == MapEntry(upper: Golden.emptied, lower: Golden.packed))
      #expect(node.entry(3) == .none)
      #expect(node.entry(167).upper.birth == ShareEpoch(5))
    }
    try withNode(holding: try HexImage.load("map-inner-v1")) { (node) throws in
      let header = try node.open()
      #expect(header.level == 2)
      try node.validateContents(header)
      #expect(node.pointer(0).address == PoolAddress(block: 0xFF_FFFF_FFFF))
      #expect(node.pointer(1) == Golden.pointer(0x8027, 0x0246_8ACE, birth: 9))
      #expect(node.pointer(251).isNone)
      #expect(node.pointer(251).birth == ShareEpoch(5))
    }
  }

  @Test func thePoolsOwnNodesAreRead() throws {
    try withNode(holding: try HexImage.load("catalogue-leaf-v1")) { (node) throws in
      try node.validateContents(try node.open())
      let volumes = try (0..<9).map { try VolumeRecord.decode(from: node, slot: $0) }
      #expect(
        volumes == [nil, nil, Golden.storedVolume, Golden.readOnlyVolume, nil, nil, nil, nil, nil])
    }
    try withNode(holding: try HexImage.load("doomed-leaf-v1")) { (node) throws in
      try node.validateContents(try node.open())
      let entries = try (0..<3).map { try DoomedEntry.decode(from: node, index: $0) }
      #expect(entries == [nil, Golden.doomed, nil])
    }
    try withNode(holding: try HexImage.load("count-page-v1")) { (node) throws in
      try node.validateContents(try node.open())
      #expect([0, 1, 2, 1023].map { node.count($0) } == [1, 0x01_0203, 0, 0xFF_FFFF])
    }
  }

  @Test func whatSnapshotsAddIsRead() throws {
    try withNode(holding: try HexImage.load("snapshot-leaf-v1")) { (node) throws in
      try node.validateContents(try node.open())
      #expect(try VolumeRecord.decode(from: node, slot: 3) == Golden.snapshot)
    }
    try withNode(holding: try HexImage.load("doomed-leaf-branched-v1")) { (node) throws in
      try node.validateContents(try node.open())
      #expect(try DoomedEntry.decode(from: node, index: 1) == Golden.branchedDoomed)
    }
    try withNode(holding: try HexImage.load("version-tree-leaf-v1")) { (node) throws in
      let header = try node.open()
      #expect(header.type == .versionTree)
      try node.validateContents(header)
      for (slot, branchPoint) in Golden.versionNodes {
        #expect(try VersionNode.decode(from: node, index: slot) == branchPoint)
      }
      #expect(try VersionNode.decode(from: node, index: 2) == nil)
    }
  }

  @Test func whatReceivingAddsIsRead() throws {
    try withNode(holding: try HexImage.load("received-leaf-v1")) { (node) throws in
      try node.validateContents(try node.open())
      #expect(try VolumeRecord.decode(from: node, slot: 2) == Golden.receivingVolume)
      #expect(try VolumeRecord.decode(from: node, slot: 3) == Golden.receivedSnapshot)
    }
  }

  @Test func whatBookmarksAddIsRead() throws {
    #expect(
      try decodeSuperblock(try HexImage.load("superblock-bookmarked-v1"))
        == Golden.bookmarkedSuperblock)
    try withNode(holding: try HexImage.load("bookmark-leaf-v1")) { (node) throws in
      let header = try node.open()
      #expect(header.type == .bookmarks)
      try node.validateContents(header)
      #expect(try Bookmark.decode(from: node, index: 11) == Golden.bookmark)
      #expect(try Bookmark.decode(from: node, index: 10) == nil)
    }
    try withNode(holding: try HexImage.load("map-leaf-cleared-v1")) { (node) throws in
      try node.validateContents(try node.open())
      #expect(node.entry(0) == Golden.clearedEntry)
      #expect(node.entry(0).clearBirth == nil)
      #expect(node.entry(1).clearBirth == ShareEpoch(5))
    }
    try withNode(holding: try HexImage.load("journal-block-bookmarks-v1")) { (block) throws in
      let header = try JournalBlockHeader.decode(block)
      let first = try Record.decode(fromJournal: block, header, at: 0)
      let second = try Record.decode(fromJournal: block, header, at: first.length)
      #expect([first.record, second.record] == Golden.bookmarkRecords)
    }
  }

  @Test func theSegmentTableIsRead() throws {
    try withNode(holding: try HexImage.load("segment-page-v1")) { (node) throws in
      let header = try node.open()
      #expect(header.address.isNone)
      try node.validateContents(header)
      let segments = try (0..<4).map { try SegmentEntry.decode(from: node, index: $0) }
      #expect(segments == Golden.segments)
    }
    try withNode(holding: try HexImage.load("segment-inner-v1")) { (node) throws in
      try node.validateContents(try node.open())
      let first = try SystemPointer.decode(from: node, index: 0)
      #expect(first == Golden.superblock.segmentTable.pointer)
      let second = try SystemPointer.decode(from: node, index: 1)
      #expect(second == nil)
      let last = try SystemPointer.decode(from: node, index: 167)
      #expect(last?.place == Golden.place(2, 0xFFFF_FFFF_FFFF))
      #expect(last?.secondPlace == nil)
    }
  }

  @Test func theJournalBlockIsReadWithARecordOfEachType() throws {
    try withNode(holding: try HexImage.load("journal-block-v1")) { (block) throws in
      let header = try JournalBlockHeader.decode(block)
      #expect(header == Golden.journalHeader(payloadBytes: Int(header.payloadBytes)))
      var offset = 0
      for (i, record) in Golden.records.enumerated() {
        let read = try Record.decode(fromJournal: block, header, at: offset)
        #expect(read.record == record)
        #expect(read.more == (i == 4))
        offset += read.length
      }
      #expect(offset == Int(header.payloadBytes))
    }
    let types = Set(Golden.everyRecord.map(\.type.rawValue))
    #expect(types == Set(1...11).union([34, 35, 40]), "a record of each type")
  }

  @Test func whatTheTrashAddsIsRead() throws {
    try withNode(holding: try HexImage.load("trash-leaf-v1")) { (node) throws in
      try node.validateContents(try node.open())
      #expect(try VolumeRecord.decode(from: node, slot: 2) == Golden.trashed)
    }
    let bytes = try HexImage.load("superblock-undo-v1")
    #expect(try decodeSuperblock(bytes) == Golden.laterSuperblock)
  }

  @Test func holdsAreRead() throws {
    try withNode(holding: try HexImage.load("holds-leaf-v1")) { (node) throws in
      let header = try node.open()
      #expect(header.type == .holds)
      try node.validateContents(header)
      for (slot, hold) in Golden.holds {
        #expect(try HoldEntry.decode(from: node, index: slot) == hold)
      }
      #expect(try HoldEntry.decode(from: node, index: 1) == nil)
    }
  }

  @Test func owedDiscardsAreRead() throws {
    try withNode(holding: try HexImage.load("owed-leaf-v1")) { (node) throws in
      let header = try node.open()
      #expect(header.type == .owed)
      try node.validateContents(header)
      for (slot, range) in Golden.owed {
        #expect(try OwedRange.decode(from: node, index: slot) == range)
      }
      #expect(try OwedRange.decode(from: node, index: 1) == nil)
    }
    let bytes = try HexImage.load("superblock-owed-v1")
    #expect(try decodeSuperblock(bytes) == Golden.owingSuperblock)
  }

  @Test(arguments: Golden.laterRecords.map(\.name))
  func recordsThatCameLaterAreRead(name: String) throws {
    let records = try #require(Golden.laterRecords.first { $0.name == name }).records
    try withNode(holding: try HexImage.load(name)) { (block) throws in
      let header = try JournalBlockHeader.decode(block)
      var offset = 0
      for record in records {
        let read = try Record.decode(fromJournal: block, header, at: offset)
        #expect(read.record == record)
        offset += read.length
      }
      #expect(offset == Int(header.payloadBytes))
    }
  }

  @Test func theTailIsRead() throws {
    let header = try decodeTailHeader(try HexImage.load("tail-header-v1"))
    #expect(header.header == Golden.tailHeader)
    let bytes = try HexImage.load("tail-frame-v1")
    let frame = try decodeTailFrame(bytes)
    #expect(frame.record == RecordNumber(123_460))
    #expect(frame.logGeneration == 5)
    let record = Array(bytes[TailFrame.headerBytes..<TailFrame.headerBytes + frame.recordBytes])
    let read = try decodeRecord(record)
    #expect(read.record == Golden.records[0])
  }
}

/// Bytes as text: the length, then the lines of 16 bytes that are not all zero, by their offset.
enum HexImage {
  struct Malformed: Error {}

  private static func url(_ name: String) -> URL {
    URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "Golden/\(name).hex")
  }

  static func load(_ name: String) throws -> [UInt8] {
    try parse(try String(contentsOf: url(name), encoding: .utf8))
  }

  static func load(_ name: String, orAdd make: () -> [UInt8]) throws -> [UInt8] {
    let isMissing = !FileManager.default.fileExists(atPath: url(name).path)
    if isMissing, ProcessInfo.processInfo.environment["LAMINA_ADD_GOLDEN"] == "1" {
      try text(make()).write(to: url(name), atomically: true, encoding: .utf8)
    }
    return try load(name)
  }

  static func text(_ bytes: [UInt8]) -> String {
    func hex(_ value: Int, _ digits: Int) -> String {
      let text = String(value, radix: 16)
      return String(repeating: "0", count: digits - text.count) + text
    }
    var text = "bytes \(bytes.count)\n"
    for at in stride(from: 0, to: bytes.count, by: 16) {
      let line = bytes[at..<min(at + 16, bytes.count)]
      if line.allSatisfy({ $0 == 0 }) { continue }
      text += hex(at, 4) + ": " + line.map { hex(Int($0), 2) }.joined(separator: " ") + "\n"
    }
    return text
  }

  static func parse(_ text: String) throws -> [UInt8] {
    let lines = text.split(separator: "\n")
    guard let first = lines.first, first.hasPrefix("bytes "), let count = Int(first.dropFirst(6))
    else { throw Malformed() }
    var bytes = [UInt8](repeating: 0, count: count)
    for line in lines.dropFirst() {
      let parts = line.split(separator: ":")
      guard parts.count == 2, let at = Int(parts[0], radix: 16) else { throw Malformed() }
      for (i, digits) in parts[1].split(separator: " ").enumerated() {
        guard let byte = UInt8(digits, radix: 16), at + i < count else { throw Malformed() }
        bytes[at + i] = byte
      }
    }
    return bytes
  }
}
