import DiskFormat
import DiskSimulation
import PoolCore
import PoolInspection
import StorageUnits
import Testing

/// What findings say: whom they touch, where, in which words, and how many there are.
@Suite struct FindingTests {
  private func inspect(_ change: (inout HandBuiltPool) -> Void) -> InspectionReport {
    var pool = HandBuiltPool()
    change(&pool)
    pool.write()
    return PoolInspector.inspect(devices: pool.devices)
  }

  // MARK: Whom it touches

  @Test func allVolumesThatReachASharedNodeAreNamed() throws {
    let pool = HandBuiltPool()
    pool.write()
    for place in pool.places(ofBlock: 7) {
      pool.devices[Int(place.device.index)].rot(
        at: DeviceByteOffset(place.byteOffset.bytes + 100), bit: 3)
    }
    let report = PoolInspector.inspect(devices: pool.devices)
    let finding = try #require(report.findings.first)
    #expect(finding.volumes == [VolumeID(1), VolumeID(2)])
    #expect(finding.volumeBytes == 0..<168 << 16)
    #expect(finding.locations.count == 2)
    let details = finding.details(in: report)
    #expect(details.first == "Touches volumes 'one', 'snapshot', bytes 0 to 11010047.")
    #expect(details.last?.hasPrefix("On first at byte ") == true)
  }

  @Test func allVolumesThatNameAnExtentAreNamed() throws {
    // Extent 100 is in leaf 1 of the volume and of its snapshot.
    let report = inspect { $0.nodes[5]?.contents = .counts([0: 1, 1: 1]) }
    let finding = try #require(report.findings.first)
    #expect(finding.problem == .countTooLow(stored: 1, recounted: 2))
    #expect(finding.volumes == [VolumeID(1), VolumeID(2)])
    #expect(finding.volumeBytes == 168 << 16..<169 << 16)
  }

  @Test func damageOfOneVolumeNamesNoOther() {
    let report = inspect { $0.nodes[10]?.key = 3 }
    #expect(report.findings.first?.volumes == [VolumeID(2)])
  }

  // MARK: Packed layers

  @Test func packedLayersThatLieOnEachOtherAreFound() {
    let report = inspect {
      guard case .leaf(var entries) = $0.nodes[7]?.contents, var entry = entries[3] else { return }
      entry.upper.address = HandBuiltPool.extent(5).advanced(byBlocks: 2)
      entries[3] = entry
      $0.nodes[7]?.contents = .leaf(entries)
    }
    #expect(report.findings.map(\.problem) == [.packedOverlap])
    #expect(report.findings.first?.volumes == [VolumeID(1), VolumeID(2)])
  }

  @Test func aPackedAndAPlainLayerOnOneExtentAreFound() {
    let report = inspect {
      guard case .leaf(var entries) = $0.nodes[7]?.contents else { return }
      entries[2]?.upper.address = HandBuiltPool.extent(4)
      $0.nodes[7]?.contents = .leaf(entries)
    }
    #expect(report.findings.contains { $0.problem == .extentAtTwoPlaces })
  }

  // MARK: Leaks that cannot be told

  @Test func leaksAreNotClaimedWhenSomethingCannotBeRead() {
    let report = inspect { $0.nodes[8]?.contents = .notWritten }
    #expect(!report.isRecountWhole)
    #expect(!report.findings.contains { $0.problem.code == "count-too-high" })
    #expect(report.findings.last?.problem == .leaksNotJudged)
  }

  // MARK: Devices

