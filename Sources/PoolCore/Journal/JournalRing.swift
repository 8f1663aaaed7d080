public import DiskFormat
public import StorageUnits

/// The journal of one stream as it is written: a ring of blocks in one or two places.
///
/// Pure: it lays records into blocks and says where they go; the engine writes them and reports
/// back. Invariants:
/// - Every batch starts a block of its own, so that a block that holds durable records is never
///   written again (a torn rewrite would take them along).
/// - A block is overwritten only when a completed checkpoint no longer needs it.
/// - One batch at a time is on its way: what a block says of durability is then true of every
///   block before its batch.
/// - Blocks name the newest superblock that is *durable on every member*; a durable block that does
///   tells a start that a member without that superblock is an old copy. One that is still being
///   written may be gone after a crash, and a start refuses a superblock older than one that was
///   named.
///
/// One thread.
public final class JournalRing {
  public let logGeneration: UInt64
  public let logNonce: UInt64
  /// The ring's length in blocks.
  public let blockCount: Int
  public let place: DevicePlace
  public let secondPlace: DevicePlace?

  /// The sequence of the next block.
  public private(set) var nextSequence: UInt64 = 1
  /// The oldest block that a replay would need.
  public private(set) var firstNeeded: UInt64 = 1
  /// Every block up to this one is durable in all places.
  public private(set) var durableThrough: UInt64 = 0
  /// The number of the first record of the next batch.
  public private(set) var nextRecord: RecordNumber

  /// A durable block names the newest superblock.
  public private(set) var isSuperblockNamed = false

  private let pool: UInt64
  private let stream: UInt8
  private var superblockSequence: UInt64
  private var checkpointSequence: UInt64
  /// By ring position: the number of the last record in the block there, and its checksum.
  private var lastRecords: [UInt64]
  private var checksums: [UInt32]
  private var lastChecksum: UInt32 = 0
  /// The checksum of the block before `firstNeeded`, which may be overwritten.
  private var checksumBeforeNeeded: UInt32 = 0

  /// The empty ring of a new log generation.
  ///
  /// - Parameters:
  ///   - superblock: the one that carries the new log generation, durable on every member.
  public init(superblock: Superblock) {
    guard let first = superblock.streams.first else {
      preconditionFailure("a pool has a journal")
    }
    precondition(first.blockCount >= FormatConstants.minimumJournalBlocks)
    precondition(first.firstSequence == 1, "a log generation begins with the first block")
    stream = 0
    pool = superblock.poolUUID.high
    logGeneration = superblock.logGeneration
    logNonce = superblock.logNonce
    blockCount = Int(first.blockCount)
    place = first.place
    secondPlace = first.secondPlace
    nextRecord = superblock.checkpointRecord.next
    superblockSequence = superblock.sequence
    checkpointSequence = superblock.checkpointSequence
    lastRecords = Array(repeating: 0, count: blockCount)
    checksums = Array(repeating: 0, count: blockCount)
  }

  // MARK: Room

  /// The most blocks that records of `byteCount` bytes in all can take.
  public static func blocksAtMost(forRecordBytes byteCount: Int) -> Int {
    // A block that is left has less room than the longest record; every other one is fuller.
    byteCount / (FormatConstants.journalPayloadBytes - RecordFormat.maximumBytes + 1) + 1
  }

  /// The record bytes that a batch may hold so that a quarter of a ring always takes it, and not
  /// more than `limit`: what a `RecordBuffer` is made for. At least nine of the longest records,
  /// which two blocks, a quarter of the smallest ring, always take.
  public static func batchBytes(blockCount: Int, limit: Int) -> Int {
    let quarter = blockCount / 4
    let bytes =
      (quarter - 1) * (FormatConstants.journalPayloadBytes - RecordFormat.maximumBytes + 1)
    return min(limit, max(bytes, 9 * RecordFormat.maximumBytes))
  }

  /// Blocks that may be written before a checkpoint completes.
  public var freeBlocks: Int { blockCount - Int(nextSequence - firstNeeded) }
  /// How much of the ring holds blocks that a replay would need, 0 to 1: a checkpoint starts at a
  /// half, records are delayed from three quarters.
  public var fill: Double { Double(nextSequence - firstNeeded) / Double(blockCount) }
  /// A batch was encoded and is not durable yet.
  public var isBatchOnItsWay: Bool { durableThrough + 1 != nextSequence }

