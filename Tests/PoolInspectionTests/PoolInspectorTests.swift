import BlockIO
import DiskFormat
import DiskSimulation
import PoolInspection
import StorageUnits
import Testing

/// Inspects the pool after `change` was made to it.
private func findings(_ change: (inout HandBuiltPool) -> Void) -> [InspectionFinding] {
  var pool = HandBuiltPool()
  change(&pool)
  pool.write()
  return PoolInspector.inspect(devices: pool.devices).findings
}

private func problems(_ change: (inout HandBuiltPool) -> Void) -> [InspectionProblem] {
  findings(change).map(\.problem)
}

@Suite struct PoolInspectorTests {
  @Test func aSoundPoolIsCleanAndCounted() {
    let pool = HandBuiltPool()
    pool.write()
    let report = PoolInspector.inspect(devices: pool.devices)
    #expect(report.findings == [])
    #expect(report.isClean)
    let totals = report.totals
    #expect(totals.volumes == 3)
    #expect(totals.doomedTrees == 1)
    #expect(totals.nodeSegments == 1)
    #expect(totals.dataSegments == 2)
    #expect(totals.lentSegments == 1)
    #expect(totals.freeSegments == 28)
    #expect(totals.usedExtents == 5)
    #expect(totals.freeExtents == 3)
    #expect(totals.usedNodes == 11)
    #expect(totals.freeNodes == 51)
    #expect(report.superblock?.sequence == 6)
  }

  @Test func theOrderOfTheDevicesDoesNotMatter() {
    let pool = HandBuiltPool()
    pool.write()
    #expect(PoolInspector.inspect(devices: pool.devices.reversed()).isClean)
  }

  @Test func anInspectionReadsAndNeverWrites() {
    let pool = HandBuiltPool()
    pool.write()
    _ = PoolInspector.inspect(devices: pool.devices)
    #expect(pool.devices.allSatisfy { $0.counts.writes == 0 && $0.counts.flushes == 0 })
  }

  // MARK: Counts

