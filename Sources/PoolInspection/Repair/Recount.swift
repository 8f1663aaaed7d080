import BlockIO
import DiskFormat
import StorageUnits

/// The counts of a pool as they are to be, and their way to the devices.
final class Recount {
  private let inspector: PoolInspector
  private let superblock: Superblock
  private let layout: NodeSegmentLayout
  private let mayLower: Bool
  /// Data segments whose page changes.
  private var pages: [Int: [UInt32]] = [:]
  /// Node segments: the counts of all their blocks, as they are to be and as they are.
  private var images: [Int: [UInt32]] = [:]
  private var changedImages: Set<Int> = []
  private(set) var raised: UInt64 = 0
  private(set) var lowered: UInt64 = 0

  var isNeeded: Bool { !pages.isEmpty || !changedImages.isEmpty }

  init(_ inspector: PoolInspector, _ superblock: Superblock, mayLower: Bool) {
    self.inspector = inspector
    self.superblock = superblock
    self.mayLower = mayLower
    layout = NodeSegmentLayout(segmentShift: superblock.segmentShift)
    // A sound pool is not read again.
    guard inspector.report.findings.contains(where: { Self.isOfCounts($0, inspector) }) else {
      return
    }
    for (i, entry) in inspector.segments.enumerated() {
      switch entry.segmentClass {
      case .data: compareExtents(i, entry)
      case .node: compareNodes(i, entry)
      case .free, .lent: break
      }
    }
  }

  private static func isOfCounts(
    _ finding: InspectionFinding, _ inspector: PoolInspector
  ) -> Bool {
    switch finding.problem {
    case .countTooLow, .countTooHigh, .countSticky: true
    default: finding.severity == .damage && inspector.isOfCounts(finding.place)
    }
  }

  /// What a count becomes; nil: it is not known what it was.
  private func target(stored: UInt32?, recounted: UInt32) -> UInt32 {
    guard let stored, !mayLower else { return recounted }
    return max(stored, recounted)
  }

  private func note(stored: UInt32?, target: UInt32) {
    if target > stored ?? 0 { raised += 1 }
    if target < stored ?? 0 { lowered += 1 }
  }

  private func compareExtents(_ segment: Int, _ entry: SegmentEntry) {
    let page = readPage(segment, entry)
    // Lost, and what names its extents is not wholly known: it stays lost.
    if page == nil && !entry.countPage.isNone && !mayLower { return }
    let count = layout.blocks / StorageSizes.blocksPerExtent
    var counts: [UInt32] = []
    var isChanged = page == nil && !entry.countPage.isNone
    for i in 0..<count {
      let recounted = inspector.extents.names(of: UInt64(segment * count + i))
      let stored = page?.node().count(i) ?? (entry.countPage.isNone ? 0 : nil)
      let target = target(stored: stored, recounted: recounted)
      if stored != target {
        isChanged = true
        note(stored: stored, target: target)
      }
      counts.append(target)
    }
    for i in count..<FormatConstants.countsPerPage where page?.node().count(i) ?? 0 != 0 {
      isChanged = true
      lowered += 1
    }
    if isChanged { pages[segment] = counts }
  }

  private func compareNodes(_ segment: Int, _ entry: SegmentEntry) {
    let image = inspector.readCountImageQuietly(
      of: SegmentIndex(index: UInt32(segment)), entry, superblock)
    if image == nil && !mayLower { return }
    var counts = [UInt32](repeating: 0, count: layout.blocks)
    if image == nil { changedImages.insert(segment) }
    let first = UInt64(segment) << UInt64(superblock.segmentShift)
    for block in layout.firstUsableBlock..<layout.blocks {
      let recounted = inspector.nodes[first + UInt64(block)]?.names ?? 0
      let stored = image?.countImage(layout).count(ofBlock: block)
      counts[block] = target(stored: stored, recounted: recounted)
      if stored != counts[block] {
        changedImages.insert(segment)
        note(stored: stored, target: counts[block])
      }
    }
    images[segment] = counts
  }

  private func readPage(_ segment: Int, _ entry: SegmentEntry) -> BlockBuffer? {
    guard !entry.countPage.isNone, inspector.nodes[entry.countPage.block] != nil else {
      return nil
    }
    let identity = NodeIdentity(
      type: .countPage, level: 0, key: UInt64(segment), owner: 0, address: entry.countPage,
      checksum: entry.countChecksum)
    return inspector.readQuietly(
      inspector.places(of: entry.countPage, superblock), blockCount: 1
    ) { (buffer) throws(InspectionRefusal) in
      try identity.check(buffer.node(), self.superblock)
    }
  }

  // MARK: Writing

  /// Writes the counts to free places and names them in `next`, whose superblock sequence is raised
  /// already. Durable after a barrier; nothing names them until `next` is written.
  func write(into next: inout Superblock) throws(RepairError) {
    next.checkpointSequence += 1
    var entries = inspector.segments
    try writePages(&entries, checkpoint: next.checkpointSequence)
    for segment in changedImages.sorted() {
      try writeImage(of: segment, &entries[segment], checkpoint: next.checkpointSequence)
    }
    var changed = Set(pages.keys).union(changedImages)
    // A hint that is off costs nothing to set right.
    for segment in images.keys where entries[segment].freeUnits != freeUnits(segment) {
      entries[segment].freeUnits = freeUnits(segment)
      changed.insert(segment)
    }
    var table = SegmentTableWriting(inspector, superblock, checkpoint: next.checkpointSequence)
    next.segmentTable = try table.write(entries, changed: changed)
  }

