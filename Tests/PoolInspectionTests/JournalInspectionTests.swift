import DiskFormat
import DiskSimulation
import PoolInspection
import StorageUnits
import Testing

/// The chain of the journal and its records, judged as a start would.
@Suite struct JournalInspectionTests {
  private func inspect(_ write: (HandBuiltPool) -> Void) -> InspectionReport {
    let pool = HandBuiltPool()
    pool.write()
    write(pool)
    return PoolInspector.inspect(devices: pool.devices)
  }

  private func problems(_ records: [Record]) -> [InspectionProblem] {
    inspect {
      $0.writeJournalBlock(
        sequence: 1, firstRecord: 21, durableThrough: 0, previous: 0, records)
    }.findings.map(\.problem)
  }

  private func volume(_ id: UInt64, _ name: String) -> VolumeRecord {
    VolumeRecord(
      id: VolumeID(id), uuid: StorageUUID(high: id, low: 6), name: name, sizeBytes: 1 << 20,
      logicalBlockBytes: 4096, createdAt: 0, fullPolicy: .error)
  }

  private func map(
    _ volume: UInt64, _ extent: UInt64, to pool: UInt64, birth: UInt32 = 4
  ) -> Record {
    let layer = Layer(
      address: HandBuiltPool.extent(pool), mask: BlockMask(bits: 1), birth: ShareEpoch(birth))
    return .map(
      volume: VolumeID(volume), extent: VirtualExtent(index: extent),
      entry: MapEntry(upper: layer, lower: .none))
  }

  @Test func recordsThatFitAreNoFinding() {
    let report = inspect { $0.writeJournal() }
    #expect(report.findings == [])
    #expect(report.totals.journalBlocks == 3)
    #expect(report.totals.journalRecords == 5)
  }

  // MARK: The chain

  @Test func aGoodBlockThatDoesNotFollowIsFound() {
    let report = inspect {
      $0.writeJournalBlock(sequence: 1, firstRecord: 21, durableThrough: 0, previous: 0)
      $0.writeJournalBlock(sequence: 2, firstRecord: 22, durableThrough: 0, previous: 77)
    }
    #expect(report.findings.map(\.problem) == [.journalChainBroken])
    #expect(report.findings.map(\.place) == [.journalBlock(sequence: 2)])
  }

  @Test func aGapBetweenRecordsIsFound() {
    let report = inspect {
      let first = $0.writeJournalBlock(
        sequence: 1, firstRecord: 21, durableThrough: 0, previous: 0)
      $0.writeJournalBlock(sequence: 2, firstRecord: 24, durableThrough: 0, previous: first)
    }
    #expect(report.findings.map(\.problem) == [.journalRecordGap(expected: 22, found: 24)])
    let late = inspect {
      $0.writeJournalBlock(sequence: 1, firstRecord: 22, durableThrough: 0, previous: 0)
    }
    #expect(late.findings.map(\.problem) == [.journalRecordGap(expected: 21, found: 22)])
  }

  @Test func recordsOfAnotherApplyVersionAreFound() {
    let report = inspect {
      $0.writeJournalBlock(
        sequence: 1, firstRecord: 21, durableThrough: 0, previous: 0, [.deleteVolume(VolumeID(3))],
        applyVersion: 2)
    }
    #expect(report.findings.map(\.problem) == [.otherApplyVersion(2)])
  }

  @Test func aBlockThatIsGoodInOnePlaceOnlyIsANotice() {
    let report = inspect {
      $0.writeJournal()
      $0.devices[1].rot(at: DeviceByteOffset(257 << 12), bit: 3)
    }
    #expect(report.findings.map(\.problem) == [.copiesDiffer])
    #expect(report.findings.map(\.place) == [.journalBlock(sequence: 2)])
    #expect(report.totals.journalBlocks == 3)
  }

  @Test func recordsOfAGroupWithoutAnEndAreDropped() {
    let report = inspect {
      $0.writeJournalBlock(
        sequence: 1, firstRecord: 21, durableThrough: 0, previous: 0,
        [.deleteVolume(VolumeID(3)), .deleteVolume(VolumeID(2))], more: true)
    }
    #expect(report.findings == [])
    #expect(report.totals.droppedRecords == 2)
  }

  // MARK: Records

