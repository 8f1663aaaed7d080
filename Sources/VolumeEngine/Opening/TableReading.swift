import BlockIO
import DiskFormat
import PoolCore
import StorageUnits

/// Reads the tables that stay resident: segment table, counts of node segments, catalogue, doomed
/// list. Maps and counts of data are read when they are needed.
struct TableReading {
  let devices: DeviceSet
  let superblock: Superblock

  private var blocks: BlockReader { BlockReader(devices: devices) }
  private var pool: UInt64 { superblock.poolUUID.high }

  /// A page or node, by where it is in its tree.
  private struct Branch<Pointer> {
    var key: UInt64
    var pointer: Pointer
  }

  // MARK: Segment table

  struct Segments {
    var entries: [SegmentEntry]
    var pages: [[UInt64: SystemPointer]]
  }

  func segments() throws(PoolOpeningError) -> Segments {
    let root = superblock.segmentTable
    guard let pointer = root.pointer else {
      throw .superblockContradictsDevices("there is no segment table")
    }
    var pages = [[UInt64: SystemPointer]](repeating: [:], count: Int(root.level) + 1)
    pages[Int(root.level)][0] = pointer
    var level = [Branch(key: 0, pointer: pointer)]
    for depth in stride(from: root.level, to: 0, by: -1) {
      var below: [Branch<SystemPointer>] = []
      try readPages(level, depth) { (branch, page) throws(FormatError) in
        for index in 0..<FormatConstants.systemPointersPerPage {
          guard let child = try SystemPointer.decode(from: page, index: index) else { continue }
          let key = branch.key * UInt64(FormatConstants.systemPointersPerPage) + UInt64(index)
          pages[Int(depth) - 1][key] = child
          below.append(Branch(key: key, pointer: child))
        }
      }
      level = below
    }
    let count = Int(superblock.segmentCount)
    let pageCount =
      (count + FormatConstants.segmentsPerPage - 1) / FormatConstants.segmentsPerPage
    guard level.count == pageCount, level.indices.allSatisfy({ level[$0].key == UInt64($0) })
    else { throw .superblockContradictsDevices("the segment table has other pages than segments") }
    var entries: [SegmentEntry] = []
    entries.reserveCapacity(count)
    try readPages(level, 0) { (branch, page) throws(FormatError) in
      let first = Int(branch.key) * FormatConstants.segmentsPerPage
      // A page that is read again, from its second place, starts over.
      entries.removeSubrange(first...)
      for index in 0..<min(FormatConstants.segmentsPerPage, count - first) {
        entries.append(try SegmentEntry.decode(from: page, index: index))
      }
    }
    try checkPlaces(entries)
    return Segments(entries: entries, pages: pages)
  }

  private func readPages(
    _ branches: [Branch<SystemPointer>], _ level: UInt8,
    _ accept: (Branch<SystemPointer>, NodeImage) throws(FormatError) -> Void
  ) throws(PoolOpeningError) {
    let wanted = branches.map {
      BlockReader.Wanted(first: $0.pointer.place, second: $0.pointer.secondPlace)
    }
    do throws(TableDamage) {
      try unsafe blocks.read(wanted, of: .segmentTable) { (index, bytes) throws(FormatError) in
        let branch = branches[index]
        let page = unsafe Self.image(bytes)
        let header = try page.open()
        guard page.storedChecksum == branch.pointer.checksum else {
          throw .badChecksum(.segmentTable)
        }
        try check(header, .segmentTable, level: level, key: branch.key, address: .none)
        try page.validateContents(header)
        try accept(branch, page)
      }
    } catch { throw .tableDamaged(error) }
  }

  private func checkPlaces(_ entries: [SegmentEntry]) throws(PoolOpeningError) {
    let blocks = UInt64(1) << UInt64(superblock.segmentShift)
    // Address 0 means "none": it must never be given out.
    if entries[0].segmentClass == .data || entries[0].segmentClass == .lent {
      throw .superblockContradictsDevices("segment 0 is not for nodes")
    }
    for (index, entry) in entries.enumerated() {
      for place in [entry.place, entry.secondPlace].compactMap({ $0 })
      where !devices.contains(place, blockCount: blocks) {
        throw .superblockContradictsDevices("segment \(index) lies on no device")
      }
    }
  }

  // MARK: Counts of node segments

