import DiskFormat
import PoolCore
import StorageUnits

/// Reads the tables that a superblock names from a test pool's blocks, as the opening of a pool
/// does.
@safe struct RecoveredImage {
  private let test: TestPool
  private let superblock: Superblock
  private let memory = UnsafeMutableRawPointer.allocate(byteCount: 256 << 10, alignment: 4096)
  private var segments: [SegmentEntry] = []
  private var pages: [[UInt64: SystemPointer]]

  static func read(_ superblock: Superblock, from test: TestPool) -> PoolImage {
    var image = RecoveredImage(superblock, test)
    defer { unsafe image.memory.deallocate() }
    do { return try image.read() } catch { preconditionFailure("the image is damaged: \(error)") }
  }

  private init(_ superblock: Superblock, _ test: TestPool) {
    self.test = test
    self.superblock = superblock
    pages = Array(repeating: [:], count: Int(superblock.segmentTable.level) + 1)
  }

  private func node(at place: DevicePlace) throws(FormatError) -> NodeImage {
    guard let bytes = test.blocks[place] else { throw .truncated(.node) }
    unsafe memory.copyMemory(from: bytes, byteCount: 4096)
    let node = unsafe NodeImage(viewing: memory)
    try node.validateContents(try node.open())
    return node
  }

  private mutating func read() throws(FormatError) -> PoolImage {
    try readPage(superblock.segmentTable.pointer, superblock.segmentTable.level, 0)
    var volumes: [VolumeRecord] = []
    let catalogue = try readTree(
      superblock.catalogue, .catalogue, FormatConstants.volumesPerLeaf
    ) { (node) throws(FormatError) in
      for slot in 0..<FormatConstants.volumesPerLeaf {
        if let record = try VolumeRecord.decode(from: node, slot: slot) { volumes.append(record) }
      }
    }
    var doomed: [DoomedEntry] = []
    let doomedTree = try readTree(
      superblock.doomed, .doomed, FormatConstants.doomedPerLeaf
    ) { (node) throws(FormatError) in
      for index in 0..<FormatConstants.doomedPerLeaf {
        if let entry = try DoomedEntry.decode(from: node, index: index) { doomed.append(entry) }
      }
    }
    var versions: [VersionNode] = []
    let versionTree = try readTree(
      superblock.versionTree, .versionTree, FormatConstants.versionNodesPerLeaf
    ) { (node) throws(FormatError) in
      for index in 0..<FormatConstants.versionNodesPerLeaf {
        if let entry = try VersionNode.decode(from: node, index: index) { versions.append(entry) }
      }
    }
    var bookmarks: [UInt64: [Bookmark]] = [:]
    let bookmarkTree = try readTree(
      superblock.bookmarks, .bookmarks, FormatConstants.bookmarksPerLeaf
    ) { (node) throws(FormatError) in
      let key = try node.open().key
      for index in 0..<FormatConstants.bookmarksPerLeaf {
        if let bookmark = try Bookmark.decode(from: node, index: index) {
          bookmarks[key, default: []].append(bookmark)
        }
      }
    }
    var holds: [UInt64: [HoldEntry]] = [:]
    let holdTree = try readTree(
      superblock.holds, .holds, FormatConstants.holdsPerLeaf
    ) { (node) throws(FormatError) in
      let key = try node.open().key
      for index in 0..<FormatConstants.holdsPerLeaf {
        guard let entry = try HoldEntry.decode(from: node, index: index) else { continue }
        holds[key, default: []].append(entry)
      }
    }
    var owed: [UInt64: [OwedRange]] = [:]
    let owedTree = try readTree(
      superblock.owed, .owed, FormatConstants.owedPerLeaf
    ) { (node) throws(FormatError) in
      let key = try node.open().key
      for index in 0..<FormatConstants.owedPerLeaf {
        guard let range = try OwedRange.decode(from: node, index: index) else { continue }
        owed[key, default: []].append(range)
      }
    }
    var counts: [SegmentIndex: [UInt32]] = [:]
    for (index, entry) in segments.enumerated() where entry.segmentClass == .node {
      counts[SegmentIndex(index: UInt32(index))] = try readCounts(index, entry)
    }
    var uuids: [DeviceIndex: StorageUUID] = [:]
    for member in superblock.members { uuids[member.index] = member.uuid }
    var ranges: [DeviceIndex: [SystemRange]] = [:]
    for member in superblock.members {
      ranges[member.index] = test.pool.superblock(for: member.index).systemRanges
    }
    var image = PoolImage(
      superblock: superblock, segments: segments, nodeCounts: counts, segmentPages: pages,
      catalogue: catalogue, volumes: volumes, doomedTree: doomedTree, doomed: doomed,
      versionTree: versionTree, versions: versions, bookmarkTree: bookmarkTree,
      bookmarks: bookmarks.keys.sorted().flatMap { bookmarks[$0] ?? [] }, systemRanges: ranges,
      deviceUUIDs: uuids)
    image.holdTree = holdTree
    image.holds = holds.keys.sorted().flatMap { holds[$0] ?? [] }
    image.owedTree = owedTree
    image.owed = owed.keys.sorted().flatMap { owed[$0] ?? [] }
    return image
  }

