import BlockIO
import DiskFormat
import StorageUnits

// The chain of the journal from the first block that replay needs. It ends at the first block that
// is good in no place; a later block of the same log that says it was durable proves damage.
extension PoolInspector {
  func checkJournal(_ superblock: Superblock) {
    for stream in superblock.streams {
      var ring = JournalScan(stream: stream)
      for (place, start) in ring.places.enumerated() { scan(place, start, &ring, superblock) }
      if let newest = ring.newestSuperblock, newest.named > superblock.sequence {
        find(
          .superblockOlderThanJournal(sequence: superblock.sequence, named: newest.named),
          at: .journalBlock(sequence: newest.by))
      }
      // A block is written under a superblock that all members have.
      if let newest = ring.newestSuperblock, newest.named == superblock.sequence {
        findOldCopies(superblock)
      }
      let end = followChain(ring, superblock)
      if let proof = ring.durable(after: end) {
        find(.journalHole(provenBy: proof), at: .journalBlock(sequence: end))
      }
    }
  }

  private func findOldCopies(_ superblock: Superblock) {
    for (index, member) in members.sorted(by: { $0.key < $1.key })
    where member.superblock.sequence < superblock.sequence {
      find(
        .memberStale(
          index, sequence: member.superblock.sequence, newest: superblock.sequence),
        at: .device(position: member.position))
    }
  }

  /// Reads one place of the ring, in runs of 64 blocks, and notes what is there. A ring that does
  /// not lie on its device was reported, and is not followed beyond its end.
  private func scan(
    _ place: Int, _ start: DevicePlace, _ ring: inout JournalScan, _ superblock: Superblock
  ) {
    guard let member = members[start.device] else { return }
    let run = 64
    var position = 0
    let end = min(
      UInt64(ring.stream.blockCount),
      (member.device.sizeBytes >> 12)
        &- min(
          start.block, member.device.sizeBytes >> 12))
    while UInt64(position) < end {
      let count = min(run, Int(end) - position)
      let from = start.advanced(byBlocks: UInt64(position))
      do throws(InspectionRefusal) {
        let buffer = try read(member.device, at: from.byteOffset, blockCount: count)
        for i in 0..<count { ring.note(buffer.node(i), place, position + i, superblock) }
      } catch {
        scanSingly(place, from, position, count, &ring, superblock)
      }
      position += count
    }
  }

  private func scanSingly(
    _ place: Int, _ start: DevicePlace, _ position: Int, _ count: Int, _ ring: inout JournalScan,
    _ superblock: Superblock
  ) {
    guard let member = members[start.device] else { return }
    for i in 0..<count {
      let from = start.advanced(byBlocks: UInt64(i))
      do throws(InspectionRefusal) {
        let buffer = try read(member.device, at: from.byteOffset, blockCount: 1)
        ring.note(buffer.node(), place, position + i, superblock)
      } catch {
        find(
          error.problem, at: .systemPage(from),
          locations: [DeviceLocation(position: member.position, offset: from.byteOffset)])
      }
    }
  }

  /// Follows the chain as a start does, judges its records, and returns the sequence at which it
  /// ends.
  private func followChain(_ ring: JournalScan, _ superblock: Superblock) -> UInt64 {
    var state = ReplayState(inspector: self, superblock)
    var sequence = ring.stream.firstSequence
    var previous = ring.stream.previousChecksum
    var nextRecord: UInt64?
    while report.totals.journalBlocks < UInt64(ring.stream.blockCount) {
      let here = InspectionPlace.journalBlock(sequence: sequence)
      let found = ring.blocks(at: sequence)
      guard let first = found.first else { break }
      guard let block = found.first(where: { $0.previousChecksum == previous }) else {
        find(.journalChainBroken, at: here, locations: locations(first, ring))
        break
      }
      let isNext =
        nextRecord.map { block.firstRecord == $0 }
        ?? (block.firstRecord <= superblock.checkpointRecord.number &+ 1)
      guard isNext else {
        let expected = nextRecord ?? superblock.checkpointRecord.number &+ 1
        find(.journalRecordGap(expected: expected, found: block.firstRecord), at: here)
        break
      }
      guard block.applyVersion == Self.applyVersion else {
        find(.otherApplyVersion(block.applyVersion), at: here)
        break
      }
      guard judgeRecords(of: block, ring, &state, at: here) else { break }
      refreshCopies(of: block, among: found, ring, at: here)
      report.totals.journalBlocks += 1
      nextRecord = block.firstRecord &+ UInt64(block.recordCount)
      previous = block.checksum
      sequence &+= 1
    }
    let last = max(nextRecord ?? 0, superblock.checkpointRecord.number &+ 1) &- 1
    report.totals.journalRecords += last &- superblock.checkpointRecord.number
    report.totals.droppedRecords += UInt64(state.pendingGroup)
    return sequence
  }