  func nodeCounts(
    of segments: [SegmentEntry]
  ) throws(PoolOpeningError) -> [SegmentIndex: [UInt32]] {
    let layout = NodeSegmentLayout(segmentShift: superblock.segmentShift)
    let nodes = segments.indices.filter { segments[$0].segmentClass == .node }
    let wanted = try nodes.map { (index) throws(PoolOpeningError) -> BlockReader.Wanted in
      let entry = segments[index]
      guard let place = entry.place else {
        throw .superblockContradictsDevices("node segment \(index) has no place")
      }
      let first = UInt64(layout.firstBlock(ofImage: Int(entry.currentImage)))
      return BlockReader.Wanted(
        first: place.advanced(byBlocks: first),
        second: entry.secondPlace?.advanced(byBlocks: first), blockCount: layout.pagesPerImage)
    }
    var counts: [SegmentIndex: [UInt32]] = [:]
    do throws(TableDamage) {
      try unsafe blocks.read(wanted, of: .nodeCounts) { (i, bytes) throws(FormatError) in
        guard let base = bytes.baseAddress else { preconditionFailure("a block has memory") }
        let segment = SegmentIndex(index: UInt32(nodes[i]))
        let entry = segments[nodes[i]]
        let image = unsafe CountImage(viewing: base, layout: layout)
        try image.open(
          segment: segment, image: Int(entry.currentImage), pool: pool,
          checksum: entry.countChecksum)
        counts[segment] = (0..<layout.blocks).map { image.count(ofBlock: $0) }
      }
    } catch { throw .tableDamaged(error) }
    return counts
  }

  // MARK: Trees of the pool's own

  /// The catalogue's shape and its volumes.
  func catalogue(
    _ segments: [SegmentEntry]
  ) throws(PoolOpeningError) -> (tree: ResidentTree, volumes: [VolumeRecord]) {
    var volumes: [UInt64: [VolumeRecord]] = [:]
    let tree = try tree(
      superblock.catalogue, .catalogue, .catalogue, FormatConstants.volumesPerLeaf, segments
    ) { (key, leaf) throws(FormatError) in
      volumes[key] = []
      for slot in 0..<FormatConstants.volumesPerLeaf {
        guard let record = try VolumeRecord.decode(from: leaf, slot: slot) else { continue }
        let id = key * UInt64(FormatConstants.volumesPerLeaf) + UInt64(slot)
        guard record.id.number == id else { throw .badField(.volumeRecord, "id") }
        volumes[key]?.append(record)
      }
    }
    return (tree, volumes.keys.sorted().flatMap { volumes[$0] ?? [] })
  }

  /// The doomed list's shape and its entries.
  func doomed(
    _ segments: [SegmentEntry]
  ) throws(PoolOpeningError) -> (tree: ResidentTree, entries: [DoomedEntry]) {
    var entries: [UInt64: [DoomedEntry]] = [:]
    let tree = try tree(
      superblock.doomed, .doomed, .doomedList, FormatConstants.doomedPerLeaf, segments
    ) { (key, leaf) throws(FormatError) in
      entries[key] = []
      for index in 0..<FormatConstants.doomedPerLeaf {
        guard let entry = try DoomedEntry.decode(from: leaf, index: index) else { continue }
        entries[key]?.append(entry)
      }
    }
    return (tree, entries.keys.sorted().flatMap { entries[$0] ?? [] })
  }

  /// The version tree's shape and its branch points.
  func versions(
    _ segments: [SegmentEntry]
  ) throws(PoolOpeningError) -> (tree: ResidentTree, nodes: [VersionNode]) {
    var nodes: [UInt64: [VersionNode]] = [:]
    let tree = try tree(
      superblock.versionTree, .versionTree, .versionTree, FormatConstants.versionNodesPerLeaf,
      segments
    ) { (key, leaf) throws(FormatError) in
      nodes[key] = []
      for index in 0..<FormatConstants.versionNodesPerLeaf {
        guard let node = try VersionNode.decode(from: leaf, index: index) else { continue }
        nodes[key]?.append(node)
      }
    }
    return (tree, nodes.keys.sorted().flatMap { nodes[$0] ?? [] })
  }

