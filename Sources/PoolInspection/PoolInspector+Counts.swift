import DiskFormat
import StorageUnits

// The recount against the count pages of data segments and the count images of node segments.
extension PoolInspector {
  func compareCounts(_ superblock: Superblock) {
    // A count page is named by the segment table, and counted itself: all of them come first.
    var extentFindings: [PendingCount] = []
    let shift = UInt64(superblock.segmentShift)
    let extentsPerSegment = UInt64(1) << (shift - 4)
    for (i, entry) in segments.enumerated() {
      switch entry.segmentClass {
      case .free, .lent:
        if entry.segmentClass == .free { report.totals.freeSegments += 1 }
        if entry.segmentClass == .lent { report.totals.lentSegments += 1 }
        if entry.freeUnits != 0 {
          find(
            .freeUnits(stored: entry.freeUnits, recounted: 0),
            at: .segment(SegmentIndex(index: UInt32(i))))
        }
      case .node: report.totals.nodeSegments += 1
      case .data:
        report.totals.dataSegments += 1
        compareExtents(
          of: i, entry, count: extentsPerSegment, superblock, &extentFindings)
      }
    }
    for (i, entry) in segments.enumerated() where entry.segmentClass == .node {
      compareNodes(of: SegmentIndex(index: UInt32(i)), entry, superblock, &extentFindings)
    }
    report(extentFindings)
  }

  /// A count that differs. Whether one that is too high is a leak can be said only when everything
  /// that names space was read.
  private struct PendingCount {
    var stored: UInt32
    var recounted: UInt32
    var place: InspectionPlace
  }

  private func report(_ pending: [PendingCount]) {
    var isJudged = true
    for count in pending {
      if count.stored == FormatConstants.stickyCount {
        find(.countSticky(recounted: count.recounted), at: count.place)
      } else if count.stored < count.recounted {
        find(
          .countTooLow(stored: count.stored, recounted: count.recounted), at: count.place)
      } else if report.isRecountWhole {
        find(
          .countTooHigh(stored: count.stored, recounted: count.recounted), at: count.place)
      } else {
        isJudged = false
      }
    }
    if !isJudged { find(.leaksNotJudged, at: .pool) }
  }

  private func compare(
    stored: UInt32, recounted: UInt32, at place: InspectionPlace,
    _ pending: inout [PendingCount]
  ) {
    guard stored != recounted else { return }
    // More than are listed of each of three codes are told apart by nobody.
    if pending.count < 3 * InspectionReport.findingsPerCode + 1 {
      pending.append(PendingCount(stored: stored, recounted: recounted, place: place))
    } else {
      report.unlisted[Self.code(stored, recounted, report.isRecountWhole), default: 0] += 1
    }
  }

  private static func code(_ stored: UInt32, _ recounted: UInt32, _ isWhole: Bool) -> String {
    if stored == FormatConstants.stickyCount {
      return InspectionProblem.countSticky(recounted: recounted).code
    }
    if stored < recounted {
      return InspectionProblem.countTooLow(stored: stored, recounted: recounted).code
    }
    return
      (isWhole
      ? InspectionProblem.countTooHigh(stored: stored, recounted: recounted) : .leaksNotJudged).code
  }

  /// Reads the count page of a data segment; the segment table names it. Nil: none, or it cannot be
  /// read, which was reported then.
  private func readCountPage(
    of segment: Int, _ entry: SegmentEntry, _ superblock: Superblock
  ) -> BlockBuffer? {
    guard !entry.countPage.isNone else { return nil }
    let identity = NodeIdentity(
      type: .countPage, level: 0, key: UInt64(segment), owner: 0, address: entry.countPage,
      checksum: entry.countChecksum)
    return name(
      identity, superblock, at: .segment(SegmentIndex(index: UInt32(segment))), volumes: []
    ).buffer
  }

  private func compareExtents(
    of segment: Int, _ entry: SegmentEntry, count: UInt64, _ superblock: Superblock,
    _ pending: inout [PendingCount]
  ) {
    let page = readCountPage(of: segment, entry, superblock)
    let first = UInt64(segment) * count
    // Without a page every count is zero; one that could not be read was reported.
    let isReadable = page != nil || entry.countPage.isNone
    var free: UInt32 = 0
    for i in 0..<count {
      let extent = PoolExtent(index: first + i)
      let recounted = extents.names(of: extent.index)
      let stored = page?.node().count(Int(i)) ?? 0
      if recounted > 0 { report.totals.usedExtents += 1 } else { report.totals.freeExtents += 1 }
      // Extent 0 holds address 0, which is never given out.
      if stored == 0 && extent.index != 0 { free += 1 }
      if isReadable {
        compare(stored: stored, recounted: recounted, at: .extent(extent), &pending)
      }
    }
    guard isReadable else { return }
    // A small segment's page has counts that stand for nothing.
    for i in Int(count)..<FormatConstants.countsPerPage {
      guard let stored = page?.node().count(i), stored != 0 else { continue }
      compare(
        stored: stored, recounted: 0, at: .segment(SegmentIndex(index: UInt32(segment))),
        &pending)
    }
    if entry.freeUnits != free {
      find(
        .freeUnits(stored: entry.freeUnits, recounted: free),
        at: .segment(SegmentIndex(index: UInt32(segment))))
    }
  }