  // MARK: Batches

  /// Lays a batch into sealed blocks at the start of `blocks` (8-byte aligned for memory, 4096 for
  /// direct I/O, with room for `blocksAtMost(forRecordBytes:)`) and says where they go. The batch
  /// continues the one before, which is durable.
  ///
  /// Returns nil, with nothing changed, if the ring has no room until a checkpoint completes.
  /// Allocates nothing.
  public func encode(
    _ batch: RecordBatch, into blocks: UnsafeMutableRawBufferPointer
  ) -> JournalAppend? {
    precondition(!isBatchOnItsWay, "one round at a time")
    precondition(batch.firstNumber == nextRecord, "records are journalled without a gap")
    let first = nextSequence
    guard unsafe blocksNeeded(for: batch.bytes) <= freeBlocks else { return nil }
    var offset = 0
    while unsafe offset < batch.bytes.count {
      let at = Int(nextSequence - first) * FormatConstants.blockBytes
      let block = unsafe UnsafeMutableRawBufferPointer(
        rebasing: blocks[at..<at + FormatConstants.blockBytes])
      let fitting = unsafe Self.wholeRecords(in: batch.bytes, from: offset)
      let records = unsafe UnsafeRawBufferPointer(
        rebasing: batch.bytes[offset..<offset + fitting.byteCount])
      unsafe seal(records, count: fitting.count, into: block)
      offset += fitting.byteCount
    }
    precondition(nextRecord == batch.lastNumber.next, "a batch holds the records it says")
    return append(from: first)
  }

  /// Lays a block without records into `blocks`, for a flush that has none but must be able to tell
  /// old members later. Otherwise as `encode`.
  public func encodeMark(into blocks: UnsafeMutableRawBufferPointer) -> JournalAppend? {
    precondition(!isBatchOnItsWay, "one round at a time")
    guard freeBlocks > 0 else { return nil }
    let first = nextSequence
    unsafe seal(
      UnsafeRawBufferPointer(start: nil, count: 0), count: 0,
      into: UnsafeMutableRawBufferPointer(rebasing: blocks[..<FormatConstants.blockBytes]))
    return append(from: first)
  }

  /// The next block: a header, then these records.
  private func seal(
    _ records: UnsafeRawBufferPointer, count: Int, into block: UnsafeMutableRawBufferPointer
  ) {
    guard let base = block.baseAddress else { preconditionFailure("a block has memory") }
    let image = unsafe NodeImage(viewing: base)
    JournalBlockHeader(
      stream: stream, pool: pool, logGeneration: logGeneration, logNonce: logNonce,
      sequence: nextSequence, superblockSequence: superblockSequence,
      checkpointSequence: checkpointSequence, firstRecord: nextRecord,
      recordCount: UInt16(count), payloadBytes: UInt16(records.count),
      durableThrough: durableThrough, applyVersion: ApplyVersion.current,
      previousChecksum: lastChecksum
    ).encode(into: image)
    let payload = unsafe UnsafeMutableRawBufferPointer(
      rebasing: block[FormatConstants.journalHeaderBytes...])
    unsafe payload.copyMemory(from: records)
    lastChecksum = image.sealJournalBlock()
    nextRecord = RecordNumber(nextRecord.number + UInt64(count))
    checksums[position(of: nextSequence)] = lastChecksum
    lastRecords[position(of: nextSequence)] = nextRecord.number - 1
    nextSequence += 1
  }

  private func blocksNeeded(for records: UnsafeRawBufferPointer) -> Int {
    var offset = 0
    var blocks = 0
    while offset < records.count {
      offset += unsafe Self.wholeRecords(in: records, from: offset).byteCount
      blocks += 1
    }
    return blocks
  }

  /// How many whole records from `offset` on fit into a block, and their bytes.
  private static func wholeRecords(
    in records: UnsafeRawBufferPointer, from offset: Int
  ) -> (count: Int, byteCount: Int) {
    var count = 0
    var end = offset
    while end < records.count {
      let length = unsafe RecordFormat.byteCount(ofRecordAt: end, in: records)
      if end + length - offset > FormatConstants.journalPayloadBytes { break }
      end += length
      count += 1
    }
    precondition(count > 0, "every record fits into a block")
    return (count, end - offset)
  }

