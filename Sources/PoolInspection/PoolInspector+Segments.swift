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
    pages[SegmentPage(level: level, key: key)] = pointer
    let expected = NodeIdentity(
      type: .segmentTable, level: level, key: key, owner: 0, address: .none,
      checksum: pointer.checksum)
    guard
      let buffer = readCopies(
        pointer.places, blockCount: 1, for: here,
        check: { (buffer) throws(InspectionRefusal) in
          try expected.check(buffer.node(), superblock)
        })
    else {
      isComplete = false
      return
    }
    if level == 0 {
      readSegmentLines(buffer, key: key, of: pointer.place, superblock, isComplete: &isComplete)
      return
    }
    let span = TreeShape.segmentSpan(level: level - 1)
    for i in 0..<FormatConstants.systemPointersPerPage {
      let child = key * UInt64(FormatConstants.systemPointersPerPage) + UInt64(i)
      guard child * span < UInt64(superblock.segmentCount) else {
        // A pointer in use has a place.
        let at = FormatConstants.nodeHeaderBytes + i * FormatConstants.systemPointerBytes
        if buffer.node().load64(at) != 0 { find(.segmentTableTooLong, at: here) }
        continue
      }
      guard let pointer = try? SystemPointer.decode(from: buffer.node(), index: i) else {
        find(.segmentTableMissing, at: here)
        isComplete = false
        return
      }
      readSegmentPage(pointer, level: level - 1, key: child, superblock, isComplete: &isComplete)
    }
  }

  private func readSegmentLines(
    _ buffer: BlockBuffer, key: UInt64, of page: DevicePlace, _ superblock: Superblock,
    isComplete: inout Bool
  ) {
    for i in 0..<FormatConstants.segmentsPerPage {
      let index = key * UInt64(FormatConstants.segmentsPerPage) + UInt64(i)
      guard index < UInt64(superblock.segmentCount), Int(index) == segments.count else {
        let at = FormatConstants.nodeHeaderBytes + i * FormatConstants.segmentEntryBytes
        // A line in use has a class or a place; only a lent one has no place.
        let isUsed = buffer.node().load64(at) != 0 || buffer.node().load8(at + 16) != 0
        if isUsed { find(.segmentTableTooLong, at: .systemPage(page)) }
        return
      }
      do throws(FormatError) {
        segments.append(try SegmentEntry.decode(from: buffer.node(), index: i))
      } catch {
        find(.invalid(error), at: .segment(SegmentIndex(index: UInt32(index))))
        isComplete = false
      }
    }
  }

  // MARK: System area

  /// Pages and journals lie inside the system area, and not on each other.
  func checkSystemArea(_ superblock: Superblock) {
    var parts: [(place: DevicePlace, blockCount: UInt64)] = []
    for stream in superblock.streams {
      let places = [stream.place, stream.secondPlace].compactMap { $0 }
      parts += places.map { ($0, UInt64(stream.blockCount)) }
      if places.count == 2 && places[0].device == places[1].device {
        find(.placesOnOneDevice, at: .journalBlock(sequence: stream.firstSequence))
      }
    }
    for pointer in pages.values { parts += pointer.places.map { ($0, 1) } }
    parts.sort { ($0.place.device, $0.place.block) < ($1.place.device, $1.place.block) }
    for part in parts where !isInSystemArea(part.place, blockCount: part.blockCount) {
      find(
        .outsideSystemArea, at: .systemPage(part.place),
        locations: location(part.place).map { [$0] } ?? [])
    }
    for (before, after) in zip(parts, parts.dropFirst())
    where before.place.device == after.place.device
      && before.place.block + before.blockCount > after.place.block
    {
      find(
        .systemOverlap(with: before.place), at: .systemPage(after.place),
        locations: location(after.place).map { [$0] } ?? [])
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
    // Of a device that was not given nothing is known; one that is no member has no system area.
    guard let member = members[place.device] else {
      return report.superblock?.members.contains { $0.index == place.device } ?? false
    }
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
    if let first = segments.first, first.segmentClass != .node {
      find(.segmentZeroClass(first.segmentClass), at: .segment(SegmentIndex(index: 0)))
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

extension SystemPointer {
  /// One or two.
  var places: [DevicePlace] { [place, secondPlace].compactMap { $0 } }
}

extension SegmentEntry {
  /// None, one or two.
  var places: [DevicePlace] { [place, secondPlace].compactMap { $0 } }
}
