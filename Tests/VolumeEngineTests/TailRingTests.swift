import DiskFormat
import PoolCore
import StorageUnits
import Testing
import VolumeEngine

@Suite struct TailRingTests {
  static let pool = StorageUUID(high: 1, low: 2)
  static let boot = StorageUUID(high: 3, low: 4)

  private func expecting(
    after number: UInt64, generation: UInt64 = 5, boot: StorageUUID = boot,
    pool: StorageUUID = pool
  ) -> TailReading.Expectation {
    TailReading.Expectation(
      pool: pool, logGeneration: generation, bootID: boot, lastRecord: RecordNumber(number))
  }

  private func numbers(_ reading: TailReading) -> [UInt64] {
    var found: [UInt64] = []
    reading.forEachRecord { number, _ in found.append(number.number) }
    return found
  }

  @Test func whatWasAppendedIsReadAfterTheJournalsLast() {
    let tail = TailUnderTest()
    for _ in 0..<5 { tail.append() }
    for last in 0...5 as ClosedRange<UInt64> {
      let reading = tail.read(expecting(after: last))
      #expect(reading.standing == .continues)
      #expect(numbers(reading) == Array((last + 1)..<6))
      #expect(reading.lastNumber() == RecordNumber(5))
    }
    #expect(numbers(tail.read(expecting(after: 9))).isEmpty)
  }

  @Test func recordsComeBackAsTheyWere() {
    let tail = TailUnderTest()
    let records: [Record] = [
      .deleteVolume(VolumeID(9)), .rollback(volume: VolumeID(1), snapshot: VolumeID(2)),
      .map(volume: VolumeID(1), extent: VirtualExtent(index: 7), entry: .none),
    ]
    for record in records { tail.append(record) }
    var found: [Record] = []
    tail.read(expecting(after: 0)).forEachRecord { _, record in found.append(record) }
    #expect(found == records)
  }

  @Test func onlyTheSamePoolGenerationAndBootCount() {
    let tail = TailUnderTest()
    tail.append()
    let other = StorageUUID(high: 8, low: 8)
    #expect(tail.read(expecting(after: 0, pool: other)).standing == .otherPool)
    #expect(tail.read(expecting(after: 0, boot: other)).standing == .otherBoot)
    #expect(tail.read(expecting(after: 0, generation: 6)).standing == .otherGeneration)
    #expect(numbers(tail.read(expecting(after: 0, boot: other))).isEmpty)
    let empty = TailUnderTest(written: false)
    #expect(empty.read(expecting(after: 0)).standing == .absent)
  }

