public import DiskFormat
public import StorageUnits

/// The encoded records since the last cut, in the order of their numbers.
///
/// Two halves of memory, both taken at start: records are appended to one while the other belongs
/// to the batch that a flush round is writing to the journal. Nothing here allocates afterwards.
///
/// Invariants: the numbers of a half are consecutive; a batch never splits a group (records that
/// carry `more` and the one that ends it); at most one batch is out. One thread.
@safe public final class RecordBuffer {
  /// Bytes of records that can be held between two cuts.
  public let capacity: Int
  /// Bytes of records appended since the last cut.
  public private(set) var byteCount = 0
  /// Records appended since the last cut.
  public private(set) var recordCount = 0
  /// The number of the next record.
  public private(set) var nextNumber: RecordNumber
  /// A batch was cut and not finished.
  public private(set) var isBatchOut = false

  private let memory: UnsafeMutableRawPointer
  /// Where the half in use begins in `memory`.
  private var base = 0
  /// What belongs to whole groups: a cut takes this much.
  private var wholeBytes = 0
  private var wholeCount = 0
  /// How much of the half in use was copied to the tail.
  private var copiedBytes = 0
  private var copiedCount = 0

  /// A buffer for `capacity` bytes of records, of which the first gets `nextNumber`.
  public init(capacity: Int, nextNumber: RecordNumber) {
    precondition(capacity >= RecordFormat.maximumBytes)
    precondition(nextNumber.number >= 1)
    self.capacity = capacity
    self.nextNumber = nextNumber
    unsafe memory = UnsafeMutableRawPointer.allocate(byteCount: 2 * capacity, alignment: 64)
  }

  deinit { unsafe memory.deallocate() }

  /// How much of the capacity is in use, 0 to 1.
  public var fill: Double { Double(byteCount) / Double(capacity) }
  /// Whether so many records of any type certainly fit before the next cut.
  public func hasRoom(forRecords count: Int) -> Bool {
    capacity - byteCount >= count * RecordFormat.maximumBytes
  }
  /// Whether so many `map` records certainly fit before the next cut.
  public func hasRoom(forMapRecords count: Int) -> Bool {
    capacity - byteCount >= count * RecordFormat.mapBytes
  }
  /// Whether a cut now would find something.
  public var hasWholeGroup: Bool { wholeCount > 0 }

  // MARK: Copies

  /// The oldest record since the last cut that `noteCopied` was not called for; nil if there is
  /// none. What outlives the process (the tail) takes each record exactly once.
  public var oldestNotCopied: AppliedRecord? {
    guard copiedBytes < byteCount else { return nil }
    let half = unsafe UnsafeRawBufferPointer(start: memory + base, count: byteCount)
    let length = unsafe RecordFormat.byteCount(ofRecordAt: copiedBytes, in: half)
    let bytes = unsafe UnsafeRawBufferPointer(
      rebasing: half[copiedBytes..<copiedBytes + length])
    let number = RecordNumber(nextNumber.number - UInt64(recordCount - copiedCount))
    return unsafe AppliedRecord(number: number, bytes: bytes)
  }

  /// `oldestNotCopied` was copied.
  public func noteCopied() {
    guard let record = oldestNotCopied else { preconditionFailure("everything was copied") }
    unsafe copiedBytes += record.bytes.count
    copiedCount += 1
  }

  // MARK: Appending

  /// Appends a `map` record; there must be room. The bytes are valid until the batch that a later
  /// cut takes them into is finished.
  @discardableResult
  public func append(
    map volume: VolumeID, _ extent: VirtualExtent, _ entry: MapEntry, more: Bool = false
  ) -> AppliedRecord {
    precondition(capacity - byteCount >= RecordFormat.mapBytes)
    let start = unsafe memory + base + byteCount
    unsafe RecordFormat.encodeMap(
      volume: volume, extent: extent, entry: entry, more: more, into: start)
    return noteAppended(byteCount: RecordFormat.mapBytes, more: more)
  }

  /// Appends any record; there must be room. `more`: the next one belongs to the same group.
  @discardableResult
  public func append(_ record: Record, more: Bool = false) -> AppliedRecord {
    let start = unsafe memory + base + byteCount
    let room = unsafe UnsafeMutableRawBufferPointer(start: start, count: capacity - byteCount)
    let length = unsafe record.encode(more: more, into: room)
    return noteAppended(byteCount: length, more: more)
  }

  private func noteAppended(byteCount length: Int, more: Bool) -> AppliedRecord {
    let bytes = unsafe UnsafeRawBufferPointer(start: memory + base + byteCount, count: length)
    let applied = unsafe AppliedRecord(number: nextNumber, bytes: bytes)
    byteCount += length
    recordCount += 1
    nextNumber = nextNumber.next
    if !more {
      wholeBytes = byteCount
      wholeCount = recordCount
    }
    return applied
  }

  // MARK: Batches

  /// Takes every whole group appended so far as one batch; nil if there is none. What follows goes
  /// to the other half. The batch before must be finished.
  public func cut() -> RecordBatch? {
    precondition(!isBatchOut, "one round at a time")
    guard wholeCount > 0 else { return nil }
    let taken = unsafe UnsafeRawBufferPointer(start: memory + base, count: wholeBytes)
    let batch = unsafe RecordBatch(
      firstNumber: RecordNumber(nextNumber.number - UInt64(recordCount)), recordCount: wholeCount,
      bytes: taken)
    let other = capacity - base
    let openBytes = byteCount - wholeBytes
    // The beginning of a group that is not complete belongs to the next batch.
    if openBytes > 0 {
      unsafe (memory + other).copyMemory(from: memory + base + wholeBytes, byteCount: openBytes)
    }
    base = other
    byteCount = openBytes
    copiedBytes = max(0, copiedBytes - wholeBytes)
    copiedCount = max(0, copiedCount - wholeCount)
    recordCount -= wholeCount
    wholeBytes = 0
    wholeCount = 0
    isBatchOut = true
    return batch
  }

  /// The batch is durable (or, in a start that ends in a checkpoint, needs not be written): its
  /// bytes may be overwritten.
  public func finish(_ batch: RecordBatch) {
    precondition(isBatchOut)
    precondition(batch.lastNumber < nextNumber)
    isBatchOut = false
  }

  /// Continues after records that were applied without passing through the buffer (replay, or an
  /// image that already holds them); the buffer must be empty.
  public func continueNumbering(at number: RecordNumber) {
    precondition(recordCount == 0)
    precondition(!isBatchOut)
    precondition(number.number >= nextNumber.number)
    nextNumber = number
  }
}

/// Records that one flush round makes durable together. Its bytes are valid until
/// `RecordBuffer.finish`.
@safe @frozen public struct RecordBatch {
  public let firstNumber: RecordNumber
  /// At least one.
  public let recordCount: Int
  /// The encoded records, one after the other.
  public let bytes: UnsafeRawBufferPointer

  @inlinable public init(
    firstNumber: RecordNumber, recordCount: Int, bytes: UnsafeRawBufferPointer
  ) {
    precondition(recordCount > 0)
    self.firstNumber = firstNumber
    self.recordCount = recordCount
    unsafe self.bytes = bytes
  }

  @inlinable public var lastNumber: RecordNumber {
    RecordNumber(firstNumber.number + UInt64(recordCount) - 1)
  }
}