  private func compareNodes(
    of segment: SegmentIndex, _ entry: SegmentEntry, _ superblock: Superblock,
    _ pending: inout [PendingCount]
  ) {
    let layout = NodeSegmentLayout(segmentShift: superblock.segmentShift)
    let buffer =
      countImages.removeValue(forKey: segment) ?? readCountImage(of: segment, entry, superblock)
    let first = UInt64(segment.index) << UInt64(superblock.segmentShift)
    var free: UInt32 = 0
    for block in layout.firstUsableBlock..<layout.blocks {
      let address = PoolAddress(block: first + UInt64(block))
      let recounted = nodes[address.block]?.names ?? 0
      if recounted > 0 { report.totals.usedNodes += 1 } else { report.totals.freeNodes += 1 }
      guard let stored = buffer?.countImage(layout).count(ofBlock: block) else { continue }
      if stored == 0 { free += 1 }
      compare(stored: stored, recounted: recounted, at: .node(address), &pending)
    }
    if buffer != nil && entry.freeUnits != free {
      find(.freeUnits(stored: entry.freeUnits, recounted: free), at: .segment(segment))
    }
  }

  func readCountImage(
    of segment: SegmentIndex, _ entry: SegmentEntry, _ superblock: Superblock
  ) -> BlockBuffer? {
    let layout = NodeSegmentLayout(segmentShift: superblock.segmentShift)
    let image = Int(entry.currentImage)
    let start = layout.address(ofImage: image, segment: segment)
    let buffer = readCopies(
      places(of: start, superblock), blockCount: layout.pagesPerImage, for: .segment(segment),
      check: { (buffer) throws(InspectionRefusal) in
        try checkImage(buffer, segment, image, entry, superblock)
      })
    if buffer == nil { damagedImages.insert(segment) }
    return buffer
  }

  func checkImage(
    _ buffer: BlockBuffer, _ segment: SegmentIndex, _ image: Int, _ entry: SegmentEntry,
    _ superblock: Superblock
  ) throws(InspectionRefusal) {
    let layout = NodeSegmentLayout(segmentShift: superblock.segmentShift)
    try InspectionRefusal.checking { () throws(FormatError) in
      try buffer.countImage(layout).open(
        segment: segment, image: image, pool: superblock.poolUUID.high,
        checksum: entry.countChecksum)
      for page in 0..<layout.pagesPerImage {
        // A page that a later checkpoint wrote cannot be part of this image.
        let header = try buffer.countImage(layout).page(page).open()
        guard header.checkpoint <= superblock.checkpointSequence else {
          throw FormatError.badField(.node, "checkpoint")
        }
      }
    }
  }

  // MARK: Reserves

  /// The next checkpoint must find blocks for a count page of each data segment, and for the whole
  /// catalogue and doomed list (as if every volume were deleted), or the pool cannot go on. And
  /// what volumes are guaranteed must exist.
  func checkReserves(_ superblock: Superblock) {
    let layout = NodeSegmentLayout(segmentShift: superblock.segmentShift)
    let ownNodes = nodes.values.count {
      [.catalogue, .doomed, .versionTree, .bookmarks, .holds, .owed].contains($0.identity.type)
    }
    let doomedLeaves =
      (report.totals.doomedTrees + report.totals.volumes) / FormatConstants.doomedPerLeaf + 1
    let needed = UInt64(report.totals.dataSegments + ownNodes + doomedLeaves)
    let available =
      report.totals.freeNodes + UInt64(report.totals.freeSegments * layout.usableBlocks)
    if available < needed { find(.reserveLow(needed: needed, available: available), at: .pool) }
    var promised: UInt64 = 0
    for volume in volumes {
      promised =
        promised.addingReportingOverflow(volume.guaranteeBytes).overflow
        ? .max : promised + volume.guaranteeBytes
    }
    if promised > UInt64(superblock.segmentCount) << (UInt64(superblock.segmentShift) + 12) {
      find(.guaranteesTooLarge(bytes: promised), at: .pool)
    }
  }
}