  @Test func wrongCountsOfExtentsAreFound() {
    #expect(
      problems { $0.nodes[4]?.contents = .counts([0: 1, 1: 2, 2: 1]) }
        == [.countTooHigh(stored: 2, recounted: 1)])
    #expect(
      problems { $0.nodes[5]?.contents = .counts([0: 1, 1: 1]) }
        == [.countTooLow(stored: 1, recounted: 2)])
    #expect(
      problems {
        $0.nodes[4]?.contents = .counts([0: 1, 1: 1, 2: 1, 3: 1])
        $0.segments[1].freeUnits = 0
      } == [.countTooHigh(stored: 1, recounted: 0)])
    #expect(
      problems { $0.nodes[4]?.contents = .counts([0: 0xFF_FFFF, 1: 1, 2: 1]) }
        == [.countSticky(recounted: 1)])
  }

  @Test func wrongCountsOfNodesAreFound() {
    let found = findings { $0.nodeCounts[7] = 1 }
    #expect(found.map(\.problem) == [.countTooLow(stored: 1, recounted: 2)])
    #expect(found.map(\.place) == [.node(PoolAddress(block: 7))])
    #expect(found.map(\.severity) == [.damage])
    #expect(
      problems {
        $0.nodeCounts[20] = 1
        $0.segments[0].freeUnits = 50
      } == [.countTooHigh(stored: 1, recounted: 0)])
  }

  @Test func aFreeUnitsFieldThatIsOffIsANotice() {
    let found = findings { $0.segments[25].freeUnits = 4 }
    #expect(found.map(\.problem) == [.freeUnits(stored: 4, recounted: 2)])
    #expect(found.map(\.severity) == [.notice])
  }

  // MARK: Volumes

  @Test func wrongStatisticsAndPlacesOfVolumesAreFound() {
    let found = findings {
      $0.volumes[0].allocatedExtents = 6
      $0.volumes[1].mappedBlocks = 1
    }
    #expect(
      found.map(\.problem) == [
        .allocatedExtents(stored: 6, recounted: 5), .mappedBlocks(stored: 1, recounted: 29),
      ])
    #expect(found.map(\.volumes) == [[VolumeID(1)], [VolumeID(2)]])
    #expect(problems { $0.volumes[2].name = "one" } == [.volumeNameTwice(VolumeID(1))])
    #expect(problems { $0.volumes[2].isReceiving = true } == [.receiveUnfinished])
    let base = StorageUUID(high: 2, low: 2)
    let receiveUpon = { (pool: inout HandBuiltPool) in
      pool.volumes[0].isReceiving = true
      pool.volumes[0].lineage = base
    }
    #expect(problems(receiveUpon) == [.receiveUnfinished, .receiveBaseMissing(base)])
    #expect(
      problems {
        receiveUpon(&$0)
        $0.volumes[1].origin = VolumeID(1)
      } == [.receiveUnfinished])
    #expect(
      problems { $0.volumes[2].uuid = $0.volumes[0].uuid } == [.volumeUUIDTwice(VolumeID(1))])
    #expect(problems { $0.volumes[2].id = VolumeID(2) }.contains(.volumeInWrongSlot))
    #expect(
      problems { $0.alterSuperblock = { $0.nextVolumeID = 3 } } == [
        .volumeNotBelowNextID(next: 3), .familyUnknown(5),
      ])
    #expect(problems { $0.volumes[2].shareEpoch = ShareEpoch(4) }.count == 1)
  }

  @Test func holdsThatAreNotWhatVolumesSayAreFound() {
    #expect(problems { $0.volumes[1].holds = 2 } == [.holdCount(stored: 2, found: 0)])
  }

  @Test func theTrashIsJudged() {
    func trash(_ volume: inout VolumeRecord) {
      volume.isInTrash = true
      volume.trashedAt = 5
    }
    #expect(problems { trash(&$0.volumes[2]) }.isEmpty)
    #expect(
      problems {
        trash(&$0.volumes[2])
        $0.volumes[2].name = "one"
      }.isEmpty, "its name is free")
    #expect(
      problems {
        trash(&$0.volumes[2])
        $0.volumes[2].holds = 1
      } == [.trashedWhileHeld, .holdCount(stored: 1, found: 0)])
  }

  @Test func whatLiesBeyondTheEndOfAVolumeIsFound() {
    let end = 168 * 65536 as UInt64
    #expect(problems { $0.volumes[0].sizeBytes = end + 8 * 4096 }.isEmpty)
    #expect(problems { $0.volumes[0].sizeBytes = end + 8 * 4096 - 512 }.isEmpty)
    #expect(problems { $0.volumes[0].sizeBytes = end + 7 * 4096 } == [.mappedBeyondEnd])
    #expect(problems { $0.volumes[1].sizeBytes = end } == [.mappedBeyondEnd])
    #expect(
      problems { $0.volumes[0].sizeBytes = 1 << 40 } == [.rootTooLow(level: 1, needed: 3)])
  }

  // MARK: Nodes

  @Test func headersThatDoNotFitTheirPlaceAreFound() {
    #expect(problems { $0.nodes[13]?.key = 2 }.first == .header(.key))
    #expect(problems { $0.nodes[13]?.owner = 6 }.first == .header(.owner))
    #expect(problems { $0.nodes[13]?.level = 1 }.first == .header(.level))
    #expect(problems { $0.nodes[13]?.checkpoint = 10 }.first == .header(.checkpoint))
    #expect(problems { $0.nodes[4]?.key = 2 } == [.header(.key)])
    #expect(problems { $0.nodes[3]?.type = .catalogue }.first == .header(.type))
  }

  @Test func aNodeThatWasOverwrittenByAnotherIsFound() {
    let pool = HandBuiltPool()
    pool.write()
    let other = pool.devices[0].contents(
      at: pool.places(ofBlock: 10)[0].byteOffset, count: 4096)
    for place in pool.places(ofBlock: 8) { pool.put(other, at: place) }
    let found = PoolInspector.inspect(devices: pool.devices).findings
    #expect(found.first?.problem == .header(.address))
    #expect(found.first?.place == .node(PoolAddress(block: 8)))
    #expect(found.first?.volumes == [VolumeID(1)])
  }

  @Test func rotInOneOfTwoPlacesIsANoticeAndInBothDamage() {
    let pool = HandBuiltPool()
    pool.write()
    let places = pool.places(ofBlock: 7)
    for (i, place) in places.enumerated() {
      pool.devices[Int(place.device.index)].rot(
        at: DeviceByteOffset(place.byteOffset.bytes + 100), bit: 3)
      let report = PoolInspector.inspect(devices: pool.devices)
      #expect(report.severity == (i == 0 ? .notice : .damage))
      #expect(
        report.findings.first?.problem == (i == 0 ? .copiesDiffer : .invalid(.badChecksum(.node))))
      #expect(report.findings.first?.place == .node(PoolAddress(block: 7)))
    }
  }

  @Test func pointersThatLeadAstrayAreFound() {
    func child(_ block: UInt64) -> [InspectionProblem] {
      let children: [Int: (block: UInt64, birth: UInt32)] = [0: (12, 2), 1: (block, 2)]
      return problems { $0.nodes[11]?.contents = .inner(children) }
    }
    #expect(child(1).first == .inCountImage(PoolAddress(block: 1)))
    #expect(child(70).first == .wrongClass(PoolAddress(block: 70), .data))
    #expect(child(200).first == .wrongClass(PoolAddress(block: 200), .free))
    #expect(child(1 << 30).first == .addressOutsidePool(PoolAddress(block: 1 << 30)))
    #expect(child(8).first == .nodeAtTwoPlaces)
    #expect(child(7).contains(.nodeAtTwoPlaces))
  }

  @Test func layersThatLeadAstrayAreFound() {
    func layer(_ extent: UInt64) -> [InspectionProblem] {
      problems {
        $0.nodes[13]?.contents = .leaf([
          2: MapEntry(
            upper: Layer(
              address: HandBuiltPool.extent(extent), mask: .all, birth: ShareEpoch(2)),
            lower: .none)
        ])
      }
    }
    let freed: [InspectionProblem] = [.countTooHigh(stored: 1, recounted: 0)]
    #expect(
      layer(1) == [.wrongClass(HandBuiltPool.extent(1), .node)] + freed)
    #expect(layer(12) == [.wrongClass(HandBuiltPool.extent(12), .free)] + freed)
    #expect(layer(500) == [.addressOutsidePool(HandBuiltPool.extent(500))] + freed)
    #expect(layer(4).contains(.extentAtTwoPlaces))
  }

  // MARK: Births

  @Test func birthsInTheFutureAreFound() {
    #expect(problems { $0.shareEpoch = ShareEpoch(3) }.contains(.birthInFuture(ShareEpoch(4))))
  }

  @Test func aWritableLayerThatIsSharedIsFound() {
    // The snapshot and the volume name extent 100; its birth in the volume's leaf says that the
    // volume may write into it.
    let found = problems {
      guard case .leaf(let entries) = $0.nodes[8]?.contents, var entry = entries[0] else { return }
      entry.lower.birth = ShareEpoch(4)
      $0.nodes[8]?.contents = .leaf([0: entry])
    }
    #expect(found == [.writableButShared])
  }

  @Test func aWritableNodeThatIsSharedIsFound() {
    let found = problems { $0.nodes[6]?.contents = .inner([0: (7, 4), 1: (8, 4)]) }
    #expect(found.contains(.writableButShared))
  }

  @Test func somethingYoungBelowASharedPointerIsFound() {
    let found = problems { $0.nodes[6]?.contents = .inner([0: (7, 1), 1: (8, 2)]) }
    #expect(found == [.privateBelowShared(birth: ShareEpoch(4), shareEpoch: ShareEpoch(3))])
  }

  @Test func oneExtentForTwoVirtualOnesIsFound() {
    let found = problems {
      guard case .leaf(var entries) = $0.nodes[7]?.contents else { return }
      entries[9] = entries[0]
      $0.nodes[7]?.contents = .leaf(entries)
    }
    #expect(found.contains(.extentAtTwoPlaces))
  }

  // MARK: Doomed list

  @Test func theCursorOfADoomedTreeSaysWhatStillCounts() {
    // Nothing dropped yet: the first leaf would have to be there.
    let whole = problems { $0.doomed[0]?.cursorEnd = VirtualExtent(index: 0) }
    #expect(whole.contains(.invalid(.badMagic(.node))))
    // Both leaves dropped: what the second one counts is a leak.
    let found = problems { $0.doomed[0]?.cursorEnd = VirtualExtent(index: 336) }
    #expect(
      found == [
        .countTooHigh(stored: 1, recounted: 0), .countTooHigh(stored: 1, recounted: 0),
      ])
    let nothing = problems {
      $0.doomed[0]?.cursorEnd = VirtualExtent(index: 168 * 252)
      $0.doomed[0]?.cursorLevel = 1
    }
    #expect(nothing.contains(.doomedAlreadyDropped))
  }

  @Test func doomedEntriesThatCannotBeAreFound() {
    #expect(problems { $0.doomed[0]?.id = RecordNumber(21) } == [.doomedInFuture])
    #expect(
      problems {
        $0.doomed[1] = $0.doomed[0]
        $0.doomed[0] = nil
      } == [.doomedListGap])
    #expect(problems { $0.doomed[1] = $0.doomed[0] }.contains(.doomedTwice))
  }

  @Test func aSharedNodeWhoseChildrenWereDroppedIsFound() {
    let found = problems {
      $0.doomed[1] = $0.doomed[0]
      $0.doomed[1]?.id = RecordNumber(8)
      $0.doomed[1]?.cursorEnd = VirtualExtent(index: 0)
    }
    #expect(found.contains(.sharedWhileDropped))
  }
}
