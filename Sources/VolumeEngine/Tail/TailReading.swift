public import DiskFormat
public import StorageUnits

/// What the tail of an earlier process says at a start: the records that were answered and may be
/// in no journal.
///
/// The memory is not changed. Records are read one after the other and each is verified; the first
/// that is no frame, or does not continue, ends them.
@safe public struct TailReading {
  /// Whether the tail counts.
  public enum Standing: Hashable, Sendable {
    /// It continues what the journal holds; perhaps with nothing.
    case continues
    /// There is no tail: never written, or by a server that was killed while it made it.
    case absent
    /// It belongs to another pool.
    case otherPool
    /// The machine was started since: what was not flushed is gone, and may be.
    case otherBoot
    /// A start has ended in a checkpoint since; that checkpoint holds what counted.
    case otherGeneration
    /// Its first record is not the one after the journal's last: records between are in neither.
    case gap(journalEnds: RecordNumber, tailBegins: RecordNumber)
  }

  /// What the tail must have been written for.
  public struct Expectation: Hashable, Sendable {
    public var pool: StorageUUID
    public var logGeneration: UInt64
    /// The boot in which the program runs now.
    public var bootID: StorageUUID
    /// The last record that the image and the journal hold.
    public var lastRecord: RecordNumber

    public init(
      pool: StorageUUID, logGeneration: UInt64, bootID: StorageUUID, lastRecord: RecordNumber
    ) {
      self.pool = pool
      self.logGeneration = logGeneration
      self.bootID = bootID
      self.lastRecord = lastRecord
    }
  }

  public let standing: Standing
  private let ring: UnsafeRawBufferPointer
  private let expectation: Expectation
  private let start: UInt64

  /// Judges `memory`, which stays alive and untouched as long as the reading is used.
  public init(of memory: UnsafeRawBufferPointer, expecting expectation: Expectation) {
    self.expectation = expectation
    guard let found = try? unsafe TailHeader.decode(memory),
      found.header.capacityBytes <= memory.count - TailHeader.byteCount
    else {
      standing = .absent
      unsafe ring = UnsafeRawBufferPointer(start: nil, count: 0)
      start = 0
      return
    }
    let from = TailHeader.byteCount
    unsafe ring = UnsafeRawBufferPointer(
      rebasing: memory[from..<from + Int(found.header.capacityBytes)])
    start = found.start
    let header = found.header
    if header.poolUUID != expectation.pool {
      standing = .otherPool
    } else if header.bootID != expectation.bootID {
      standing = .otherBoot
    } else if header.logGeneration != expectation.logGeneration {
      standing = .otherGeneration
    } else {
      var position = start
      let first = unsafe Self.frame(in: ring, at: &position, expectation.logGeneration)?.number
      if let first, expectation.lastRecord.next < first {
        standing = .gap(journalEnds: expectation.lastRecord, tailBegins: first)
      } else {
        standing = .continues
      }
    }
  }

  /// The number of the last record that counts: the last one that continues without a gap and ends
  /// a group. `lastRecord` of the expectation if there is none.
  public func lastNumber() -> RecordNumber {
    var last = expectation.lastRecord
    forEachFrame { number, record, more in
      if !more { last = max(last, number) }
      return true
    }
    return last
  }

  /// Gives every record that counts and is later than the journal's last, in order, until `body`
  /// throws.
  public func forEachRecord<Failure: Error>(
    _ body: (RecordNumber, Record) throws(Failure) -> Void
  ) throws(Failure) {
    let last = lastNumber()
    var failure: Failure?
    forEachFrame { number, record, _ in
      if last < number { return false }
      if !(expectation.lastRecord < number) { return true }
      do throws(Failure) {
        try body(number, record)
      } catch {
        failure = error
      }
      return failure == nil
    }
    if let failure { throw failure }
  }

  private func forEachFrame(_ body: (RecordNumber, Record, Bool) -> Bool) {
    guard case .continues = standing else { return }
    var position = start
    var next: RecordNumber?
    while let frame = unsafe Self.frame(in: ring, at: &position, expectation.logGeneration) {
      let number = unsafe frame.number
      // A frame of an earlier lap has an older number.
      if let next, number != next { return }
      guard let decoded = try? unsafe Record.decode(from: frame.bytes) else { return }
      next = number.next
      if !body(number, decoded.record, decoded.more) { return }
    }
  }

  private static func frame(
    in ring: UnsafeRawBufferPointer, at position: inout UInt64, _ generation: UInt64
  ) -> (number: RecordNumber, bytes: UnsafeRawBufferPointer)? {
    let at = TailFrame.start(from: position, capacity: UInt64(ring.count))
    let offset = Int(at % UInt64(ring.count))
    let rest = unsafe UnsafeRawBufferPointer(rebasing: ring[offset...])
    guard let frame = try? unsafe TailFrame.decode(rest), frame.logGeneration == generation else {
      return nil
    }
    position = at + UInt64(frame.length)
    let bytes = unsafe UnsafeRawBufferPointer(
      rebasing: rest[TailFrame.headerBytes..<TailFrame.headerBytes + frame.recordBytes])
    return unsafe (frame.record, bytes)
  }
}
