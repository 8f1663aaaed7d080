import BlockIO
import DiskFormat
import StorageUnits

/// Writes changed pages of the segment table, and all pages above them, to free blocks of the
/// system area on the devices where the pages are.
struct SegmentTableWriting {
  private let inspector: PoolInspector
  private let superblock: Superblock
  private let checkpoint: UInt64
  private var free: [DeviceIndex: [UInt64]] = [:]

  init(_ inspector: PoolInspector, _ superblock: Superblock, checkpoint: UInt64) {
    self.inspector = inspector
    self.superblock = superblock
    self.checkpoint = checkpoint
  }

  mutating func write(
    _ entries: [SegmentEntry], changed: Set<Int>
  ) throws(RepairError) -> SystemTreeRoot {
    let root = superblock.segmentTable
    var pointers = inspector.pages
    var keys = Set(changed.map { UInt64($0 / FormatConstants.segmentsPerPage) })
    for level in 0...root.level {
      for key in keys.sorted() {
        let page = PoolInspector.SegmentPage(level: level, key: key)
        guard let old = pointers[page] else { throw .noSpace }
        pointers[page] = try write(page, old, entries, pointers)
      }
      keys = Set(keys.map { $0 / UInt64(FormatConstants.systemPointersPerPage) })
    }
    let top = PoolInspector.SegmentPage(level: root.level, key: 0)
    return SystemTreeRoot(pointer: pointers[top], level: root.level)
  }

  private mutating func write(
    _ page: PoolInspector.SegmentPage, _ old: SystemPointer, _ entries: [SegmentEntry],
    _ pointers: [PoolInspector.SegmentPage: SystemPointer]
  ) throws(RepairError) -> SystemPointer {
    let buffer = BlockBuffer(blockCount: 1)
    if page.level == 0 {
      let first = Int(page.key) * FormatConstants.segmentsPerPage
      for i in 0..<min(FormatConstants.segmentsPerPage, entries.count - first) {
        entries[first + i].encode(into: buffer.node(), index: i)
      }
    } else {
      for i in 0..<FormatConstants.systemPointersPerPage {
        let key = page.key * UInt64(FormatConstants.systemPointersPerPage) + UInt64(i)
        let child = PoolInspector.SegmentPage(level: page.level - 1, key: key)
        guard let pointer = pointers[child] else { break }
        pointer.encode(into: buffer.node(), index: i)
      }
    }
    let checksum = buffer.node().seal(
      NodeHeader(
        type: .segmentTable, level: page.level, pool: superblock.poolUUID.high, owner: 0,
        key: page.key, address: .none, checkpoint: checkpoint, birth: .zero))
    let pointer = SystemPointer(
      place: try take(on: old.place.device),
      secondPlace: try old.secondPlace.map { (place) throws(RepairError) in
        try take(on: place.device)
      }, checksum: checksum)
    try inspector.write(buffer, to: pointer.places)
    return pointer
  }

  private mutating func take(on device: DeviceIndex) throws(RepairError) -> DevicePlace {
    if free[device] == nil { free[device] = freeBlocks(on: device) }
    guard let block = free[device]?.popLast() else { throw .noSpace }
    return DevicePlace(device: device, block: block)
  }

  /// Blocks of the device's system ranges in which nothing lies.
  private func freeBlocks(on device: DeviceIndex) -> [UInt64] {
    guard let member = inspector.members[device] else { return [] }
    var used: Set<UInt64> = []
    for pointer in inspector.pages.values {
      for place in pointer.places where place.device == device { used.insert(place.block) }
    }
    let rings = superblock.streams.flatMap { stream in
      [stream.place, stream.secondPlace].compactMap { $0 }.filter { $0.device == device }.map {
        $0.block..<$0.block + UInt64(stream.blockCount)
      }
    }
    var blocks: [UInt64] = []
    for range in member.superblock.systemRanges {
      for block in range.firstBlock..<range.firstBlock + range.blockCount
      where !used.contains(block) && !rings.contains(where: { $0.contains(block) }) {
        blocks.append(block)
      }
    }
    return blocks.reversed()
  }
}
