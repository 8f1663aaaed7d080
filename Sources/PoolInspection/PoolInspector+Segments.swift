import DiskFormat
import StorageUnits

extension PoolInspector {
  /// Reads every line of the segment table; false if a part is not readable.
  func readSegmentTable(_ superblock: Superblock) -> Bool {
    guard let root = superblock.segmentTable.pointer else {
      find(.segmentTableMissing, at: .pool)
      return false
    }
    var isComplete = true
    readSegmentPage(
      root, level: superblock.segmentTable.level, key: 0, superblock, isComplete: &isComplete)
    if segments.count < Int(superblock.segmentCount) {
      find(.segmentTableMissing, at: .pool)
      isComplete = false
    }
    return isComplete
  }

  private func readSegmentPage(
    _ pointer: SystemPointer, level: UInt8, key: UInt64, _ superblock: Superblock,
    isComplete: inout Bool
  ) {
    let here = InspectionPlace.systemPage(pointer.place)
    let places = [pointer.place] + (pointer.secondPlace.map { [$0] } ?? [])
    for place in places where !isInSystemArea(place, blockCount: 1) {
      find(.outsideSystemArea, at: .systemPage(place))
    }
    let expected = NodeIdentity(
      type: .segmentTable, level: level, key: key, owner: 0, address: .none,
      checksum: pointer.checksum)
    guard
      let buffer = readCopies(
        places, blockCount: 1, for: here,
        check: { (buffer) throws(InspectionRefusal) in
          try expected.check(buffer.node(), superblock)
        })
    else {
      isComplete = false
      return
    }
    if level == 0 {
      readSegmentLines(buffer, key: key, superblock, isComplete: &isComplete)
      return
    }
    let span = TreeShape.segmentSpan(level: level - 1)
    for i in 0..<FormatConstants.systemPointersPerPage {
      let child = key * UInt64(FormatConstants.systemPointersPerPage) + UInt64(i)
      guard child * span < UInt64(superblock.segmentCount) else { break }
      guard let pointer = try? SystemPointer.decode(from: buffer.node(), index: i) else {
        find(.segmentTableMissing, at: here)
        isComplete = false
        return
      }
      readSegmentPage(pointer, level: level - 1, key: child, superblock, isComplete: &isComplete)
    }
  }

  private func readSegmentLines(
    _ buffer: BlockBuffer, key: UInt64, _ superblock: Superblock, isComplete: inout Bool
  ) {
    for i in 0..<FormatConstants.segmentsPerPage {
      let index = key * UInt64(FormatConstants.segmentsPerPage) + UInt64(i)
      guard index < UInt64(superblock.segmentCount), Int(index) == segments.count else { return }
      do throws(FormatError) {
        segments.append(try SegmentEntry.decode(from: buffer.node(), index: i))
      } catch {
        find(.invalid(error), at: .segment(SegmentIndex(index: UInt32(index))))
        isComplete = false
      }
    }
  }

  // MARK: Places

  /// Where the blocks from `address` on lie: one or two places.
  func places(of address: PoolAddress, _ superblock: Superblock) -> [DevicePlace] {
    let entry = segments[Int(address.block >> UInt64(superblock.segmentShift))]
    let within = address.block & (1 << UInt64(superblock.segmentShift) - 1)
    return entry.places.map { $0.advanced(byBlocks: within) }
  }

  func isInSystemArea(_ place: DevicePlace, blockCount: UInt64) -> Bool {
    guard let member = members[place.device] else { return true }
    return member.superblock.systemRanges.contains {
      $0.firstBlock <= place.block
        && place.block + blockCount <= $0.firstBlock + $0.blockCount
    }
  }

  /// Every place lies on a device, aligned, outside the system area, and on no other segment.
  func checkSegmentPlaces(_ superblock: Superblock) {
    let blocks = UInt64(1) << UInt64(superblock.segmentShift)
    var taken: [(place: DevicePlace, segment: SegmentIndex)] = []
    for (i, entry) in segments.enumerated() {
      let index = SegmentIndex(index: UInt32(i))
      for place in entry.places {
        checkPlace(place, of: index, blocks: blocks, superblock)
        taken.append((place, index))
      }
      if entry.places.count == 2 && entry.places[0].device == entry.places[1].device {
        find(.placesOnOneDevice, at: .segment(index))
      }
    }
    taken.sort { ($0.place.device, $0.place.block) < ($1.place.device, $1.place.block) }
    for (before, after) in zip(taken, taken.dropFirst())
    where before.place.device == after.place.device
      && before.place.block + blocks > after.place.block
    {
      find(.segmentsOverlap(with: before.segment), at: .segment(after.segment))
    }
    let lent = segments.count { $0.segmentClass == .lent }
    let used = segments.count { $0.secondPlace != nil }
    if lent != used { find(.lentPlaces(lent: lent, used: used), at: .pool) }
  }

  private func checkPlace(
    _ place: DevicePlace, of index: SegmentIndex, blocks: UInt64, _ superblock: Superblock
  ) {
    guard let member = superblock.members.first(where: { $0.index == place.device }) else {
      find(.segmentOutsideDevice, at: .segment(index))
      return
    }
    if place.block % blocks != 0 { find(.segmentMisaligned, at: .segment(index)) }
    if place.block + blocks > member.sizeBytes >> 12 {
      find(.segmentOutsideDevice, at: .segment(index))
    }
    if place.block < FormatConstants.systemAreaOffset >> 12 {
      find(.segmentInSystemArea, at: .segment(index))
    }
    guard let ranges = members[place.device]?.superblock.systemRanges else { return }
    for range in ranges
    where place.block < range.firstBlock + range.blockCount
      && range.firstBlock < place.block + blocks
    {
      find(.segmentInSystemArea, at: .segment(index))
    }
  }
}

extension SegmentEntry {
  /// None, one or two.
  var places: [DevicePlace] { [place, secondPlace].compactMap { $0 } }
}
