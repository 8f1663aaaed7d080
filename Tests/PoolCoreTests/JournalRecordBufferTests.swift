import DiskFormat
import PoolCore
import StorageUnits
import Testing

@Suite struct JournalRecordBufferTests {
  private func entry(_ n: UInt64) -> MapEntry {
    MapEntry(
      upper: Layer(
        address: PoolAddress(block: n << 4), mask: BlockMask(first: 0, count: 1),
        birth: ShareEpoch(1)), lower: .none)
  }

  private func decoded(_ batch: RecordBatch) throws -> [(
    number: UInt64, record: Record, more: Bool
  )] {
    var found: [(number: UInt64, record: Record, more: Bool)] = []
    var offset = 0
    while unsafe offset < batch.bytes.count {
      let next = try unsafe Record.decode(from: batch.bytes, at: offset)
      found.append((batch.firstNumber.number + UInt64(found.count), next.record, next.more))
      offset += next.length
    }
    return found
  }

  @Test func recordsAreNumberedConsecutivelyAcrossCuts() throws {
    let buffer = RecordBuffer(capacity: 1024, nextNumber: RecordNumber(7))
    let first = buffer.append(map: VolumeID(1), VirtualExtent(index: 3), entry(5))
    #expect(first.number == RecordNumber(7))
    #expect(unsafe first.bytes.count == RecordFormat.mapBytes)
    buffer.append(.deleteVolume(VolumeID(9)))
    let batch = try #require(buffer.cut())
    #expect(buffer.append(.deleteVolume(VolumeID(4))).number == RecordNumber(9))
    let records = try decoded(batch)
    #expect(records.map(\.number) == [7, 8])
    #expect(
      records.map(\.record) == [
        .map(volume: VolumeID(1), extent: VirtualExtent(index: 3), entry: entry(5)),
        .deleteVolume(VolumeID(9)),
      ])
    buffer.finish(batch)
    let second = try #require(buffer.cut())
    #expect(second.firstNumber == RecordNumber(9))
    #expect(second.lastNumber == RecordNumber(9))
  }

  @Test func theCutBatchStaysAsItWasWhileTheOtherHalfFills() throws {
    let buffer = RecordBuffer(capacity: RecordFormat.maximumBytes, nextNumber: RecordNumber(1))
    for n in 0..<10 {
      buffer.append(map: VolumeID(1), VirtualExtent(index: UInt64(n)), entry(UInt64(n) + 1))
    }
    #expect(!buffer.hasRoom(forMapRecords: 1))
    let batch = try #require(buffer.cut())
    let before = try decoded(batch).map(\.record)
    #expect(buffer.hasRoom(forMapRecords: 10))
    #expect(buffer.hasRoom(forRecords: 1))
    for n in 0..<10 {
      buffer.append(map: VolumeID(2), VirtualExtent(index: UInt64(n)), entry(UInt64(n) + 1))
    }
    #expect(try decoded(batch).map(\.record) == before)
  }

  @Test func aGroupIsNeverSplit() throws {
    let buffer = RecordBuffer(capacity: 4096, nextNumber: RecordNumber(1))
    buffer.append(.deleteVolume(VolumeID(1)))
    buffer.append(.deleteVolume(VolumeID(2)), more: true)
    buffer.append(map: VolumeID(3), VirtualExtent(index: 0), entry(1), more: true)
    let first = try #require(buffer.cut())
    #expect(first.lastNumber == RecordNumber(1))
    buffer.finish(first)
    #expect(buffer.cut() == nil)
    buffer.append(.deleteVolume(VolumeID(4)))
    let second = try #require(buffer.cut())
    #expect(second.firstNumber == RecordNumber(2))
    #expect(try decoded(second).map(\.more) == [true, true, false])
    #expect(buffer.byteCount == 0)
  }

  @Test func anEmptyBufferHasNothingToCut() {
    let buffer = RecordBuffer(capacity: 512, nextNumber: RecordNumber(1))
    #expect(buffer.cut() == nil)
    #expect(!buffer.isBatchOut)
    buffer.continueNumbering(at: RecordNumber(100))
    #expect(buffer.append(.deleteVolume(VolumeID(1))).number == RecordNumber(100))
  }

  @Test func anyHistoryOfAppendsAndCutsGivesBackWhatWentIn() throws {
    for seed in 1...200 as ClosedRange<UInt64> {
      var random = SplitMix(state: seed)
      let buffer = RecordBuffer(capacity: 2048, nextNumber: RecordNumber(1))
      var expected: [Record] = []
      var got: [Record] = []
      var isInGroup = false
      for _ in 0..<300 {
        let roll = random.next() % 10
        if roll < 8 && buffer.hasRoom(forRecords: 1) {
          isInGroup = random.next() % 4 == 0
          let id = VolumeID(random.next() % 1000 + 1)
          if random.next() % 2 == 0 {
            let x = VirtualExtent(index: random.next() % 1000)
            let entry = entry(random.next() % 1000 + 1)
            buffer.append(map: id, x, entry, more: isInGroup)
            expected.append(.map(volume: id, extent: x, entry: entry))
          } else {
            buffer.append(.rollback(volume: id, snapshot: VolumeID(1)), more: isInGroup)
            expected.append(.rollback(volume: id, snapshot: VolumeID(1)))
          }
        } else if let batch = buffer.cut() {
          let records = try decoded(batch)
          #expect(records.last?.more == false, "seed \(seed)")
          #expect(batch.firstNumber.number == UInt64(got.count) + 1, "seed \(seed)")
          got += records.map(\.record)
          buffer.finish(batch)
        }
      }
      if isInGroup { continue }
      if let batch = buffer.cut() { got += try decoded(batch).map(\.record) }
      #expect(got == expected, "seed \(seed)")
    }
  }
}

/// A small generator, so that a failure can be run again from its seed.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
