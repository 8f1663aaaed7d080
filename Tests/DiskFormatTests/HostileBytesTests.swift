import DiskFormat
import StorageUnits
import Testing

/// Any bytes are decoded or refused; none make a decoder trap. What is accepted is written again to
/// the same bytes, so that nothing was read past.
@Suite struct HostileBytesTests {
  static let seeds: Range<UInt64> = 1000..<1400

  /// Bytes that a checksum does not save: random ones, and good ones with a few changes.
  private func mutated(_ bytes: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
    if random.chance(8) { return random.bytes(count: bytes.count) }
    var bytes = bytes
    for _ in 0..<1 + random.next() % 4 {
      let at = Int(random.next() % UInt64(bytes.count))
      bytes[at] =
        [0, 1, 0x7F, 0x80, 0xFF, UInt8(truncatingIfNeeded: random.next())][
          Int(random.next() % 6)]
    }
    return bytes
  }

  private func resealed(_ bytes: [UInt8], field: Int, count: Int? = nil) -> [UInt8] {
    var bytes = bytes
    bytes.replaceSubrange(field..<field + 4, with: [0, 0, 0, 0])
    let checksum = unsafe bytes.withUnsafeBytes {
      unsafe Checksum.crc32c(UnsafeRawBufferPointer(rebasing: $0[..<(count ?? $0.count)]))
    }
    for i in 0..<4 { bytes[field + i] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * i)) }
    return bytes
  }

  @Test func records() {
    for seed in Self.seeds {
      var random = SeededRandom(seed: seed)
      let good = random.record().encoded(more: random.chance(2))
      for _ in 0..<20 {
        let bytes = mutated(good, &random)
        guard let read = try? decodeRecord(bytes) else { continue }
        #expect(
          read.record.encoded(more: read.more) == Array(bytes[..<read.length]), "seed \(seed)")
      }
    }
  }

  @Test func superblocks() {
    for seed in Self.seeds {
      var random = SeededRandom(seed: seed)
      let good = random.superblock().encoded()
      for _ in 0..<10 {
        let bytes = resealed(mutated(good, &random), field: 12)
        guard let read = try? decodeSuperblock(bytes) else { continue }
        #expect(read.encoded() == bytes, "seed \(seed)")
      }
    }
  }

  @Test func nodes() {
    let images = Golden.images.filter {
      ["leaf", "inner", "page"].contains(where: $0.name.contains)
    }
    for seed in Self.seeds {
      var random = SeededRandom(seed: seed)
      let good = images[Int(random.next() % UInt64(images.count))].encode()
      var bytes = mutated(good, &random)
      // Half of them keep their header, so that the contents are looked at.
      if random.chance(2) { bytes.replaceSubrange(..<64, with: good[..<64]) }
      withNode(holding: resealed(bytes, field: 60)) { node in
        guard let header = try? node.open() else { return }
        _ = try? node.validateContents(header)
      }
    }
  }

  @Test func journalBlocks() {
    for seed in Self.seeds {
      var random = SeededRandom(seed: seed)
      var bytes = mutated(Golden.journalBlock, &random)
      if random.chance(2) { bytes.replaceSubrange(..<96, with: Golden.journalBlock[..<96]) }
      withNode(holding: resealed(bytes, field: 92)) { block in
        guard let header = try? JournalBlockHeader.decode(block) else { return }
        var offset = 0
        while let read = try? Record.decode(fromJournal: block, header, at: offset) {
          #expect(read.length > 0)
          offset += read.length
        }
        #expect(offset <= Int(header.payloadBytes))
      }
    }
  }

  @Test func tails() {
    for seed in Self.seeds {
      var random = SeededRandom(seed: seed)
      let header = resealed(
        mutated(random.tailHeader().encoded(), &random), field: 12, count: 128)
      if let read = try? decodeTailHeader(header) {
        #expect(read.header.capacityBytes % 8 == 0)
      }
      let frame = tailFrame(random.record(), number: RecordNumber(1), generation: 5)
      for _ in 0..<10 { _ = try? decodeTailFrame(mutated(frame, &random)) }
      for _ in 0..<10 {
        let bytes = resealed(mutated(frame, &random), field: 20)
        guard let read = try? decodeTailFrame(bytes) else { continue }
        #expect(read.length <= bytes.count)
      }
    }
  }
}
