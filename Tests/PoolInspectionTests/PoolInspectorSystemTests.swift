import BlockIO
import DiskFormat
import DiskSimulation
import PoolInspection
import StorageUnits
import Testing

private func problems(_ change: (inout HandBuiltPool) -> Void) -> [InspectionProblem] {
  var pool = HandBuiltPool()
  change(&pool)
  pool.write()
  return PoolInspector.inspect(devices: pool.devices).findings.map(\.problem)
}

@Suite struct PoolInspectorSystemTests {
  private func written() -> HandBuiltPool {
    let pool = HandBuiltPool()
    pool.write()
    return pool
  }

  private func inspect(_ pool: HandBuiltPool) -> [InspectionFinding] {
    PoolInspector.inspect(devices: pool.devices).findings
  }

  private let zeros = [UInt8](repeating: 0, count: 8192)

  // MARK: Superblocks

  @Test func aDamagedCopyOfASuperblockIsANotice() {
    let pool = written()
    pool.devices[0].overwrite(at: DeviceByteOffset(192 << 10), with: zeros)
    let found = inspect(pool)
    #expect(found.map(\.problem) == [.copiesDiffer])
    #expect(found.map(\.place) == [.superblock(position: 0, slot: 0, copy: 1)])
  }

  @Test func aSlotWithoutAGoodCopyIsANoticeWhileTheOtherServes() {
    let pool = written()
    for offset in FormatConstants.superblockOffsets[1] {
      pool.devices[0].rot(at: DeviceByteOffset(offset + 9), bit: 1)
    }
    #expect(inspect(pool).map(\.problem) == [.slotLost, .slotLost])
    #expect(PoolInspector.inspect(devices: pool.devices).severity == .notice)
  }