  private func locations(_ block: JournalScan.Block, _ ring: JournalScan) -> [DeviceLocation] {
    location(ring.place(of: block)).map { [$0] } ?? []
  }

  /// Of a block of the chain, both places should hold the same.
  private func refreshCopies(
    of block: JournalScan.Block, among found: [JournalScan.Block], _ ring: JournalScan,
    at here: InspectionPlace
  ) {
    guard ring.places.count == 2, let good = location(ring.place(of: block)) else { return }
    if found.count == 2 && found[0].checksum == found[1].checksum { return }
    var other = block
    other.place = 1 - block.place
    guard let bad = location(ring.place(of: other)) else { return }
    find(.copiesDiffer, at: here, locations: [bad])
    remember(BadCopy(good: good, bad: bad, blockCount: 1, place: here))
  }

  /// False: a start would refuse the block.
  private func judgeRecords(
    of block: JournalScan.Block, _ ring: JournalScan, _ state: inout ReplayState,
    at here: InspectionPlace
  ) -> Bool {
    let place = ring.place(of: block)
    guard let member = members[place.device],
      let buffer = try? read(member.device, at: place.byteOffset, blockCount: 1),
      let header = try? JournalBlockHeader.decode(buffer.node())
    else { return false }
    var offset = 0
    var number = block.firstRecord
    do throws(FormatError) {
      while offset < Int(header.payloadBytes) {
        let next = try Record.decode(fromJournal: buffer.node(), header, at: offset)
        state.judge(next.record, number: RecordNumber(number), more: next.more)
        offset += next.length
        number &+= 1
      }
      guard number &- block.firstRecord == UInt64(header.recordCount) else {
        throw .badField(.journalBlock, "recordCount")
      }
    } catch {
      find(.journalRecordsUnreadable(error), at: here, locations: locations(block, ring))
      return false
    }
    return true
  }
}

/// The blocks of a ring that belong to the log, from each place.
struct JournalScan {
  struct Block {
    var sequence: UInt64
    var previousChecksum: UInt32
    var checksum: UInt32
    var firstRecord: UInt64
    var durableThrough: UInt64
    var recordCount: UInt16
    var applyVersion: UInt16
    /// 0 or 1.
    var place: Int
  }

  let stream: JournalStream
  let places: [DevicePlace]
  private var found: [UInt64: [Block]] = [:]
  /// The newest superblock that a block of any log generation names, and that block.
  private(set) var newestSuperblock: (named: UInt64, by: UInt64)?
  private var mostDurable: (through: UInt64, by: UInt64)?

  init(stream: JournalStream) {
    self.stream = stream
    places = [stream.place, stream.secondPlace].compactMap { $0 }
  }

  mutating func note(
    _ image: NodeImage, _ place: Int, _ position: Int, _ superblock: Superblock
  ) {
    // Most of a new ring was never written.
    guard image.load32(0) == JournalBlockHeader.magic,
      let header = try? JournalBlockHeader.decode(image),
      header.pool == superblock.poolUUID.high,
      (header.sequence - 1) % UInt64(stream.blockCount) == UInt64(position)
    else { return }
    if header.superblockSequence > newestSuperblock?.named ?? 0 {
      newestSuperblock = (header.superblockSequence, header.sequence)
    }
    guard header.logGeneration == superblock.logGeneration,
      header.logNonce == superblock.logNonce
    else { return }
    if header.durableThrough > mostDurable?.through ?? 0 {
      mostDurable = (header.durableThrough, header.sequence)
    }
    // The ring as it was before it came round is not needed.
    guard header.sequence >= stream.firstSequence else { return }
    found[header.sequence, default: []].append(
      Block(
        sequence: header.sequence, previousChecksum: header.previousChecksum,
        checksum: image.journalChecksum, firstRecord: header.firstRecord.number,
        durableThrough: header.durableThrough, recordCount: header.recordCount,
        applyVersion: header.applyVersion, place: place))
  }

  func blocks(at sequence: UInt64) -> [Block] { found[sequence] ?? [] }

  func place(of block: Block) -> DevicePlace {
    places[block.place].advanced(
      byBlocks: (block.sequence - 1) % UInt64(stream.blockCount))
  }

  /// The block that says that the one at `end` was durable, if one does.
  func durable(after end: UInt64) -> UInt64? {
    guard let mostDurable, mostDurable.through >= end else { return nil }
    return mostDurable.by
  }
}