  @Test func aGapAfterTheJournalIsTold() {
    let tail = TailUnderTest()
    for _ in 0..<5 { tail.append() }
    tail.ring.truncate(through: RecordNumber(3))
    #expect(numbers(tail.read(expecting(after: 3))) == [4, 5])
    let reading = tail.read(expecting(after: 2))
    #expect(
      reading.standing == .gap(journalEnds: RecordNumber(2), tailBegins: RecordNumber(4)))
    #expect(numbers(reading).isEmpty)
  }

  @Test func aGroupWithoutItsEndIsDropped() {
    let tail = TailUnderTest()
    tail.append()
    tail.append(more: true)
    tail.append(more: true)
    #expect(numbers(tail.read(expecting(after: 0))) == [1])
    tail.append()
    #expect(numbers(tail.read(expecting(after: 0))) == [1, 2, 3, 4])
  }

  @Test func aNewGenerationForgetsTheOld() {
    let tail = TailUnderTest()
    for _ in 0..<5 { tail.append() }
    tail.restart(generation: 6)
    #expect(numbers(tail.read(expecting(after: 5, generation: 6))).isEmpty)
    #expect(tail.read(expecting(after: 5)).standing == .otherGeneration)
  }

  @Test func theRingFillsAndTruncationMakesRoom() {
    let tail = TailUnderTest(ringBytes: 4096)
    while tail.hasRoomForMap { tail.append() }
    #expect(tail.ring.fill > 0.8)
    let count = UInt64(tail.ring.recordCount)
    tail.ring.truncate(through: RecordNumber(count - 1))
    #expect(tail.ring.recordCount == 1)
    #expect(tail.hasRoomForMap)
    tail.ring.truncate(through: RecordNumber(count))
    #expect(tail.ring.recordCount == 0)
    #expect(numbers(tail.read(expecting(after: count))).isEmpty)
  }

  @Test func theBufferIsCopiedRecordByRecordAndNeverTwice() throws {
    let tail = TailUnderTest()
    let buffer = RecordBuffer(capacity: 4096, nextNumber: RecordNumber(1))
    buffer.append(.deleteVolume(VolumeID(1)))
    buffer.append(.deleteVolume(VolumeID(2)), more: true)
    #expect(tail.ring.copyNew(from: buffer))
    let batch = try #require(buffer.cut())
    buffer.finish(batch)
    #expect(buffer.oldestNotCopied == nil)
    buffer.append(.deleteVolume(VolumeID(3)))
    #expect(tail.ring.copyNew(from: buffer))
    #expect(numbers(tail.read(expecting(after: 0))) == [1, 2, 3])
  }

  @Test func aFullTailSaysSoAndGoesOnWhenThereIsRoom() {
    let tail = TailUnderTest(ringBytes: 4096)
    let buffer = RecordBuffer(capacity: 64 << 10, nextNumber: RecordNumber(1))
    for n in 1...200 as ClosedRange<UInt64> { buffer.append(.deleteVolume(VolumeID(n))) }
    #expect(!tail.ring.copyNew(from: buffer))
    tail.ring.truncate(through: RecordNumber(60))
    #expect(!tail.ring.copyNew(from: buffer))
    tail.ring.truncate(through: RecordNumber(120))
    #expect(tail.ring.copyNew(from: buffer))
    #expect(numbers(tail.read(expecting(after: 120))).last == 200)
  }

  @Test(arguments: [RecordFormat.maximumBytes, 5000, 100_000])
  func theAdvisedSizeTakesTwoBuffersOfAnyRecords(recordBytes: Int) {
    for shortOnes in [1, 2, 100] {
      let tail = TailUnderTest(
        ringBytes: TailRing.bytes(forRecordBytes: recordBytes) - TailHeader.byteCount)
      let buffer = RecordBuffer(capacity: recordBytes, nextNumber: RecordNumber(1))
      // Two buffers stay in the tail, a third one has been truncated.
      for turn in 0..<5 {
        let first = buffer.nextNumber
        var count = 0
        while buffer.capacity - buffer.byteCount >= RecordFormat.mapBytes {
          count += 1
          if count % shortOnes == 0 {
            buffer.append(.deleteVolume(VolumeID(1)))
          } else {
            buffer.append(map: VolumeID(1), VirtualExtent(index: 1), .none)
          }
        }
        #expect(tail.ring.copyNew(from: buffer), "turn \(turn)")
        if let batch = buffer.cut() { buffer.finish(batch) }
        tail.ring.truncate(through: RecordNumber(first.number - 1))
      }
    }
  }

  /// Between two states of the memory every store may or may not have happened: more than a
  /// killed process can leave. Whatever happened, what was there before is still there, and the
  /// new record is there wholly or not at all.
  @Test func aServerKilledAtAnyStoreLeavesEveryRecordThatWasAnswered() {
    var random = TailRandom(state: 3)
    for ringBytes in [4096, 5000] {
      let tail = TailUnderTest(ringBytes: ringBytes)
      var durable: UInt64 = 0
      var next: UInt64 = 1
      for _ in 0..<400 {
        if !tail.hasRoomForMap || random.next() % 20 == 0 {
          let before = tail.bytes
          let through = durable + random.next() % (next - durable)
          tail.ring.truncate(through: RecordNumber(through))
          // The truncated records are durable in the journal, whichever start is found.
          check(before, answered: next - 1, journal: through, mayHave: next - 1)
          check(tail.bytes, answered: next - 1, journal: through, mayHave: next - 1)
          durable = through
          if !tail.hasRoomForMap { continue }
        }
        let before = tail.bytes
        tail.append(random.next() % 3 == 0 ? .deleteVolume(VolumeID(next)) : nil)
        let after = tail.bytes
        let changed = before.indices.filter { before[$0] != after[$0] }
        for _ in 0..<8 {
          var torn = before
          let sparse = random.next() % 2 == 0
          let upTo = Int(random.next() % UInt64(changed.count))
          for (i, at) in changed.enumerated() {
            if sparse ? random.next() % 2 == 0 : i < upTo { torn[at] = after[at] }
          }
          check(torn, answered: next - 1, journal: durable, mayHave: next)
        }
        check(after, answered: next, journal: durable, mayHave: next)
        next += 1
      }
    }
  }

  private func check(
    _ bytes: [UInt8], answered: UInt64, journal: UInt64, mayHave: UInt64,
    _ location: SourceLocation = #_sourceLocation
  ) {
    TailUnderTest.read(bytes, expecting(after: journal)) { reading in
      let found = numbers(reading)
      #expect(
        found == Array((journal + 1)..<(answered + 1))
          || found == Array((journal + 1)..<(mayHave + 1)), sourceLocation: location)
    }
  }
}

/// A tail in a plain buffer, with records numbered from 1.
@safe private final class TailUnderTest {
  private let memory: UnsafeMutableRawBufferPointer
  private let buffer: RecordBuffer
  private(set) var ring: TailRing

  init(ringBytes: Int = 64 << 10, written: Bool = true) {
    unsafe memory = .allocate(byteCount: TailHeader.byteCount + ringBytes, alignment: 4096)
    _ = unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
    unsafe ring = TailRing(
      memory: memory, pool: TailRingTests.pool, logGeneration: 5, bootID: TailRingTests.boot)
    if !written { _ = unsafe memory.initializeMemory(as: UInt8.self, repeating: 0) }
    buffer = RecordBuffer(capacity: 1 << 20, nextNumber: RecordNumber(1))
  }

  deinit { unsafe memory.deallocate() }

  func restart(generation: UInt64) {
    unsafe ring = TailRing(
      memory: memory, pool: TailRingTests.pool, logGeneration: generation,
      bootID: TailRingTests.boot)
  }

  var hasRoomForMap: Bool { ring.hasRoom(forRecordBytes: RecordFormat.mapBytes) }
  var bytes: [UInt8] { unsafe Array(memory) }

  func append(_ record: Record? = nil, more: Bool = false) {
    let map = Record.map(volume: VolumeID(1), extent: VirtualExtent(index: 2), entry: .none)
    ring.append(buffer.append(record ?? map, more: more))
  }

  func read(_ expectation: TailReading.Expectation) -> TailReading {
    unsafe TailReading(of: UnsafeRawBufferPointer(memory), expecting: expectation)
  }

  static func read(
    _ bytes: [UInt8], _ expectation: TailReading.Expectation, _ body: (TailReading) -> Void
  ) {
    unsafe bytes.withUnsafeBytes {
      unsafe body(TailReading(of: $0, expecting: expectation))
    }
  }
}

/// A small generator, so that a failure can be run again from its seed.
private struct TailRandom {
  var state: UInt64

  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state >> 33
  }
}