  @Test func aSuperblockOlderThanTheJournalIsFound() {
    let pool = written()
    pool.writeJournalBlock(sequence: 1, firstRecord: 21, durableThrough: 0, previous: 0)
    for device in pool.devices {
      for offset in FormatConstants.superblockOffsets[0] {
        device.rot(at: DeviceByteOffset(offset + 9), bit: 1)
      }
    }
    #expect(
      inspect(pool).map(\.problem).contains(.superblockOlderThanJournal(sequence: 5, named: 6)))
  }

  @Test func aSlotThatWasNeverWrittenIsNoFinding() {
    let pool = written()
    for offset in FormatConstants.superblockOffsets[1] {
      pool.devices[0].overwrite(at: DeviceByteOffset(offset), with: zeros)
    }
    #expect(inspect(pool).isEmpty)
  }

  @Test func aMemberWithoutTheNewestSuperblockIsNoticed() {
    let pool = written()
    for offset in FormatConstants.superblockOffsets[0] {
      pool.devices[1].overwrite(at: DeviceByteOffset(offset), with: zeros)
    }
    #expect(
      inspect(pool).map(\.problem) == [
        .memberBehind(DeviceIndex(index: 1), sequence: 5, newest: 6)
      ])
  }

  @Test func aPoolWithoutAnySuperblockIsDamaged() {
    let pool = written()
    for device in pool.devices {
      device.overwrite(
        at: DeviceByteOffset(0), with: [UInt8](repeating: 0, count: 1 << 20))
    }
    #expect(inspect(pool).map(\.problem) == [.noSuperblock])
  }

  @Test func aMissingAndARepeatedMemberAreFound() {
    let pool = written()
    let alone = PoolInspector.inspect(devices: [pool.devices[0]]).findings.map(\.problem)
    #expect(alone.contains(.memberMissing(DeviceIndex(index: 1))))
    let twice = PoolInspector.inspect(devices: pool.devices + [pool.devices[1].fork()]).findings
    #expect(twice.map(\.problem) == [.memberTwice(DeviceIndex(index: 1))])
    #expect(twice.map(\.place) == [.device(position: 2)])
  }

  @Test func superblocksThatDisagreeAreFound() {
    let found = problems {
      $0.alterSuperblock = { if $0.device.index == 1 { $0.logNonce = 78 } }
    }
    #expect(found == [.superblocksDisagree])
  }

  @Test func aMemberLargerThanItsDeviceIsFound() {
    let found = problems { $0.alterSuperblock = { $0.members[1].sizeBytes = 8 << 20 } }
    #expect(found == [.memberLargerThanDevice(DeviceIndex(index: 1))])
  }

  @Test func aDeviceThatCannotBeReadIsReportedAndTheOtherPlaceServes() {
    let pool = written()
    pool.devices[1].inject(
      DeviceFault(.error(errno: 5), on: .read, number: 5, isForGood: true))
    let found = inspect(pool)
    #expect(found.allSatisfy { $0.problem == .unreadable(errno: 5) || $0.problem == .copiesDiffer })
    #expect(!found.isEmpty)
  }

  // MARK: Segments

  @Test func placesOfSegmentsThatCannotBeAreFound() {
    let first = DeviceIndex(index: 0)
    func moved(_ block: UInt64, device: DeviceIndex = first) -> [InspectionProblem] {
      problems { $0.segments[5].place = DevicePlace(device: device, block: block) }
    }
    #expect(moved(512 + 4 * 64) == [.segmentsOverlap(with: SegmentIndex(index: 4))])
    #expect(
      moved(512 + 5 * 64 + 1) == [
        .segmentMisaligned, .segmentsOverlap(with: SegmentIndex(index: 5)),
      ])
    #expect(moved(2048) == [.segmentOutsideDevice])
    #expect(moved(448) == [.segmentInSystemArea])
    #expect(moved(128) == [.segmentInSystemArea])
    #expect(moved(512, device: DeviceIndex(index: 9)) == [.segmentOutsideDevice])
  }

  @Test func aLentSegmentThatNobodyUsesIsFound() {
    #expect(
      problems {
        $0.segments[26].place = nil
        $0.segments[26].segmentClass = .lent
      } == [.lentPlaces(lent: 2, used: 1)])
  }

  @Test func twoPlacesOnOneDeviceAreFound() {
    let found = problems {
      $0.segments[0].secondPlace = $0.segments[20].place
      $0.segments[24].place = DevicePlace(device: DeviceIndex(index: 1), block: 512)
      $0.segments[24].segmentClass = .free
      $0.segments[20].place = nil
      $0.segments[20].segmentClass = .lent
    }
    #expect(found == [.placesOnOneDevice])
  }

  @Test func aSegmentTableOutsideTheSystemAreaIsFound() {
    #expect(
      problems { $0.systemRanges = [SystemRange(firstBlock: 256, blockCount: 32)] }
        == [.outsideSystemArea, .outsideSystemArea])
  }

  @Test func aSegmentTableThatCannotBeReadEndsTheInspection() {
    let pool = written()
    for device in pool.devices {
      device.rot(at: DeviceByteOffset(300 * 4096 + 70), bit: 0)
    }
    let found = inspect(pool).map(\.problem)
    #expect(found == [.invalid(.badChecksum(.node)), .segmentTableMissing])
  }

  // MARK: Journal

  @Test func theChainOfTheJournalIsCounted() {
    let pool = written()
    let first = pool.writeJournalBlock(
      sequence: 1, firstRecord: 19, durableThrough: 0, previous: 0, records: 4)
    pool.writeJournalBlock(sequence: 2, firstRecord: 23, durableThrough: 1, previous: first)
    let report = PoolInspector.inspect(devices: pool.devices)
    #expect(report.isClean)
    #expect(report.totals.journalRecords == 3)
  }

  @Test func aHoleThatALaterBlockVouchesForIsFound() {
    let pool = written()
    pool.writeJournalBlock(sequence: 1, firstRecord: 21, durableThrough: 0, previous: 0)
    pool.writeJournalBlock(sequence: 3, firstRecord: 23, durableThrough: 1, previous: 5)
    #expect(inspect(pool).isEmpty)
    pool.writeJournalBlock(sequence: 4, firstRecord: 24, durableThrough: 2, previous: 5)
    let found = inspect(pool)
    #expect(found.map(\.problem) == [.journalHole(provenBy: 4)])
    #expect(found.map(\.place) == [.journalBlock(sequence: 2)])
  }
}
