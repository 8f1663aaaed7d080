import DiskFormat
import StorageUnits

// The chain of the journal from the first block that replay needs. It ends at the first block that
// does not follow; a later block of the same log that says it was durable proves damage.
extension PoolInspector {
  func checkJournal(_ superblock: Superblock) {
    for stream in superblock.streams {
      for place in [stream.place, stream.secondPlace].compactMap({ $0 })
      where !isInSystemArea(place, blockCount: UInt64(stream.blockCount)) {
        find(.outsideSystemArea, at: .systemPage(place))
      }
      checkChain(of: stream, superblock)
      checkSuperblockIsNewest(stream, superblock)
    }
  }

  /// Every block names the newest superblock of its time; one that names a newer one than was found
  /// proves that the found one is old truth.
  private func checkSuperblockIsNewest(_ stream: JournalStream, _ superblock: Superblock) {
    for ring in [stream.place, stream.secondPlace].compactMap({ $0 }) {
      for block in 0..<UInt64(stream.blockCount) {
        guard
          let buffer = read(
            ring.advanced(byBlocks: block), blockCount: 1, for: .journalBlock(sequence: block + 1)),
          let header = try? JournalBlockHeader.decode(buffer.node()),
          header.pool == superblock.poolUUID.high,
          header.superblockSequence > superblock.sequence
        else { continue }
        find(
          .superblockOlderThanJournal(
            sequence: superblock.sequence, named: header.superblockSequence),
          at: .journalBlock(sequence: header.sequence))
        return
      }
    }
  }

  private func checkChain(of stream: JournalStream, _ superblock: Superblock) {
    var sequence = stream.firstSequence
    var previous = stream.previousChecksum
    var lastRecord = superblock.checkpointRecord.number
    while sequence < stream.firstSequence + UInt64(stream.blockCount) {
      let found = blocks(at: sequence, of: stream, superblock).first {
        $0.header.previousChecksum == previous
      }
      guard let found else { break }
      let end = found.header.firstRecord.number + UInt64(found.header.recordCount)
      if end > lastRecord + 1 {
        report.totals.journalRecords += end - 1 - lastRecord
        lastRecord = end - 1
      }
      previous = found.checksum
      sequence += 1
    }
    scan(after: sequence, of: stream, superblock)
  }

  /// Looks for a block that proves that the one at `end` was durable.
  private func scan(after end: UInt64, of stream: JournalStream, _ superblock: Superblock) {
    for later in 1..<UInt64(stream.blockCount) {
      for block in blocks(at: end + later, of: stream, superblock)
      where block.header.durableThrough >= end {
        find(.journalHole(provenBy: block.header.sequence), at: .journalBlock(sequence: end))
        return
      }
    }
  }

  /// The valid blocks of this log with this sequence, from each place.
  private func blocks(
    at sequence: UInt64, of stream: JournalStream, _ superblock: Superblock
  ) -> [(header: JournalBlockHeader, checksum: UInt32)] {
    var blocks: [(header: JournalBlockHeader, checksum: UInt32)] = []
    for ring in [stream.place, stream.secondPlace].compactMap({ $0 }) {
      let place = ring.advanced(byBlocks: (sequence - 1) % UInt64(stream.blockCount))
      guard
        let buffer = read(place, blockCount: 1, for: .journalBlock(sequence: sequence)),
        let header = try? JournalBlockHeader.decode(buffer.node()),
        header.pool == superblock.poolUUID.high, header.sequence == sequence,
        header.logGeneration == superblock.logGeneration, header.logNonce == superblock.logNonce
      else { continue }
      blocks.append((header, buffer.node().journalChecksum))
    }
    return blocks
  }
}
