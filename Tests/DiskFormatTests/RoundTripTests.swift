import DiskFormat
import StorageUnits
import Testing

/// What is written is what is read, and writing it again gives the same bytes.
///
/// A failure names the seed of the one case; `seeds` may then be narrowed to it.
@Suite struct RoundTripTests {
  static let seeds: Range<UInt64> = 1..<301

  @Test func superblocks() throws {
    for seed in Self.seeds {
      var random = SeededRandom(seed: seed)
      let value = random.superblock()
      let bytes = value.encoded()
      let read = try decodeSuperblock(bytes)
      #expect(read == value, "seed \(seed)")
      #expect(read.encoded() == bytes, "seed \(seed)")
    }
  }

  @Test func segmentEntries() throws {
    for seed in Self.seeds {
      var random = SeededRandom(seed: seed)
      try withNode { (node) throws in
        let index = Int(random.next() % 63)
        let value = random.segmentEntry()
        value.encode(into: node, index: index)
        #expect(try SegmentEntry.decode(from: node, index: index) == value, "seed \(seed)")
      }
    }
  }

  @Test func systemPointers() throws {
    for seed in Self.seeds {
      var random = SeededRandom(seed: seed)
      try withNode { (node) throws in
        let index = Int(random.next() % 168)
        #expect(try SystemPointer.decode(from: node, index: index) == nil)
        let value = random.systemPointer()
        value.encode(into: node, index: index)
        #expect(try SystemPointer.decode(from: node, index: index) == value, "seed \(seed)")
      }
    }
  }

  @Test func volumes() throws {
    for seed in Self.seeds {
      var random = SeededRandom(seed: seed)
      try withNode { (node) throws in
        let slot = Int(random.next() % 9)
        #expect(try VolumeRecord.decode(from: node, slot: slot) == nil)
        let value = random.volume()
        value.encode(into: node, slot: slot)
        #expect(try VolumeRecord.decode(from: node, slot: slot) == value, "seed \(seed)")
        VolumeRecord.clear(in: node, slot: slot)
        #expect(try VolumeRecord.decode(from: node, slot: slot) == nil)
      }
    }
  }

  @Test func doomedEntries() throws {
    for seed in Self.seeds {
      var random = SeededRandom(seed: seed)
      try withNode { (node) throws in
        let index = Int(random.next() % 63)
        #expect(try DoomedEntry.decode(from: node, index: index) == nil)
        let value = random.doomedEntry()
        value.encode(into: node, index: index)
        #expect(try DoomedEntry.decode(from: node, index: index) == value, "seed \(seed)")
        DoomedEntry.clear(in: node, index: index)
        #expect(try DoomedEntry.decode(from: node, index: index) == nil)
      }
    }
  }

  @Test func mapEntriesAndPointers() throws {
    for seed in Self.seeds {
      var random = SeededRandom(seed: seed)
      try withNode { (node) throws in
        let entries = (0..<FormatConstants.entriesPerLeaf).map { _ in random.mapEntry() }
        for (i, entry) in entries.enumerated() { node.setEntry(entry, i) }
        for (i, entry) in entries.enumerated() {
          #expect(node.entry(i) == entry, "seed \(seed)")
          try node.entry(i).validate()
        }
        let pointers = (0..<FormatConstants.pointersPerNode).map { _ in random.pointer() }
        for (i, pointer) in pointers.enumerated() { node.setPointer(pointer, i) }
        for (i, pointer) in pointers.enumerated() {
          #expect(node.pointer(i) == pointer, "seed \(seed)")
          try node.pointer(i).validate()
        }
      }
    }
  }

  @Test func records() throws {
    for seed in Self.seeds {
      var random = SeededRandom(seed: seed)
      let value = random.record()
      let more = random.chance(2)
      let bytes = value.encoded(more: more)
      #expect(bytes.count == value.encodedBytes)
      #expect(bytes.count <= RecordFormat.maximumBytes)
      let read = try decodeRecord(bytes)
      #expect(read.record == value, "seed \(seed)")
      #expect(read.more == more, "seed \(seed)")
      #expect(read.length == bytes.count, "seed \(seed)")
    }
  }

  @Test func recordsCarryNeitherRootsNorStatistics() throws {
    var random = SeededRandom(seed: 7)
    var volume = random.volume()
    volume.root = TreeRoot(
      pointer: NodePointer(
        address: PoolAddress(block: 5), flags: NodePointer.memoryFlag, checksum: 9,
        birth: .zero), level: 1)
    let bytes = Record.alterVolume(volume).encoded(more: false)
    guard case .alterVolume(let read) = try decodeRecord(bytes).record else {
      Issue.record("another record")
      return
    }
    #expect(read.root == .none)
    #expect(read.allocatedExtents == 0)
    #expect(read.name == volume.name)
  }

  @Test func journalBlocks() throws {
    for seed in Self.seeds {
      var random = SeededRandom(seed: seed)
      try withNode { (block) throws in
        var value = random.journalHeader()
        var records: [Record] = []
        var at = FormatConstants.journalHeaderBytes
        while true {
          let record = random.record()
          let bytes = record.encoded(more: false)
          if at + bytes.count > FormatConstants.blockBytes || random.chance(40) { break }
          for byte in bytes {
            block.store8(byte, at)
            at += 1
          }
          records.append(record)
        }
        value.recordCount = UInt16(records.count)
        value.payloadBytes = UInt16(at - FormatConstants.journalHeaderBytes)
        value.encode(into: block)
        let checksum = block.sealJournalBlock()
        #expect(try JournalBlockHeader.decode(block) == value, "seed \(seed)")
        #expect(block.journalChecksum == checksum)
        var offset = 0
        for record in records {
          let read = try Record.decode(fromJournal: block, value, at: offset)
          #expect(read.record == record, "seed \(seed)")
          offset += read.length
        }
        #expect(offset == Int(value.payloadBytes))
      }
    }
  }

  @Test func tailHeaders() throws {
    for seed in Self.seeds {
      var random = SeededRandom(seed: seed)
      let value = random.tailHeader()
      let bytes = value.encoded()
      let read = try decodeTailHeader(bytes)
      #expect(read.header == value, "seed \(seed)")
      #expect(read.start == 0)
    }
  }

  @Test func tailFrames() throws {
    for seed in Self.seeds {
      var random = SeededRandom(seed: seed)
      let record = random.record()
      let number = RecordNumber(random.counter())
      let generation = random.next()
      let bytes = tailFrame(record, number: number, generation: generation)
      let read = try decodeTailFrame(bytes)
      #expect(read.record == number, "seed \(seed)")
      #expect(read.logGeneration == generation, "seed \(seed)")
      #expect(read.length == bytes.count, "seed \(seed)")
      let inside = Array(bytes[TailFrame.headerBytes..<TailFrame.headerBytes + read.recordBytes])
      #expect(try decodeRecord(inside).record == record, "seed \(seed)")
    }
  }

  @Test func nodeHeaders() throws {
    for seed in Self.seeds {
      var random = SeededRandom(seed: seed)
      try withNode { (node) throws in
        for at in stride(from: 64, to: 4096, by: 8) { node.store64(random.next(), at) }
        let value = random.nodeHeader()
        let checksum = node.seal(value)
        #expect(try node.open() == value, "seed \(seed)")
        #expect(node.storedChecksum == checksum)
      }
    }
  }
}
