import DiskFormat
import StorageUnits
import Testing

@testable import PoolCore

@Suite struct JournalScanTests {
  /// Three batches: blocks 1-2, 3, 4-5; the last is on its way.
  private func threeBatches(placeCount: Int = 2, blockCount: Int = 8) -> JournalTestRing {
    let test = JournalTestRing(blockCount: blockCount, placeCount: placeCount)
    for (batch, count) in [91, 1, 91].enumerated() {
      for n in 0..<count {
        test.buffer.append(
          map: VolumeID(1), VirtualExtent(index: UInt64(n)), .naming(UInt64(n) + 1))
      }
      test.flush(durable: batch < 2)
    }
    return test
  }

  // MARK: The table

  @Test func theDecisionIsTheTable() {
    for standing in JournalScan.Standing.allCases {
      for isSaidDurable in [false, true] {
        #expect(
          JournalScan.decide(
            standing, namesNewerSuperblock: true, isSaidDurable: isSaidDurable)
            == .refuseOlderSuperblock)
      }
    }
    let expected: [(JournalScan.Standing, Bool, JournalScan.Decision)] = [
      (.missing, false, .endOfLog), (.missing, true, .refuseLostBlock),
      (.hidden, false, .refuseHiddenBlock), (.hidden, true, .refuseLostBlock),
      (.chained, false, .goOn), (.chained, true, .goOn),
      (.unchained, false, .refuseBrokenChain), (.unchained, true, .refuseBrokenChain),
      (.recordGap, false, .refuseRecordGap), (.recordGap, true, .refuseRecordGap),
      (.otherApplyVersion, false, .refuseApplyVersion),
      (.otherApplyVersion, true, .refuseApplyVersion),
      (.unreadable, false, .refuseRecords), (.unreadable, true, .refuseRecords),
    ]
    #expect(expected.count == 2 * JournalScan.Standing.allCases.count)
    for (standing, isSaidDurable, decision) in expected {
      #expect(
        JournalScan.decide(standing, namesNewerSuperblock: false, isSaidDurable: isSaidDurable)
          == decision)
    }
  }

  // MARK: Whole rings

  @Test func anEmptyRingEndsAtTheCheckpoint() throws {
    let chain = try JournalTestRing(blockCount: 8).scan()
    #expect(chain.blocks.isEmpty)
    #expect(chain.lastRecord == RecordNumber(100))
    #expect(chain.firstRecord == RecordNumber(101))
  }

  @Test func whatWasWrittenIsReplayed() throws {
    let test = threeBatches()
    let chain = try test.scan()
    #expect(chain.blocks.count == 5)
    #expect(chain.lastRecord == RecordNumber(283))
    let records = try test.records(of: chain)
    #expect(records.count == 183)
    #expect(
      records[RecordNumber(192)]
        == .map(volume: VolumeID(1), extent: VirtualExtent(index: 0), entry: .naming(1)))
  }

  @Test(arguments: 1...5 as ClosedRange<UInt64>, [0, 1])
  func aBlockBadInOnePlaceIsTakenFromTheOther(sequence: UInt64, place: Int) throws {
    let test = threeBatches()
    let whole = try test.records(of: test.scan())
    test.garble(sequence, place: place)
    let chain = try test.scan()
    #expect(chain.blocks[Int(sequence - 1)].place == UInt8(1 - place))
    #expect(try test.records(of: chain) == whole)
  }

  @Test func eachBlockMayBeGoodInAnotherPlace() throws {
    let test = threeBatches()
    for sequence in 1...5 as ClosedRange<UInt64> {
      test.garble(sequence, place: Int(sequence % 2))
    }
    #expect(try test.scan().lastRecord == RecordNumber(283))
  }

  /// Blocks 1-3 are said to be durable by blocks 4 and 5; block 5 is the end of a batch of which
  /// nothing is known.
  @Test(arguments: 1...5 as ClosedRange<UInt64>, [1, 2])
  func aBlockBadEverywhereEndsTheLogOnlyIfNothingSaysThatItWasDurable(
    sequence: UInt64, placeCount: Int
  ) throws {
    let test = threeBatches(placeCount: placeCount)
    for place in 0..<placeCount { test.garble(sequence, place: place) }
    switch sequence {
    case 1, 2, 3:
      #expect(throws: JournalScanError.self) { try test.scan() }
      do {
        _ = try test.scan()
      } catch {
        guard case .durableBlockLost(sequence, let by) = error else {
          Issue.record("\(error)")
          return
        }
        #expect(by == 4 || by == 5)
      }
    case 4: #expect(try test.scan().lastRecord == RecordNumber(192))
    default: #expect(try test.scan().lastRecord == RecordNumber(282))
    }
  }

  @Test(arguments: Array(stride(from: 0, to: 4096, by: 512)))
  func aTornLastBlockEndsTheLog(tornAt: Int) throws {
    let test = JournalTestRing(blockCount: 8, placeCount: 1)
    for n in 0..<90 as Range<UInt64> {
      test.buffer.append(map: VolumeID(1), VirtualExtent(index: n), .naming(n + 1))
    }
    test.flush(durable: false)
    // The sectors from here on hold what the ring had before: zeros.
    for byte in tornAt..<4096 { test.places[0][byte] = 0 }
    #expect(try test.scan().lastRecord == RecordNumber(100))
  }

  @Test func anyBitOfAnyBlockMatters() throws {
    var random = SplitMix(state: 11)
    for _ in 0..<200 {
      let test = threeBatches(placeCount: 1)
      let sequence = random.next() % 5 + 1
      test.garble(sequence, place: 0, byte: Int(random.next() % 4096))
      let chain = try? test.scan()
      // Refused where it was durable, the end of the log where it was not.
      #expect((chain == nil) == (sequence <= 3))
      if let chain { #expect(chain.blocks.count == Int(sequence) - 1) }
    }
  }

  // MARK: What is refused

  @Test func aSuperblockOlderThanOneThatABlockNamesIsRefused() throws {
    let ring = JournalTestRing(blockCount: 8)
    let older = ring.superblock
    ring.buffer.append(.deleteVolume(VolumeID(1)))
    ring.flush()
    ring.checkpoint(at: RecordNumber(101))
    ring.buffer.append(.deleteVolume(VolumeID(2)))
    ring.flush()
    #expect(try ring.scan().lastRecord == RecordNumber(102))
    #expect(throws: JournalScanError.superblockOlderThanJournal(superblock: 10, named: 11)) {
      try ring.scan(with: older)
    }
  }

  @Test func aNewerLogGenerationsBlockAlsoTellsOfANewerSuperblock() throws {
    let test = threeBatches()
    test.rewrite(5, place: 1) {
      $0.logGeneration = 4
      $0.superblockSequence = 12
    }
    #expect(throws: JournalScanError.superblockOlderThanJournal(superblock: 10, named: 12)) {
      try test.scan()
    }
  }

  @Test func aGoodBlockThatDoesNotFollowIsRefused() {
    let test = threeBatches(placeCount: 1)
    test.rewrite(3, place: 0) { $0.previousChecksum ^= 1 }
    #expect(throws: JournalScanError.brokenChain(sequence: 3)) { try test.scan() }
  }

  @Test func aBlockThatSkipsRecordsIsRefused() {
    let test = threeBatches(placeCount: 1)
    test.rewrite(5, place: 0) { $0.firstRecord = $0.firstRecord.next }
    #expect(throws: JournalScanError.recordGap(sequence: 5, expected: RecordNumber(283))) {
      try test.scan()
    }
  }

  @Test func aFirstBlockThatBeginsBeyondTheImageIsRefused() {
    let test = threeBatches(placeCount: 1)
    var older = test.superblock
    older.checkpointRecord = RecordNumber(99)
    #expect(throws: JournalScanError.recordGap(sequence: 1, expected: nil)) {
      try test.scan(with: older)
    }
  }

  @Test func anotherApplyVersionIsRefused() {
    let test = threeBatches(placeCount: 1)
    test.rewrite(5, place: 0) { $0.applyVersion = 2 }
    #expect(throws: JournalScanError.otherApplyVersion(2)) { try test.scan() }
  }

  @Test func unknownRecordsInAGoodBlockAreRefused() {
    let test = threeBatches(placeCount: 1)
    test.places[0][test.offset(of: 5) + FormatConstants.journalHeaderBytes] = 0xEE
    test.withBlock(place: 0, position: 4) { _ = $0.sealJournalBlock() }
    #expect(throws: JournalScanError.unreadableRecords(sequence: 5)) { try test.scan() }
  }

  // MARK: What is ignored

  @Test func blocksOfAnotherPoolGenerationOrNonceSayNothing() throws {
    let changes: [(inout JournalBlockHeader) -> Void] = [
      { $0.pool ^= 1 }, { $0.logGeneration = 2 }, { $0.logNonce ^= 1 },
    ]
    for change in changes {
      let test = threeBatches(placeCount: 1)
      test.rewrite(4, place: 0, change)
      test.rewrite(5, place: 0, change)
      #expect(try test.scan().lastRecord == RecordNumber(192))
    }
  }

  @Test func aBlockAtAnotherPositionSaysNothing() throws {
    let test = threeBatches(placeCount: 1)
    let from = test.offset(of: 5)
    let to = test.offset(of: 7)
    for byte in 0..<4096 {
      test.places[0][to + byte] = test.places[0][from + byte]
      test.places[0][from + byte] = 0
    }
    #expect(try test.scan().lastRecord == RecordNumber(282))
  }

  @Test func aGroupWithoutItsEndIsDropped() throws {
    let test = JournalTestRing(blockCount: 8, placeCount: 1)
    test.buffer.append(.deleteVolume(VolumeID(1)))
    for n in 0..<100 as Range<UInt64> {
      test.buffer.append(
        map: VolumeID(1), VirtualExtent(index: n), .naming(n + 1), more: n < 99)
    }
    test.flush(durable: false, survives: { _, sequence in sequence == 1 })
    let chain = try test.scan()
    #expect(chain.blocks.count == 1)
    #expect(chain.lastRecord == RecordNumber(101))
    #expect(try test.records(of: chain).count == 1)
  }

  // MARK: Histories

  /// Random batches and checkpoints on small rings, a crash in the middle of a batch of which any
  /// blocks reached any place: the records found are a prefix that holds everything durable.
  @Test func afterAnyCrashTheDurableRecordsAreFoundAndNothingElseIsMadeUp() throws {
    for seed in 1...150 as ClosedRange<UInt64> {
      var random = SplitMix(state: seed)
      let test = JournalTestRing(
        blockCount: 8 + Int(random.next() % 5), placeCount: 1 + Int(random.next() % 2),
        bufferBytes: 12_000)
      var written: [Record] = []
      var durable = 100
      for _ in 0..<Int(random.next() % 40) {
        append(to: test, &written, &random)
        if random.next() % 3 == 0 || test.ring.freeBlocks < 4 {
          let upTo = test.ring.nextRecord.number - random.next() % 3
          let record = max(upTo - 1, test.superblock.checkpointRecord.number)
          if RecordNumber(record) > test.superblock.checkpointRecord {
            test.checkpoint(at: RecordNumber(record))
          }
        }
        if test.ring.freeBlocks >= 4 {
          test.flush()
          durable = Int(test.ring.nextRecord.number) - 1
        }
      }
      append(to: test, &written, &random)
      var crash = random
      test.flush(durable: false) { _, _ in crash.next() % 2 == 0 }
      let chain = try test.scan()
      #expect(chain.lastRecord.number >= UInt64(durable), "seed \(seed)")
      for (number, record) in try test.records(of: chain) {
        #expect(record == written[Int(number.number) - 101], "seed \(seed)")
      }
      let expected = Int(chain.lastRecord.number - test.superblock.checkpointRecord.number)
      #expect(try test.records(of: chain).count == expected, "seed \(seed)")
    }
  }

  private func append(
    to test: JournalTestRing, _ written: inout [Record], _ random: inout SplitMix
  ) {
    for _ in 0...Int(random.next() % 120) where test.buffer.hasRoom(forRecords: 1) {
      let n = random.next() % 1000 + 1
      if random.next() % 50 == 0 {
        test.buffer.append(.createVolume(.named("v\(n)", id: n)))
        written.append(.createVolume(.named("v\(n)", id: n)))
      } else {
        test.buffer.append(map: VolumeID(n), VirtualExtent(index: n), .naming(n))
        written.append(
          .map(volume: VolumeID(n), extent: VirtualExtent(index: n), entry: .naming(n)))
      }
    }
  }
}