  private mutating func readPage(
    _ pointer: SystemPointer?, _ level: UInt8, _ key: UInt64
  ) throws(FormatError) {
    guard let pointer else { return }
    pages[Int(level)][key] = pointer
    let page = try node(at: pointer.place)
    if level == 0 {
      let left = Int(superblock.segmentCount) - segments.count
      for index in 0..<min(left, FormatConstants.segmentsPerPage) {
        segments.append(try SegmentEntry.decode(from: page, index: index))
      }
      return
    }
    var children: [SystemPointer?] = []
    for index in 0..<FormatConstants.systemPointersPerPage {
      children.append(try SystemPointer.decode(from: page, index: index))
    }
    let first = key * UInt64(FormatConstants.systemPointersPerPage)
    for (index, child) in children.enumerated() {
      try readPage(child, level - 1, first + UInt64(index))
    }
  }

  private func place(of address: PoolAddress) -> DevicePlace {
    let shift = UInt64(superblock.segmentShift)
    guard let place = segments[Int(address.block >> shift)].place else {
      preconditionFailure("the segment has no place")
    }
    return place.advanced(byBlocks: address.block & ((1 << shift) - 1))
  }

  private func readTree(
    _ root: TreeRoot, _ type: NodeType, _ leafCapacity: Int,
    leaf: (NodeImage) throws(FormatError) -> Void
  ) throws(FormatError) -> ResidentTree {
    var pointers: [[UInt64: NodePointer]] = Array(repeating: [:], count: Int(root.level) + 1)
    var waiting = root.isNone ? [] : [(root.pointer, root.level, UInt64(0))]
    while let (pointer, level, key) = waiting.popLast() {
      pointers[Int(level)][key] = pointer
      let node = try node(at: place(of: pointer.address))
      if level == 0 {
        try leaf(node)
        continue
      }
      for index in 0..<FormatConstants.pointersPerNode where !node.pointer(index).isNone {
        waiting.append(
          (
            node.pointer(index), level - 1,
            key * UInt64(FormatConstants.pointersPerNode) + UInt64(index)
          ))
      }
    }
    return ResidentTree(
      type: type, leafCapacity: leafCapacity, level: root.level, pointers: pointers)
  }

  private func readCounts(_ segment: Int, _ entry: SegmentEntry) throws(FormatError) -> [UInt32] {
    let layout = NodeSegmentLayout(segmentShift: superblock.segmentShift)
    let index = SegmentIndex(index: UInt32(segment))
    let start = layout.address(ofImage: Int(entry.currentImage), segment: index)
    for page in 0..<layout.pagesPerImage {
      guard let bytes = test.blocks[place(of: start.advanced(byBlocks: page))] else {
        throw .truncated(.node)
      }
      unsafe (memory + page * 4096).copyMemory(from: bytes, byteCount: 4096)
    }
    let image = unsafe CountImage(viewing: memory, layout: layout)
    try image.open(
      segment: index, image: Int(entry.currentImage), pool: superblock.poolUUID.high,
      checksum: entry.countChecksum)
    return (0..<layout.blocks).map { image.count(ofBlock: $0) }
  }
}
