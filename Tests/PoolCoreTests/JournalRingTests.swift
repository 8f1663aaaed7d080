import DiskFormat
import PoolCore
import StorageUnits
import Testing

@Suite struct JournalRingTests {
  private func fill(_ test: JournalTestRing, mapRecords: Int) {
    for n in 0..<mapRecords {
      test.buffer.append(
        map: VolumeID(1), VirtualExtent(index: UInt64(n)), .naming(UInt64(n) + 1))
    }
  }

  @Test func ninetyMapRecordsFillABlock() throws {
    let test = JournalTestRing(blockCount: 8)
    fill(test, mapRecords: 91)
    let append = try #require(test.flush())
    #expect(append.firstSequence == 1)
    #expect(append.lastSequence == 2)
    let chain = try test.scan()
    #expect(chain.blocks.count == 2)
    #expect(chain.lastRecord == RecordNumber(191))
  }

  @Test func everyBatchStartsABlockOfItsOwn() throws {
    let test = JournalTestRing(blockCount: 8)
    for batch in 1...8 as ClosedRange<UInt64> {
      fill(test, mapRecords: 1)
      #expect(try #require(test.flush()).lastSequence == batch)
    }
    #expect(test.ring.fill == 1)
    #expect(test.ring.freeBlocks == 0)
  }

  @Test func aFullRingRefusesABatchAndChangesNothing() throws {
    let wide = JournalTestRing(blockCount: 8, bufferBytes: 64 << 10)
    fill(wide, mapRecords: 90 * 8 + 1)
    #expect(wide.flush() == nil)
    #expect(wide.ring.nextSequence == 1)
    #expect(wide.ring.nextRecord == RecordNumber(101))
    #expect(!wide.ring.isBatchOnItsWay)
  }

  @Test func aBatchPastTheEndOfTheRingGoesToTwoSpans() throws {
    let test = JournalTestRing(blockCount: 8)
    fill(test, mapRecords: 90 * 3)
    test.flush()
    fill(test, mapRecords: 90 * 3)
    test.flush()
    test.checkpoint(at: RecordNumber(640))
    fill(test, mapRecords: 90 * 4)
    let append = try #require(test.flush())
    #expect(append.head.byteCount == 2 * 4096)
    #expect(append.head.place.block == 1006)
    #expect(append.head.secondPlace?.block == 5006)
    let wrapped = try #require(append.wrapped)
    #expect(wrapped.memoryOffset == 2 * 4096)
    #expect(wrapped.place.block == 1000)
    #expect(try test.scan().lastRecord == RecordNumber(1000))
  }

  @Test func replayStartsAtTheFirstBlockWithALaterRecord() {
    let test = JournalTestRing(blockCount: 16)
    // Blocks 1 (101-190), 2 (191-200), 3 (201-205).
    fill(test, mapRecords: 100)
    test.flush()
    fill(test, mapRecords: 5)
    test.flush()
    let expected: [(UInt64, UInt64)] = [
      (100, 1), (101, 1), (189, 1), (190, 2), (199, 2), (200, 3), (204, 3), (205, 4), (300, 4),
    ]
    for (record, sequence) in expected {
      #expect(test.ring.replayStart(after: RecordNumber(record)).sequence == sequence)
    }
  }

  @Test func aBatchNeverNeedsMoreBlocksThanItsBoundSays() {
    for seed in 1...50 as ClosedRange<UInt64> {
      var random = SplitMix(state: seed)
      let test = JournalTestRing(blockCount: 64, placeCount: 1, bufferBytes: 100_000)
      while test.buffer.hasRoom(forRecords: 1) {
        if random.next() % 2 == 0 {
          test.buffer.append(.createVolume(.named("v", id: 1)))
        } else {
          fill(test, mapRecords: 1)
        }
      }
      let bound = JournalRing.blocksAtMost(forRecordBytes: test.buffer.byteCount)
      let append = test.flush()
      #expect(append.map { Int($0.lastSequence) } ?? .max <= bound, "seed \(seed)")
    }
  }

  @Test(arguments: [8, 16, 1024, 65536])
  func aQuarterOfAnyRingTakesABatchOfTheAdvisedSize(blockCount: Int) {
    let bytes = JournalRing.batchBytes(blockCount: blockCount, limit: 4 << 20)
    #expect(bytes >= 9 * RecordFormat.maximumBytes)
    #expect(bytes <= 4 << 20)
    #expect(JournalRing.blocksAtMost(forRecordBytes: bytes) <= max(2, blockCount / 4))
  }
}

extension VolumeRecord {
  static func named(_ name: String, id: UInt64) -> VolumeRecord {
    VolumeRecord(
      id: VolumeID(id), uuid: StorageUUID(high: 5, low: id), name: name, sizeBytes: 1 << 20,
      logicalBlockBytes: 512, createdAt: 0, fullPolicy: .error)
  }
}
