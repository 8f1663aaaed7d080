import DiskFormat
import StorageUnits
import Testing

@testable import PoolCore

/// Walks all trees of the last image from what was written, and compares what they name with the
/// counts of the image. The checkpoint must have completed and nothing changed since.
@safe struct PoolRecount {
  private let test: TestPool
  private var nodes: [UInt64: Int] = [:]
  private var extents: [UInt64: Int] = [:]
  private let memory = UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 4096)

  static func expectRight(_ test: TestPool, _ comment: Comment) {
    var recount = PoolRecount(test)
    recount.run()
    recount.compare(comment)
    unsafe recount.memory.deallocate()
  }

  private init(_ test: TestPool) { self.test = test }

  private func read(_ address: PoolAddress) -> NodeImage {
    guard let bytes = test.blocks[test.pool.place(of: address)] else {
      preconditionFailure("a node that was never written is named")
    }
    unsafe memory.copyMemory(from: bytes, byteCount: 4096)
    return unsafe NodeImage(viewing: memory)
  }

  /// True the first time.
  private mutating func name(_ address: PoolAddress) -> Bool {
    nodes[address.block, default: 0] += 1
    return nodes[address.block] == 1
  }

  private mutating func run() {
    let superblock = test.pool.superblock(for: DeviceIndex(index: 0))
    var maps: [(TreeRoot, DoomedEntry?)] = []
    walk(superblock.catalogue.pointer, superblock.catalogue.level) { image in
      for slot in 0..<FormatConstants.volumesPerLeaf {
        guard let record = try? VolumeRecord.decode(from: image, slot: slot) else { continue }
        maps.append((record.root, nil))
      }
    }
    walk(superblock.doomed.pointer, superblock.doomed.level) { image in
      for index in 0..<FormatConstants.doomedPerLeaf {
        guard let entry = try? DoomedEntry.decode(from: image, index: index) else { continue }
        maps.append((entry.root, entry))
      }
    }
    walk(superblock.versionTree.pointer, superblock.versionTree.level) { _ in }
    walk(superblock.bookmarks.pointer, superblock.bookmarks.level) { _ in }
    walk(superblock.holds.pointer, superblock.holds.level) { _ in }
    walk(superblock.owed.pointer, superblock.owed.level) { _ in }
    for (root, doomed) in maps where !root.isNone {
      walkMap(root.pointer, root.level, 0, doomed)
    }
    for entry in test.pool.segments.entries where !entry.countPage.isNone {
      _ = name(entry.countPage)
    }
  }

  private mutating func walk(
    _ pointer: NodePointer, _ level: UInt8, leaf: (NodeImage) -> Void
  ) {
    if pointer.isNone { return }
    guard name(pointer.address) else { return }
    if level == 0 { return leaf(read(pointer.address)) }
    let image = read(pointer.address)
    let children = (0..<FormatConstants.pointersPerNode).map { image.pointer($0) }
    for child in children { walk(child, level - 1, leaf: leaf) }
  }

  private mutating func walkMap(
    _ pointer: NodePointer, _ level: UInt8, _ key: UInt64, _ doomed: DoomedEntry?
  ) {
    if pointer.isNone { return }
    if let doomed {
      let span = TreeShape.span(level: level, leafCapacity: FormatConstants.entriesPerLeaf)
      let end = (key + 1) * span
      if (end, level) <= (doomed.cursorEnd.index, doomed.cursorLevel) { return }
    }
    guard name(pointer.address) else { return }
    let image = read(pointer.address)
    if level > 0 {
      let children = (0..<FormatConstants.pointersPerNode).map { image.pointer($0) }
      for (index, child) in children.enumerated() {
        walkMap(
          child, level - 1, key * UInt64(FormatConstants.pointersPerNode) + UInt64(index), doomed)
      }
      return
    }
    var named: [UInt64] = []
    for index in 0..<FormatConstants.entriesPerLeaf {
      let entry = image.entry(index)
      if !entry.upper.isNone { named.append(entry.upper.address.extent.index) }
      if !entry.lower.isNone { named.append(entry.lower.address.extent.index) }
    }
    for extent in Set(named) { extents[extent, default: 0] += 1 }
  }

  private func compare(_ comment: Comment) {
    let pool = test.pool
    var wrong = 0
    for (segment, state) in pool.nodeSpace.segments {
      let start = pool.segments.start(of: Int(segment)).block
      for (block, count) in state.counts.enumerated()
      where Int(count) != nodes[start + UInt64(block)] ?? 0 {
        wrong += 1
      }
    }
    #expect(wrong == 0, "node counts: \(comment)")
    var wrongExtents = 0
    for (index, entry) in pool.segments.entries.enumerated() where entry.segmentClass == .data {
      let start = pool.segments.start(of: index).extent.index
      let page = entry.countPage.isNone ? nil : read(entry.countPage)
      for i in 0..<pool.segments.extents
      where Int(page?.count(i) ?? 0) != extents[start + UInt64(i)] ?? 0 {
        wrongExtents += 1
      }
    }
    #expect(wrongExtents == 0, "extent counts: \(comment)")
    for extent in extents.keys {
      let segment = pool.segments.segment(of: PoolExtent(index: extent).address)
      #expect(pool.segments.entries[segment].segmentClass == .data, comment)
    }
  }
}