  /// The shape of the list of bookmarks and what it holds.
  func bookmarks(
    _ segments: [SegmentEntry]
  ) throws(PoolOpeningError) -> (tree: ResidentTree, list: [Bookmark]) {
    var list: [UInt64: [Bookmark]] = [:]
    let tree = try tree(
      superblock.bookmarks, .bookmarks, .bookmarks, FormatConstants.bookmarksPerLeaf, segments
    ) { (key, leaf) throws(FormatError) in
      list[key] = []
      for index in 0..<FormatConstants.bookmarksPerLeaf {
        guard let bookmark = try Bookmark.decode(from: leaf, index: index) else { continue }
        list[key]?.append(bookmark)
      }
    }
    return (tree, list.keys.sorted().flatMap { list[$0] ?? [] })
  }

  /// A bookmark belongs to a volume and names a branch point that is there.
  func checkBookmarks(
    _ bookmarks: [Bookmark], _ nodes: [VersionNode], _ volumes: [VolumeRecord]
  ) throws(PoolOpeningError) {
    let epochs = Set(nodes.map(\.epoch))
    let origins = Set(volumes.filter { $0.origin == nil }.map(\.id))
    var ids: Set<RecordNumber> = []
    for bookmark in bookmarks {
      guard ids.insert(bookmark.id).inserted, epochs.contains(bookmark.epoch),
        origins.contains(bookmark.volume)
      else {
        throw .superblockContradictsDevices("bookmark \(bookmark.name) belongs to nothing")
      }
    }
  }

  /// The shape of the list of holds, and its entries.
  func holds(
    _ segments: [SegmentEntry]
  ) throws(PoolOpeningError) -> (tree: ResidentTree, entries: [HoldEntry]) {
    var entries: [UInt64: [HoldEntry]] = [:]
    let tree = try tree(
      superblock.holds, .holds, .holds, FormatConstants.holdsPerLeaf, segments
    ) { (key, leaf) throws(FormatError) in
      entries[key] = []
      for index in 0..<FormatConstants.holdsPerLeaf {
        guard let entry = try HoldEntry.decode(from: leaf, index: index) else { continue }
        entries[key]?.append(entry)
      }
    }
    return (tree, entries.keys.sorted().flatMap { entries[$0] ?? [] })
  }

  /// Each volume counts its holds.
  func checkHolds(
    _ holds: [HoldEntry], _ volumes: [VolumeRecord]
  ) throws(PoolOpeningError) {
    var counts: [VolumeID: UInt32] = [:]
    for hold in holds { counts[hold.volume, default: 0] += 1 }
    for volume in volumes where counts.removeValue(forKey: volume.id) ?? 0 != volume.holds {
      throw .superblockContradictsDevices(
        "volume \(volume.id.number) has another number of holds than it says")
    }
    if let missing = counts.keys.min() {
      throw .superblockContradictsDevices("volume \(missing.number) is held and is not there")
    }
  }

  /// The shape of the list of owed discards, and its ranges.
  func owed(
    _ segments: [SegmentEntry]
  ) throws(PoolOpeningError) -> (tree: ResidentTree, ranges: [OwedRange]) {
    var ranges: [UInt64: [OwedRange]] = [:]
    let tree = try tree(
      superblock.owed, .owed, .owed, FormatConstants.owedPerLeaf, segments
    ) { (key, leaf) throws(FormatError) in
      ranges[key] = []
      for index in 0..<FormatConstants.owedPerLeaf {
        guard let range = try OwedRange.decode(from: leaf, index: index) else { continue }
        ranges[key]?.append(range)
      }
    }
    return (tree, ranges.keys.sorted().flatMap { ranges[$0] ?? [] })
  }

  /// Owed ranges are sorted, apart from each other, and within volumes that are no snapshots.
  func checkOwed(
    _ ranges: [OwedRange], _ volumes: [VolumeRecord]
  ) throws(PoolOpeningError) {
    var sizes: [VolumeID: UInt64] = [:]
    for volume in volumes where volume.origin == nil { sizes[volume.id] = volume.sizeBytes }
    var last: OwedRange?
    for range in ranges {
      let id = range.volume.number
      if let last {
        let isBehind =
          last.volume < range.volume
          || last.volume == range.volume && last.endBlock < range.firstBlock
        guard isBehind else {
          throw .superblockContradictsDevices("owed discards of volume \(id) are out of order")
        }
      }
      guard let size = sizes[range.volume], range.endBlock <= ByteCount(size).blocksRoundingUp
      else {
        throw .superblockContradictsDevices(
          "a discard is owed on volume \(id), where there is no such block")
      }
      last = range
    }
  }

