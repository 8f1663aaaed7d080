public import DiskFormat
public import StorageUnits

/// Finds what a journal holds after a stop or a crash: the longest valid chain of blocks from the
/// one that the superblock names, each taken from the place where it is good.
///
/// Every block of the ring is noted first, in any order (`note`), and then judged (`chain`): a
/// chain may only end where nothing in the ring says that it goes on. Pure; memory is some 150
/// bytes a block of the ring, whatever is noted.
public struct JournalScan {
  /// What was read from one place of one block of the ring and is a block of this pool's stream.
  struct Finding {
    var header: JournalBlockHeader
    var checksum: UInt32
    /// Records up to the last one that ends a group.
    var wholeRecords: UInt16
    /// The records are as many as the header says and fill what it says, and each is one that
    /// this version knows.
    var isReadable: Bool
  }

  private let superblock: Superblock
  private let stream: JournalStream
  /// By place, then by ring position.
  private var findings: [[Finding?]]
  /// By place: ring positions that the device could not read.
  private var unreadable: [Set<Int>]
  /// The newest superblock that a block of any log generation names.
  private var newestSuperblock: UInt64
  /// The newest superblock that was durable on every member, as far as blocks tell; 0 if none does.
  public private(set) var namedSuperblock: UInt64 = 0
  /// By sequence that was said to be durable, the block that says most.
  private var durableThrough: UInt64 = 0
  private var durableSaidBy: UInt64 = 0

  /// A scan of the first stream of `superblock`, the newest one found.
  public init(superblock: Superblock) {
    guard let stream = superblock.streams.first else {
      preconditionFailure("a pool has a journal")
    }
    self.superblock = superblock
    self.stream = stream
    let empty = [Finding?](repeating: nil, count: Int(stream.blockCount))
    findings = Array(repeating: empty, count: stream.secondPlace == nil ? 1 : 2)
    unreadable = Array(repeating: [], count: findings.count)
    newestSuperblock = superblock.sequence
  }

  /// Notes that the block at ring position `position` of a place cannot be read.
  public mutating func noteUnreadable(place: Int, position: Int) {
    unreadable[place].insert(position)
  }

  /// Notes the block read at ring position `position` of the first (0) or second (1) place.
  public mutating func note(_ block: NodeImage, place: Int, position: Int) {
    // A block that cannot be read as one says nothing: it is torn, rotten or was never written.
    guard let header = try? JournalBlockHeader.decode(block),
      header.pool == superblock.poolUUID.high,
      (header.sequence - 1) % UInt64(stream.blockCount) == UInt64(position)
    else { return }
    newestSuperblock = max(newestSuperblock, header.superblockSequence)
    namedSuperblock = max(namedSuperblock, header.superblockSequence)
    guard header.logGeneration == superblock.logGeneration,
      header.logNonce == superblock.logNonce
    else { return }
    // The newest of those that say most, so that the order of reading does not matter.
    if (header.durableThrough, header.sequence) > (durableThrough, durableSaidBy) {
      durableThrough = header.durableThrough
      durableSaidBy = header.sequence
    }
    let records = Self.check(block, header)
    findings[place][position] = Finding(
      header: header, checksum: block.journalChecksum, wholeRecords: records.whole,
      isReadable: records.isReadable)
  }

  private static func check(
    _ block: NodeImage, _ header: JournalBlockHeader
  ) -> (whole: UInt16, isReadable: Bool) {
    var offset = 0
    var count: UInt16 = 0
    var whole: UInt16 = 0
    while offset < Int(header.payloadBytes) {
      guard let next = try? Record.decode(fromJournal: block, header, at: offset) else {
        return (whole, false)
      }
      offset += next.length
      count += 1
      if !next.more { whole = count }
    }
    return (whole, count == header.recordCount)
  }

  // MARK: The decision

  /// How the block that would continue the chain stands.
  enum Standing: CaseIterable {
    /// No place has a good block with the sequence.
    case missing
    /// No place could be read.
    case hidden
    /// A place has one that follows the block before.
    case chained
    /// Only ones that do not repeat the checksum of the block before.
    case unchained
    /// It follows, but its first record is not the next one.
    case recordGap
    /// It follows, but its records are applied by other rules than this program's.
    case otherApplyVersion
    /// It follows, but its records cannot be read.
    case unreadable
  }

  enum Decision: Hashable, CaseIterable {
    case goOn, endOfLog
    case refuseOlderSuperblock, refuseLostBlock, refuseHiddenBlock, refuseBrokenChain,
      refuseRecordGap
    case refuseApplyVersion, refuseRecords
  }

  /// The whole decision, as one table.
  ///
  /// - A block that names a newer superblock outranks everything: with an older one nothing else
  ///   that is seen can be judged.
  /// - A missing block ends the log, unless a later one says that it was durable.
  /// - A block that no place can read may be the last one, with records that were flushed.
  /// - A good block that does not continue the chain was never written by a server that followed
  ///   the rules, and may have been answered for: it is refused, not dropped.
  static func decide(
    _ standing: Standing, namesNewerSuperblock: Bool, isSaidDurable: Bool
  ) -> Decision {
    switch (namesNewerSuperblock, standing, isSaidDurable) {
    case (true, _, _): .refuseOlderSuperblock
    case (false, .chained, _): .goOn
    case (false, .missing, false): .endOfLog
    case (false, .missing, true), (false, .hidden, true): .refuseLostBlock
    case (false, .hidden, false): .refuseHiddenBlock
    case (false, .unchained, _): .refuseBrokenChain
    case (false, .recordGap, _): .refuseRecordGap
    case (false, .otherApplyVersion, _): .refuseApplyVersion
    case (false, .unreadable, _): .refuseRecords
    }
  }