  @Test func anOldCopyOfADeviceIsDamageAndOneBehindIsNot() {
    let pool = HandBuiltPool()
    pool.write()
    let sound = pool.devices.map { $0.snapshot() }
    var newer = pool
    newer.alterSuperblock = { $0.sequence = 8 }
    newer.write()
    let old = pool.devices[1].fork()
    old.restore(sound[1])
    let found = PoolInspector.inspect(devices: [pool.devices[0], old]).findings
    #expect(
      found.map(\.problem).contains(
        .memberStale(DeviceIndex(index: 1), sequence: 6, newest: 8)))
    #expect(found.contains { $0.severity == .damage })
  }

  @Test func aMemberThatTheJournalSaysHadTheNewestSuperblockIsAnOldCopy() {
    let pool = HandBuiltPool()
    pool.write()
    pool.writeJournal()
    for offset in FormatConstants.superblockOffsets[0] {
      pool.devices[1].overwrite(
        at: DeviceByteOffset(offset), with: [UInt8](repeating: 0, count: 8192))
    }
    let found = PoolInspector.inspect(devices: pool.devices).findings.map(\.problem)
    #expect(
      found == [
        .memberBehind(DeviceIndex(index: 1), sequence: 5, newest: 6),
        .memberStale(DeviceIndex(index: 1), sequence: 5, newest: 6),
      ])
    #expect(PoolRepair(devices: pool.devices).actions == [])
  }

  @Test func anExpelledMemberAndImpossibleFieldsAreFound() {
    func problems(_ change: @escaping (inout Superblock) -> Void) -> [InspectionProblem] {
      inspect { $0.alterSuperblock = change }.findings.map(\.problem)
    }
    #expect(
      problems { $0.members[1].state = .expelled }
        == [.memberExpelled(DeviceIndex(index: 1))])
    #expect(problems { $0.bounds.dirtyNodeBytes = 1 << 40 } == [.boundsUnusual])
    #expect(problems { $0.fenceEpoch = 1 } == [.unusedField(.fenceEpoch)])
    #expect(problems { $0.checkpointSequence = 1 << 60 } == [.counterUnusual(.checkpoint)])
    #expect(
      problems { $0.members[0].superblockSequence = 9 }
        == [.memberAhead(DeviceIndex(index: 0), sequence: 9)])
    #expect(
      problems {
        $0.applyVersion = 3
        $0.isOpen = true
      } == [.otherApplyVersion(3)])
    let range = SystemRange(firstBlock: 400, blockCount: 1 << 20)
    #expect(
      problems { $0.systemRanges.append(range) }.contains(.systemRangeWrong(range)))
  }

  @Test func aPageInsideTheJournalIsFound() {
    let report = inspect { $0.segmentTableBlock = 260 }
    #expect(report.findings.count == 2)
    #expect(
      report.findings.allSatisfy {
        if case .systemOverlap = $0.problem { true } else { false }
      })
  }

  // MARK: Bounds

  @Test func manyFindingsOfOneKindAreCountedAndNotKept() {
    let report = inspect { pool in
      guard case .leaf(var entries) = pool.nodes[13]?.contents else { return }
      // Every one of them leads out of the pool; so do those of the other leaves.
      for i in 0..<168 {
        entries[i] = MapEntry(
          upper: Layer(
            address: HandBuiltPool.extent(1 << 30 + UInt64(i)), mask: .all, birth: ShareEpoch(2)),
          lower: Layer(
            address: HandBuiltPool.extent(1 << 31 + UInt64(i)), mask: .none, flags: 1,
            birth: ShareEpoch(2)))
      }
      for block in [7, 8, 10, 13] as [UInt64] { pool.nodes[block]?.contents = .leaf(entries) }
    }
    let code = InspectionProblem.addressOutsidePool(.none).code
    let listed = report.findings.count { $0.problem.code == code }
    #expect(listed == InspectionReport.findingsPerCode)
    #expect(report.unlisted[code] == UInt64(4 * 336 - listed))
    #expect(report.count(of: .damage) >= 4 * 336)
  }

  @Test func progressGoesOnToItsTotal() throws {
    let test = try PoolOnDevices(
      segments: [160], shift: 5,
      bounds: PoolBounds(
        nodeCacheBytes: 512 * 4096, dirtyNodeBytes: 300 * 4096, countDeltaBytes: 1 << 20))
    try test.checkpoint()
    let volume = try #require(try test.create("v", sizeBytes: 1 << 42, uuid: 1))
    for i in 0..<150 as Range<UInt64> {
      try test.write(volume, VirtualExtent(index: i * 200_000), .all)
      if i % 20 == 0 { try test.checkpoint() }
    }
    try test.checkpoint()
    var steps: [PoolInspector.Progress] = []
    let report = PoolInspector.inspect(devices: test.devices) { steps.append($0) }
    #expect(report.findings == [])
    #expect(!steps.isEmpty)
    for (before, after) in zip(steps, steps.dropFirst()) { #expect(before.done < after.done) }
    #expect(steps.allSatisfy { $0.done <= $0.total })
  }
}