  /// Whatever lives, lives below a branch point that is there.
  func checkVersions(
    _ nodes: [VersionNode], _ volumes: [VolumeRecord], _ doomed: [DoomedEntry]
  ) throws(PoolOpeningError) {
    var epochs: Set<UInt64> = [0]
    for node in nodes where !epochs.insert(UInt64(node.epoch.number)).inserted {
      throw .superblockContradictsDevices("branch point \(node.epoch.number) is there twice")
    }
    let named =
      nodes.map { UInt64($0.parent.number) } + volumes.map(\.versionNode)
      + doomed.map { UInt64($0.versionNode.number) }
    if let missing = named.first(where: { !epochs.contains($0) }) {
      throw .superblockContradictsDevices("branch point \(missing) is missing")
    }
    if let last = epochs.max(), last >= UInt64(superblock.shareEpoch.number) {
      throw .superblockContradictsDevices("branch point \(last) is not made yet")
    }
  }

  private func tree(
    _ root: TreeRoot, _ type: NodeType, _ table: TableDamage.Table, _ leafCapacity: Int,
    _ segments: [SegmentEntry], _ leaf: (UInt64, NodeImage) throws(FormatError) -> Void
  ) throws(PoolOpeningError) -> ResidentTree {
    if root.isNone { return ResidentTree(type: type, leafCapacity: leafCapacity) }
    var pointers = [[UInt64: NodePointer]](repeating: [:], count: Int(root.level) + 1)
    pointers[Int(root.level)][0] = root.pointer
    var level = [Branch(key: 0, pointer: root.pointer)]
    for depth in stride(from: Int(root.level), through: 0, by: -1) {
      var below: [Branch<NodePointer>] = []
      let branches = level
      let wanted = try branches.map { (branch) throws(PoolOpeningError) in
        try place(of: branch.pointer.address, in: segments)
      }
      do throws(TableDamage) {
        try unsafe blocks.read(wanted, of: table) { (index, bytes) throws(FormatError) in
          let branch = branches[index]
          let node = unsafe Self.image(bytes)
          let header = try node.open()
          guard node.storedChecksum == branch.pointer.checksum else { throw .badChecksum(.node) }
          try check(
            header, type, level: UInt8(depth), key: branch.key, address: branch.pointer.address)
          try node.validateContents(header)
          if depth == 0 { return try leaf(branch.key, node) }
          let first = branch.key * UInt64(FormatConstants.pointersPerNode)
          for child in 0..<FormatConstants.pointersPerNode {
            let pointer = node.pointer(child)
            if pointer.isNone { continue }
            pointers[depth - 1][first + UInt64(child)] = pointer
            below.append(Branch(key: first + UInt64(child), pointer: pointer))
          }
        }
      } catch { throw .tableDamaged(error) }
      level = below
    }
    return ResidentTree(
      type: type, leafCapacity: leafCapacity, level: root.level, pointers: pointers)
  }

  private func place(
    of address: PoolAddress, in segments: [SegmentEntry]
  ) throws(PoolOpeningError) -> BlockReader.Wanted {
    let segment = Int(address.block >> UInt64(superblock.segmentShift))
    let offset = address.block & (1 << UInt64(superblock.segmentShift) - 1)
    guard segment < segments.count, segments[segment].segmentClass == .node,
      let place = segments[segment].place
    else { throw .superblockContradictsDevices("node \(address.block) lies in no node segment") }
    return BlockReader.Wanted(
      first: place.advanced(byBlocks: offset),
      second: segments[segment].secondPlace?.advanced(byBlocks: offset))
  }

  private func check(
    _ header: NodeHeader, _ type: NodeType, level: UInt8, key: UInt64, address: PoolAddress
  ) throws(FormatError) {
    guard header.type == type else { throw .badField(.node, "type") }
    guard header.pool == pool else { throw .badField(.node, "pool") }
    guard header.owner == 0 else { throw .badField(.node, "owner") }
    guard header.level == level else { throw .badField(.node, "level") }
    guard header.key == key else { throw .badField(.node, "key") }
    guard header.address == address else { throw .badField(.node, "address") }
  }

  private static func image(_ bytes: UnsafeMutableRawBufferPointer) -> NodeImage {
    guard let base = bytes.baseAddress else { preconditionFailure("a block has memory") }
    return unsafe NodeImage(viewing: base)
  }
}
