import DiskFormat
import StorageUnits

// The recount against the count pages of data segments and the count images of node segments.
extension PoolInspector {
  func compareCounts(_ superblock: Superblock) {
    let pages = readCountPages(superblock)
    let shift = UInt64(superblock.segmentShift)
    let extentsPerSegment = UInt64(1) << (shift - 4)
    for (i, entry) in segments.enumerated() {
      let index = SegmentIndex(index: UInt32(i))
      switch entry.segmentClass {
      case .free: report.totals.freeSegments += 1
      case .lent: report.totals.lentSegments += 1
      case .data:
        report.totals.dataSegments += 1
        compareExtents(
          of: index, entry, page: pages[i], from: UInt64(i) * extentsPerSegment,
          count: extentsPerSegment)
      case .node:
        report.totals.nodeSegments += 1
        compareNodes(of: index, entry, superblock)
      }
    }
  }

  /// Reads the count pages; the segment table names them. A page that cannot be read is absent.
  private func readCountPages(_ superblock: Superblock) -> [Int: BlockBuffer] {
    var pages: [Int: BlockBuffer] = [:]
    for (i, entry) in segments.enumerated()
    where entry.segmentClass == .data && !entry.countPage.isNone {
      let identity = NodeIdentity(
        type: .countPage, level: 0, key: UInt64(i), owner: 0, address: entry.countPage,
        checksum: entry.countChecksum)
      pages[i] =
        name(
          identity, superblock, at: .segment(SegmentIndex(index: UInt32(i))), volumes: []
        ).buffer
    }
    return pages
  }

  private func compareExtents(
    of segment: SegmentIndex, _ entry: SegmentEntry, page: BlockBuffer?, from first: UInt64,
    count: UInt64
  ) {
    // Without a page every count is zero; one that could not be read was reported.
    let isReadable = page != nil || entry.countPage.isNone
    var free: UInt32 = 0
    for i in 0..<count {
      let extent = PoolExtent(index: first + i)
      let recounted = extentNames[extent.index] ?? 0
      let stored = page?.node().count(Int(i)) ?? 0
      if recounted > 0 { report.totals.usedExtents += 1 } else { report.totals.freeExtents += 1 }
      // Extent 0 holds address 0, which is never given out.
      if stored == 0 && extent.index != 0 { free += 1 }
      if isReadable { compare(stored: stored, recounted: recounted, at: .extent(extent)) }
    }
    if isReadable && entry.freeUnits != free {
      find(.freeUnits(stored: entry.freeUnits, recounted: free), at: .segment(segment))
    }
  }

  private func compareNodes(
    of segment: SegmentIndex, _ entry: SegmentEntry, _ superblock: Superblock
  ) {
    let layout = NodeSegmentLayout(segmentShift: superblock.segmentShift)
    let image = Int(entry.currentImage)
    let start = layout.address(ofImage: image, segment: segment)
    let buffer = readCopies(
      places(of: start, superblock), blockCount: layout.pagesPerImage, for: .segment(segment),
      check: { (buffer) throws(InspectionRefusal) in
        try InspectionRefusal.checking { () throws(FormatError) in
          try buffer.countImage(layout).open(
            segment: segment, image: image, pool: superblock.poolUUID.high,
            checksum: entry.countChecksum)
        }
      })
    let first = UInt64(segment.index) << UInt64(superblock.segmentShift)
    var free: UInt32 = 0
    for block in layout.firstUsableBlock..<layout.blocks {
      let address = PoolAddress(block: first + UInt64(block))
      let recounted = nodes[address.block]?.names ?? 0
      if recounted > 0 { report.totals.usedNodes += 1 } else { report.totals.freeNodes += 1 }
      guard let stored = buffer?.countImage(layout).count(ofBlock: block) else { continue }
      if stored == 0 { free += 1 }
      compare(stored: stored, recounted: recounted, at: .node(address))
    }
    if buffer != nil && entry.freeUnits != free {
      find(.freeUnits(stored: entry.freeUnits, recounted: free), at: .segment(segment))
    }
  }

  private func compare(stored: UInt32, recounted: UInt32, at here: InspectionPlace) {
    if stored == FormatConstants.stickyCount {
      find(.countSticky(recounted: recounted), at: here)
    } else if stored < recounted {
      find(.countTooLow(stored: stored, recounted: recounted), at: here)
    } else if stored > recounted {
      find(.countTooHigh(stored: stored, recounted: recounted), at: here)
    }
  }
}