  /// The chain that is to be replayed, once every block was noted.
  public func chain() throws(JournalScanError) -> JournalChain {
    var chain = JournalChain(superblock: superblock, firstSequence: stream.firstSequence)
    var previous = stream.previousChecksum
    while true {
      let sequence = chain.endSequence
      let found = find(sequence, after: previous, expecting: chain.nextRecord)
      switch Self.decide(
        found.standing, namesNewerSuperblock: newestSuperblock > superblock.sequence,
        isSaidDurable: durableThrough >= sequence)
      {
      case .goOn: break
      case .endOfLog: return chain
      case .refuseOlderSuperblock:
        throw .superblockOlderThanJournal(
          superblock: superblock.sequence, named: newestSuperblock)
      case .refuseLostBlock:
        throw .durableBlockLost(sequence: sequence, saidDurableBy: durableSaidBy)
      case .refuseHiddenBlock: throw .blockUnreadable(sequence: sequence)
      case .refuseBrokenChain: throw .brokenChain(sequence: sequence)
      case .refuseRecordGap: throw .recordGap(sequence: sequence, expected: chain.nextRecord)
      case .refuseApplyVersion: throw .otherApplyVersion(found.finding?.header.applyVersion ?? 0)
      case .refuseRecords: throw .unreadableRecords(sequence: sequence)
      }
      // `goOn` implies a finding, and a ring holds no more blocks than it has positions.
      guard let finding = found.finding, chain.blocks.count < Int(stream.blockCount) else {
        preconditionFailure("a chain cannot be longer than its ring")
      }
      chain.append(finding, place: found.place)
      previous = finding.checksum
    }
  }

  private func find(
    _ sequence: UInt64, after previous: UInt32, expecting record: RecordNumber?
  ) -> (standing: Standing, finding: Finding?, place: Int) {
    let position = Int((sequence - 1) % UInt64(stream.blockCount))
    var best: (standing: Standing, finding: Finding?, place: Int) = (.missing, nil, 0)
    for place in findings.indices {
      guard let finding = findings[place][position], finding.header.sequence == sequence else {
        continue
      }
      let standing = stand(finding, after: previous, expecting: record)
      if standing == .chained { return (standing, finding, place) }
      if best.standing == .missing { best = (standing, finding, place) }
    }
    let isHidden = unreadable.allSatisfy { $0.contains(position) }
    return best.standing == .missing && isHidden ? (.hidden, nil, 0) : best
  }

  private func stand(
    _ finding: Finding, after previous: UInt32, expecting record: RecordNumber?
  ) -> Standing {
    let header = finding.header
    if header.previousChecksum != previous { return .unchained }
    if header.applyVersion != ApplyVersion.current { return .otherApplyVersion }
    if let record {
      if header.firstRecord != record { return .recordGap }
    } else if superblock.checkpointRecord.next < header.firstRecord {
      return .recordGap
    }
    return finding.isReadable ? .chained : .unreadable
  }
}

/// Why a journal cannot be replayed. Nothing was changed.
public enum JournalScanError: Error, Hashable, Sendable {
  /// The journal was continued under a newer superblock than any that was found.
  case superblockOlderThanJournal(superblock: UInt64, named: UInt64)
  /// A block that was durable is good in no place.
  case durableBlockLost(sequence: UInt64, saidDurableBy: UInt64)
  /// The block that would go on is readable in no place.
  case blockUnreadable(sequence: UInt64)
  /// A good block does not follow the one before.
  case brokenChain(sequence: UInt64)
  /// A block does not begin with the record that is next.
  case recordGap(sequence: UInt64, expected: RecordNumber?)
  /// Only a program with this apply version can replay it.
  case otherApplyVersion(UInt16)
  /// A block with a good checksum holds records that version 1 does not know.
  case unreadableRecords(sequence: UInt64)
}

/// The blocks that are to be replayed, in order, and how far their records count.
public struct JournalChain: Hashable, Sendable {
  /// A block of the chain.
  public struct Block: Hashable, Sendable {
    /// The place that holds it well, 0 or 1.
    public var place: UInt8
    public var checksum: UInt32
  }

  public let firstSequence: UInt64
  public private(set) var blocks: [Block] = []
  /// The last record that ends a group: later ones in the chain belong to a group whose end was
  /// never written and are dropped. At least the superblock's S.
  public private(set) var lastRecord: RecordNumber
  /// The first record to replay: S + 1.
  public let firstRecord: RecordNumber

  /// What the next block must begin with; nil before the first block, which may begin with
  /// records that the image already holds.
  private(set) var nextRecord: RecordNumber?

  init(superblock: Superblock, firstSequence: UInt64) {
    self.firstSequence = firstSequence
    lastRecord = superblock.checkpointRecord
    firstRecord = superblock.checkpointRecord.next
  }

  var endSequence: UInt64 { firstSequence + UInt64(blocks.count) }

  mutating func append(_ finding: JournalScan.Finding, place: Int) {
    let header = finding.header
    blocks.append(Block(place: UInt8(place), checksum: finding.checksum))
    nextRecord = RecordNumber(header.firstRecord.number + UInt64(header.recordCount))
    if finding.wholeRecords > 0 {
      let whole = RecordNumber(header.firstRecord.number + UInt64(finding.wholeRecords) - 1)
      lastRecord = max(lastRecord, whole)
    }
  }
}
