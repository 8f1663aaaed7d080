public import StorageUnits

/// The header of a journal block, 96 bytes; 4000 bytes of whole records follow.
@frozen public struct JournalBlockHeader: Hashable, Sendable {
  public var stream: UInt8
  /// The first half of the pool's UUID.
  public var pool: UInt64
  public var logGeneration: UInt64
  public var logNonce: UInt64
  /// Counts the blocks of this log generation from 1; the ring position is (sequence - 1) modulo
  /// the ring's length.
  public var sequence: UInt64
  /// The newest superblock when the block was written.
  public var superblockSequence: UInt64
  /// The newest complete checkpoint when the block was written.
  public var checkpointSequence: UInt64
  /// The number of the first record in the block.
  public var firstRecord: RecordNumber
  public var recordCount: UInt16
  /// Bytes of records in use.
  public var payloadBytes: UInt16
  /// Every block up to this sequence was durable when this one was written.
  public var durableThrough: UInt64
  public var applyVersion: UInt16
  /// The checksum of the block before, 0 for the first of a log generation.
  public var previousChecksum: UInt32

  public init(
    stream: UInt8, pool: UInt64, logGeneration: UInt64, logNonce: UInt64, sequence: UInt64,
    superblockSequence: UInt64, checkpointSequence: UInt64, firstRecord: RecordNumber,
    recordCount: UInt16, payloadBytes: UInt16, durableThrough: UInt64, applyVersion: UInt16,
    previousChecksum: UInt32
  ) {
    self.stream = stream
    self.pool = pool
    self.logGeneration = logGeneration
    self.logNonce = logNonce
    self.sequence = sequence
    self.superblockSequence = superblockSequence
    self.checkpointSequence = checkpointSequence
    self.firstRecord = firstRecord
    self.recordCount = recordCount
    self.payloadBytes = payloadBytes
    self.durableThrough = durableThrough
    self.applyVersion = applyVersion
    self.previousChecksum = previousChecksum
  }
}