  private func freeUnits(_ segment: Int) -> UInt32 {
    let counts = images[segment] ?? []
    return UInt32(counts[layout.firstUsableBlock...].count { $0 == 0 })
  }

  /// Count pages go to blocks that are free in the image and by the recount.
  private func writePages(
    _ entries: inout [SegmentEntry], checkpoint: UInt64
  ) throws(RepairError) {
    for segment in pages.keys.sorted() {
      let old = entries[segment].countPage
      let counts = pages[segment] ?? []
      if counts.allSatisfy({ $0 == 0 }) {
        entries[segment].countPage = .none
        entries[segment].countChecksum = 0
      } else {
        guard let address = takeNode() else { throw .noSpace }
        let buffer = BlockBuffer(blockCount: 1)
        for (i, count) in counts.enumerated() { buffer.node().setCount(count, i) }
        entries[segment].countChecksum = buffer.node().seal(
          NodeHeader(
            type: .countPage, level: 0, pool: superblock.poolUUID.high, owner: 0,
            key: UInt64(segment), address: address, checkpoint: checkpoint, birth: .zero))
        entries[segment].countPage = address
        try inspector.write(buffer, to: inspector.places(of: address, superblock))
      }
      release(old)
      let first = segment == 0 ? 1 : 0
      entries[segment].freeUnits = UInt32(counts[first...].count { $0 == 0 })
    }
  }

  private func takeNode() -> PoolAddress? {
    for segment in images.keys.sorted() {
      guard let counts = images[segment] else { continue }
      let first = UInt64(segment) << UInt64(superblock.segmentShift)
      // What was released above must stay as it is until the new superblock is durable.
      for block in layout.firstUsableBlock..<layout.blocks
      where counts[block] == 0 && inspector.nodes[first + UInt64(block)] == nil
        && !isStored(segment, block)
      {
        images[segment]?[block] = 1
        changedImages.insert(segment)
        return PoolAddress(block: first + UInt64(block))
      }
    }
    return nil
  }

  /// Whether the image that is to be replaced counts the block: a leak is used again only when the
  /// image that gives it back is durable.
  private func isStored(_ segment: Int, _ block: Int) -> Bool {
    let entry = inspector.segments[segment]
    if storedImages[segment] == nil {
      storedImages[segment] = inspector.readCountImageQuietly(
        of: SegmentIndex(index: UInt32(segment)), entry, superblock)
    }
    guard let image = storedImages[segment] ?? nil else {
      return !inspector.damagedImages.contains(SegmentIndex(index: UInt32(segment)))
    }
    return image.countImage(layout).count(ofBlock: block) != 0
  }
  private var storedImages: [Int: BlockBuffer?] = [:]

  private func release(_ address: PoolAddress) {
    guard !address.isNone else { return }
    let segment = Int(address.block >> UInt64(superblock.segmentShift))
    let block = Int(address.block) & (layout.blocks - 1)
    guard let count = images[segment]?[block], count > 0 else { return }
    images[segment]?[block] = count - 1
    changedImages.insert(segment)
  }

  /// The image that is not current, whole.
  private func writeImage(
    of segment: Int, _ entry: inout SegmentEntry, checkpoint: UInt64
  ) throws(RepairError) {
    let counts = images[segment] ?? []
    let buffer = BlockBuffer(blockCount: layout.pagesPerImage)
    let image = buffer.countImage(layout)
    for block in layout.firstUsableBlock..<layout.blocks {
      image.setCount(counts[block], ofBlock: block)
    }
    let other = 1 - Int(entry.currentImage)
    let index = SegmentIndex(index: UInt32(segment))
    entry.countChecksum = image.seal(
      segment: index, image: other, pool: superblock.poolUUID.high, checkpoint: checkpoint)
    entry.currentImage = UInt8(other)
    entry.freeUnits = freeUnits(segment)
    let start = layout.address(ofImage: other, segment: index)
    try inspector.write(buffer, to: inspector.places(of: start, superblock))
  }
}

extension PoolInspector {
  /// As `readCopies`, without findings.
  func readQuietly(
    _ places: [DevicePlace], blockCount: Int,
    check: (BlockBuffer) throws(InspectionRefusal) -> Void
  ) -> BlockBuffer? {
    for place in places {
      guard let member = members[place.device] else { continue }
      do throws(InspectionRefusal) {
        let buffer = try read(member.device, at: place.byteOffset, blockCount: blockCount)
        try check(buffer)
        return buffer
      } catch { continue }
    }
    return nil
  }

  func readCountImageQuietly(
    of segment: SegmentIndex, _ entry: SegmentEntry, _ superblock: Superblock
  ) -> BlockBuffer? {
    let layout = NodeSegmentLayout(segmentShift: superblock.segmentShift)
    let image = Int(entry.currentImage)
    return readQuietly(
      places(of: layout.address(ofImage: image, segment: segment), superblock),
      blockCount: layout.pagesPerImage
    ) { (buffer) throws(InspectionRefusal) in
      try self.checkImage(buffer, segment, image, entry, superblock)
    }
  }

  func write(_ buffer: BlockBuffer, to places: [DevicePlace]) throws(RepairError) {
    for place in places {
      guard let member = members[place.device] else { continue }
      do throws(DeviceError) {
        try unsafe member.device.write(
          at: place.byteOffset, from: UnsafeRawBufferPointer(buffer.bytes))
      } catch { throw .device(error) }
    }
  }
}