  @Test func recordsThatAStartRefusesAreFound() {
    #expect(problems([.deleteVolume(VolumeID(9))]) == [.recordRefused("volume")])
    #expect(problems([map(9, 0, to: 7)]) == [.recordRefused("volume")])
    #expect(problems([map(1, 1 << 20, to: 7)]) == [.recordRefused("extent")])
    #expect(problems([map(1, 0, to: 7, birth: 5)]) == [.recordRefused("birth")])
    #expect(problems([map(1, 0, to: 1)]) == [.recordRefused("address")])
    #expect(problems([map(1, 0, to: 1 << 30)]) == [.recordRefused("address")])
    #expect(problems([.createVolume(volume(7, "new"))]) == [.recordRefused("volume")])
    #expect(problems([.createVolume(volume(6, "one"))]) == [.recordRefused("name")])
    #expect(problems([.alterVolume(volume(9, "x"))]) == [.recordRefused("volume")])
    var receiving = volume(3, "empty")
    receiving.sizeBytes = 512
    receiving.logicalBlockBytes = 512
    receiving.isReceiving = true
    #expect(problems([.alterVolume(receiving)]).isEmpty)
    receiving.lineage = StorageUUID(high: 2, low: 2)
    #expect(problems([.alterVolume(receiving)]) == [.recordRefused("lineage")])
    #expect(problems([.alterVolume(volume(3, "one"))]) == [.recordRefused("name")])
    #expect(
      problems([.segmentClass(SegmentIndex(index: 1), .node, partner: nil)])
        == [.recordRefused("class")])
    #expect(
      problems([.segmentClass(SegmentIndex(index: 99), .data, partner: nil)])
        == [.recordRefused("segment")])
    #expect(
      problems([.segmentClass(SegmentIndex(index: 9), .node, partner: SegmentIndex(index: 1))])
        == [.recordRefused("partner")])
    #expect(
      problems([
        .drop(DropStep(doomed: RecordNumber(6), level: 0, key: 0, decision: .release))
      ]) == [.recordRefused("doomed")])
  }

  private func owed(_ action: OwedChange.Action, _ blocks: Range<UInt64>, of id: UInt64 = 1)
    -> Record
  {
    .owed(
      OwedChange(
        action,
        OwedRange(
          volume: VolumeID(id), firstBlock: blocks.lowerBound, blockCount: UInt64(blocks.count))))
  }

  @Test func owedDiscardsAreFollowed() {
    let snapshot = Record.rollback(volume: VolumeID(1), snapshot: VolumeID(9))
    #expect(problems([owed(.owe, 0..<16), owed(.settle, 4..<5), owed(.settle, 0..<16)]) == [])
    #expect(problems([owed(.settle, 0..<1)]) == [.recordRefused("owed")])
    #expect(
      problems([owed(.owe, 0..<16), owed(.settle, 4..<5), owed(.settle, 4..<5)])
        == [.recordRefused("owed")])
    #expect(problems([owed(.owe, 0..<1, of: 9)]) == [.recordRefused("volume")])
    #expect(problems([owed(.owe, 0..<1 << 40)]) == [.recordRefused("blockCount")])
    #expect(problems([owed(.owe, 0..<1), snapshot]) == [.recordRefused("snapshot")])
    // A smaller size takes along what was owed beyond it.
    let shrink = Record.resize(ResizeStep(volume: VolumeID(1), sizeBytes: 4096))
    #expect(
      problems([owed(.owe, 0..<3), shrink, owed(.settle, 1..<2)])
        == [.recordRefused("blockCount")])
    #expect(problems([owed(.owe, 0..<3), shrink, owed(.settle, 0..<1)]) == [])
  }

  @Test func aRecordIsJudgedByWhatCameBefore() {
    #expect(
      problems([.createVolume(volume(6, "new")), map(6, 3, to: 7), .deleteVolume(VolumeID(6))])
        == [])
    #expect(
      problems([.deleteVolume(VolumeID(1)), map(1, 3, to: 7)]) == [.recordRefused("volume")])
    // Extent 36 is in segment 9.
    let becomesData = Record.segmentClass(SegmentIndex(index: 9), .data, partner: nil)
    #expect(problems([becomesData, map(1, 3, to: 36)]) == [])
    #expect(problems([map(1, 3, to: 36), becomesData]) == [.recordRefused("address")])
  }

  @Test func aRecordThatTakesUsedSpaceIsFound() {
    // Extent 4 is the first of the volume; 101 belongs to the tree that is being dropped.
    #expect(problems([map(1, 0, to: 4)]) == [])
    #expect(problems([map(1, 9, to: 4)]) == [.recordTakesUsedSpace(PoolExtent(index: 4))])
    #expect(problems([map(1, 9, to: 101)]) == [.recordTakesUsedSpace(PoolExtent(index: 101))])
    #expect(
      problems([map(1, 9, to: 7), map(1, 10, to: 7)])
        == [.recordTakesUsedSpace(PoolExtent(index: 7))])
  }
}