  private func position(of sequence: UInt64) -> Int {
    Int((sequence - 1) % UInt64(blockCount))
  }

  /// Where the blocks from `first` to the newest go: one contiguous span, or two where the ring
  /// ends in between.
  private func append(from first: UInt64) -> JournalAppend {
    let count = Int(nextSequence - first)
    let start = position(of: first)
    let beforeEnd = min(count, blockCount - start)
    let head = span(memoryBlock: 0, ringBlock: start, blockCount: beforeEnd)
    let tail =
      beforeEnd < count
      ? span(memoryBlock: beforeEnd, ringBlock: 0, blockCount: count - beforeEnd) : nil
    return JournalAppend(
      firstSequence: first, lastSequence: nextSequence - 1,
      superblockSequence: superblockSequence, head: head, wrapped: tail)
  }

  private func span(memoryBlock: Int, ringBlock: Int, blockCount: Int) -> JournalSpan {
    JournalSpan(
      memoryOffset: memoryBlock * FormatConstants.blockBytes,
      byteCount: blockCount * FormatConstants.blockBytes,
      place: place.advanced(byBlocks: UInt64(ringBlock)),
      secondPlace: secondPlace?.advanced(byBlocks: UInt64(ringBlock)))
  }

  /// The barriers on the journal's devices that followed the writes of this batch have finished.
  public func batchDurable(_ append: JournalAppend) {
    precondition(append.lastSequence + 1 == nextSequence)
    durableThrough = append.lastSequence
    isSuperblockNamed = append.superblockSequence == superblockSequence
  }

  // MARK: Checkpoints

  /// Where a replay after an image that holds the records up to `record` starts: the first block
  /// with a later one, or the next to be written; and the checksum of the block before it.
  public func replayStart(after record: RecordNumber) -> JournalReplayStart {
    var low = firstNeeded
    var high = nextSequence
    while low < high {
      let middle = low + (high - low) / 2
      if lastRecords[position(of: middle)] > record.number {
        high = middle
      } else {
        low = middle + 1
      }
    }
    if low == nextSequence {
      return JournalReplayStart(sequence: low, previousChecksum: lastChecksum)
    }
    if low == firstNeeded {
      return JournalReplayStart(sequence: low, previousChecksum: checksumBeforeNeeded)
    }
    return JournalReplayStart(
      sequence: low, previousChecksum: checksums[position(of: low - 1)])
  }

  /// A checkpoint's superblocks are durable on every member: what they do not need is free, and
  /// blocks name them from now on.
  public func checkpointCompleted(_ superblock: Superblock) {
    guard let first = superblock.streams.first else {
      preconditionFailure("a pool has a journal")
    }
    precondition(superblock.logGeneration == logGeneration)
    precondition(superblock.sequence > superblockSequence)
    precondition(first.firstSequence >= firstNeeded)
    precondition(first.firstSequence <= nextSequence)
    firstNeeded = first.firstSequence
    checksumBeforeNeeded = first.previousChecksum
    superblockSequence = superblock.sequence
    checkpointSequence = superblock.checkpointSequence
    isSuperblockNamed = false
  }
}

/// Where a replay starts, as the superblock says it.
@frozen public struct JournalReplayStart: Hashable, Sendable {
  public var sequence: UInt64
  public var previousChecksum: UInt32
}

/// The blocks of one batch and where they go.
@frozen public struct JournalAppend: Hashable, Sendable {
  public var firstSequence: UInt64
  public var lastSequence: UInt64
  /// The superblock that its blocks name.
  public var superblockSequence: UInt64
  public var head: JournalSpan
  /// What goes to the ring's start where the batch goes past its end.
  public var wrapped: JournalSpan?
}

/// Contiguous blocks of a batch, the same in one or two places.
@frozen public struct JournalSpan: Hashable, Sendable {
  /// Where they lie in the memory that was encoded into, in bytes.
  public var memoryOffset: Int
  public var byteCount: Int
  public var place: DevicePlace
  public var secondPlace: DevicePlace?
}
