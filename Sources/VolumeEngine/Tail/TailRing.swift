import DiskFormat
public import PoolCore
public import StorageUnits
import Synchronization

/// The records that were answered and are in no durable journal block yet, in memory that outlives
/// the process (design §4 rule 9): killing the server loses nothing that was answered.
///
/// The memory is the first bytes of a mapped file on tmpfs, or a plain buffer in a simulation. It
/// lives as long as the ring is used. One thread; no system calls; nothing allocates after start.
///
/// Why a process killed at any instruction leaves a readable prefix:
/// - What a killed process has stored is in the shared pages; what it had not stored is not. So a
///   reader sees the stores in the order in which they were made, up to some point.
/// - A frame is written where no live frame lies, and is only a frame once its checksum fits its
///   bytes. The checksum is stored last; whatever lies there before (zeros, parts of a frame of an
///   earlier lap) has no fitting checksum, or an older record number, which does not continue.
/// - The start moves by one aligned store of 8 bytes, so a reader finds the old one or the new one,
///   and both begin a run of whole frames. A fence keeps the stores of later frames, which may
///   reuse the room, behind it.
@safe public final class TailRing {
  /// Bytes of the ring behind the header.
  public let capacity: Int
  public let logGeneration: UInt64
  /// Frames in the ring.
  public private(set) var recordCount = 0
  /// The number of the next record; nil while nothing was appended yet.
  public private(set) var nextNumber: RecordNumber?

  private let memory: UnsafeMutableRawBufferPointer
  /// The length of the frame of each record, at the record's number modulo the count: no more
  /// frames than this fit.
  private var lengths: [UInt16]
  /// Logical positions: they only grow.
  private var start: UInt64 = 0
  private var end: UInt64 = 0

  /// The smallest memory that can be of use, in bytes.
  public static let minimumBytes = TailHeader.byteCount + TailFrame.minimumRingBytes

  /// Memory that takes whatever two record buffers of `recordBytes` hold, one on its way to the
  /// journal while the other fills; in whole pages.
  public static func bytes(forRecordBytes recordBytes: Int) -> Int {
    // The shortest record (a header and 8 bytes) grows most by its frame; and where the ring ends,
    // less than the longest frame is left unused.
    let shortest = RecordFormat.headerBytes + 8
    let framed = TailFrame.byteCount(recordBytes: shortest)
    let ring =
      (2 * recordBytes * framed + shortest - 1) / shortest + 2 * TailFrame.maximumBytes
    return TailHeader.byteCount + max((ring + 4095) / 4096 * 4096, TailFrame.minimumRingBytes)
  }

  /// An empty ring in `memory`, whose earlier content is lost: what it held must be in a durable
  /// checkpoint, and nothing of the new log generation may have been answered yet.
  ///
  /// - Parameters:
  ///   - memory: 8-byte aligned, at least `minimumBytes`.
  ///   - bootID: names the boot of the machine; after another one the content is ignored.
  public init(
    memory: UnsafeMutableRawBufferPointer, pool: StorageUUID, logGeneration: UInt64,
    bootID: StorageUUID
  ) {
    precondition(memory.count >= Self.minimumBytes)
    unsafe self.memory = memory
    self.logGeneration = logGeneration
    capacity = (memory.count - TailHeader.byteCount) / 8 * 8
    let shortest = TailFrame.byteCount(recordBytes: RecordFormat.headerBytes)
    lengths = Array(repeating: 0, count: capacity / shortest + 1)
    // A header that is half written is refused by its checksum, and the ring by its generation.
    unsafe TailHeader(
      poolUUID: pool, logGeneration: logGeneration, bootID: bootID,
      capacityBytes: UInt64(capacity)
    ).encode(into: memory)
    let ring = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[TailHeader.byteCount...])
    _ = unsafe ring.initializeMemory(as: UInt8.self, repeating: 0)
    atomicMemoryFence(ordering: .sequentiallyConsistent)
  }

  /// Bytes in use, frames included.
  public var byteCount: Int { Int(end - start) }
  /// How much of the ring is in use, 0 to 1: a round starts well before it is full.
  public var fill: Double { Double(end - start) / Double(capacity) }

  /// Whether a record of so many encoded bytes fits before the next `truncate`.
  public func hasRoom(forRecordBytes recordBytes: Int) -> Bool {
    let position = TailFrame.start(from: end, capacity: UInt64(capacity))
    let length = UInt64(TailFrame.byteCount(recordBytes: recordBytes))
    return position + length - start <= UInt64(capacity)
  }

  /// Copies a record; it must be the next one and must fit. When this returns, the record
  /// outlives the process: its request may be answered.
  public func append(_ record: AppliedRecord) {
    let recordBytes = unsafe record.bytes.count
    precondition(hasRoom(forRecordBytes: recordBytes))
    if let nextNumber { precondition(record.number == nextNumber) }
    let position = TailFrame.start(from: end, capacity: UInt64(capacity))
    let offset = TailHeader.byteCount + Int(position % UInt64(capacity))
    let length = TailFrame.byteCount(recordBytes: recordBytes)
    let frame = unsafe UnsafeMutableRawBufferPointer(
      rebasing: memory[offset..<offset + length])
    unsafe frame[TailFrame.headerBytes...].copyBytes(from: record.bytes)
    unsafe TailFrame.encode(
      record: record.number, logGeneration: logGeneration, recordBytes: recordBytes, into: frame)
    atomicMemoryFence(ordering: .releasing)
    end = position + UInt64(length)
    lengths[Int(record.number.number % UInt64(lengths.count))] = UInt16(length)
    recordCount += 1
    nextNumber = record.number.next
  }

  /// Copies every record of `buffer` that was not copied yet. Called before an answer that they
  /// must outlive, and before a cut. False if the ring is full before the last one: the requests
  /// whose records are left may not be answered until a round has made room.
  public func copyNew(from buffer: RecordBuffer) -> Bool {
    while let record = buffer.oldestNotCopied {
      guard unsafe hasRoom(forRecordBytes: record.bytes.count) else { return false }
      append(record)
      buffer.noteCopied()
    }
    return true
  }

  /// The records up to `number` are durable in the journal or in a checkpoint: their room is free.
  public func truncate(through number: RecordNumber) {
    guard let nextNumber, recordCount > 0 else { return }
    var first = nextNumber.number - UInt64(recordCount)
    var position = start
    let before = recordCount
    while recordCount > 0 && first <= number.number {
      position = TailFrame.start(from: position, capacity: UInt64(capacity))
      position += UInt64(lengths[Int(first % UInt64(lengths.count))])
      first += 1
      recordCount -= 1
    }
    if recordCount == before { return }
    start = position
    unsafe memory.storeBytes(
      of: start.littleEndian, toByteOffset: TailHeader.startOffset, as: UInt64.self)
    atomicMemoryFence(ordering: .sequentiallyConsistent)
  }
}
