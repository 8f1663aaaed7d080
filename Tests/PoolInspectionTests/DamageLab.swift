import DiskFormat
import DiskSimulation
import StorageUnits

/// Every structure of a pool on simulated devices, and where the checksum of each is repeated, so
/// that one can be altered with all checksums above it made right again: then only its meaning can
/// give it away.
final class DamageLab {
  enum Kind: String {
    case superblock, oldSuperblock, segmentTable, countImage, map, mapLeaf, catalogue, doomed
    case countPage, journal, holds
  }

  struct Part {
    var kind: Kind
    var name: String
    /// Each copy.
    var places: [(device: Int, byte: UInt64)]
    var bytes: [UInt8]
    /// Where its own checksums are: of how many bytes from where, and where it stands in them.
    var checksums: [(range: Range<Int>, at: Int)]
    /// Who repeats its checksum, and where.
    var parents: [(part: Int, offset: Int)] = []
    var depth = 0
    /// Of a tree that is being dropped.
    var isDoomed = false

    /// Whether the layer at this byte of a leaf is packed.
    func hasPackedLayer(_ at: Int) -> Bool { bytes[at + 7] >> 1 & 3 == 1 }
  }

  let devices: [SimulatedDevice]
  private(set) var parts: [Part] = []
  private var known: [UInt64: Int] = [:]
  private let superblock: Superblock
  var segmentShift: UInt8 { superblock.segmentShift }
  private var segments: [SegmentEntry] = []
  private var roots: [Int] = []

  init(devices: [SimulatedDevice], superblock: Superblock) {
    self.devices = devices
    self.superblock = superblock
    addSuperblocks()
    addSegmentTable()
    addTree(superblock.catalogue, .catalogue, at: 384)
    addTree(superblock.doomed, .doomed, at: 408)
    addTree(superblock.holds, .holds, at: 480)
    addJournal()
  }

  // MARK: What there is

  private func read(_ place: (device: Int, byte: UInt64), _ count: Int) -> [UInt8] {
    devices[place.device].contents(at: DeviceByteOffset(place.byte), count: count)
  }

  private func places(
    _ first: DevicePlace?, _ second: DevicePlace?
  ) -> [(device: Int, byte: UInt64)] {
    [first, second].compactMap { $0 }.map { (Int($0.device.index), $0.byteOffset.bytes) }
  }

  private func places(of address: PoolAddress) -> [(device: Int, byte: UInt64)] {
    let shift = UInt64(superblock.segmentShift)
    let entry = segments[Int(address.block >> shift)]
    let within = address.block & (1 << shift - 1)
    return places(
      entry.place?.advanced(byBlocks: within), entry.secondPlace?.advanced(byBlocks: within))
  }

  private func addSuperblocks() {
    for device in devices.indices {
      for (slot, offsets) in FormatConstants.superblockOffsets.enumerated() {
        let bytes = read((device, offsets[0]), 8192)
        guard bytes.contains(where: { $0 != 0 }) else { continue }
        let isNewest = superblock.sequence % 2 == UInt64(slot)
        if isNewest { roots.append(parts.count) }
        parts.append(
          Part(
            kind: isNewest ? .superblock : .oldSuperblock,
            name: "superblock slot \(slot) of device \(device)",
            places: offsets.map { (device, $0) }, bytes: bytes, checksums: [(0..<8192, 12)]))
      }
    }
  }

  private func addSegmentTable() {
    guard let root = superblock.segmentTable.pointer else { return }
    addSegmentPage(
      root, level: superblock.segmentTable.level, parents: roots.map { ($0, 608 + 16) }, depth: 1)
  }

  private func addSegmentPage(
    _ pointer: SystemPointer, level: UInt8, parents: [(part: Int, offset: Int)], depth: Int
  ) {
    let places = places(pointer.place, pointer.secondPlace)
    let index = parts.count
    parts.append(
      Part(
        kind: .segmentTable, name: "segment table \(level == 0 ? "leaf" : "inner page")",
        places: places, bytes: read(places[0], 4096), checksums: [(0..<4096, 60)], parents: parents,
        depth: depth))
    let block = TestBlocks(parts[index].bytes)
    guard level == 0 else {
      for i in 0..<FormatConstants.systemPointersPerPage {
        guard let child = try? SystemPointer.decode(from: block.node(0), index: i) else { break }
        addSegmentPage(
          child, level: level - 1, parents: [(index, 64 + 24 * i + 16)], depth: depth + 1)
      }
      return
    }
    let first = segments.count
    for i in 0..<FormatConstants.segmentsPerPage where segments.count < superblock.segmentCount {
      guard let entry = try? SegmentEntry.decode(from: block.node(0), index: i) else { break }
      segments.append(entry)
    }
    pending.append((index, first, segments.count))
    if segments.count == superblock.segmentCount {
      for (page, first, end) in pending { addCounts(first..<end, page: page) }
    }
  }
  private var pending: [(page: Int, first: Int, end: Int)] = []

  private func addCounts(_ range: Range<Int>, page: Int) {
    let layout = NodeSegmentLayout(segmentShift: superblock.segmentShift)
    for i in range {
      let entry = segments[i]
      let parent = [(part: page, offset: 64 + 64 * (i - range.lowerBound) + 32)]
      if entry.segmentClass == .node {
        let start = layout.address(
          ofImage: Int(entry.currentImage), segment: SegmentIndex(index: UInt32(i)))
        let places = places(of: start)
        parts.append(
          Part(
            kind: .countImage, name: "count image of segment \(i)", places: places,
            bytes: read(places[0], layout.imageBytes),
            checksums: (0..<layout.pagesPerImage).map {
              ($0 * 4096..<($0 + 1) * 4096, $0 * 4096 + 60)
            }, parents: parent, depth: parts[page].depth + 1))
      } else if !entry.countPage.isNone {
        addNode(
          NodePointer(address: entry.countPage, checksum: 0, birth: .zero), .countPage, level: 0,
          parents: parent, depth: parts[page].depth + 1, key: 0, cursor: nil)
      }
    }
  }

  private func addTree(_ root: TreeRoot, _ kind: Kind, at offset: Int) {
    guard !root.isNone else { return }
    addNode(
      root.pointer, kind, level: root.level, parents: roots.map { ($0, offset + 8) }, depth: 1,
      key: 0, cursor: nil)
  }

  private func addNode(
    _ pointer: NodePointer, _ kind: Kind, level: UInt8, parents: [(part: Int, offset: Int)],
    depth: Int, key: UInt64, cursor: DoomedEntry?
  ) {
    if let index = known[pointer.address.block] {
      parts[index].parents += parents
      deepen(index, depth)
      return
    }
    let index = parts.count
    known[pointer.address.block] = index
    let places = places(of: pointer.address)
    let isLeaf = kind == .map && level == 0
    parts.append(
      Part(
        kind: isLeaf ? .mapLeaf : kind, name: "\(kind) node \(pointer.address.block)",
        places: places, bytes: read(places[0], 4096), checksums: [(0..<4096, 60)],
        parents: parents, depth: depth, isDoomed: cursor != nil))
    let block = TestBlocks(parts[index].bytes)
    let node = block.node(0)
    if kind == .countPage || isLeaf { return }
    if level > 0 {
      for i in 0..<FormatConstants.pointersPerNode where !node.pointer(i).isNone {
        let child = key * UInt64(FormatConstants.pointersPerNode) + UInt64(i)
        if let cursor, isDropped(child, level - 1, cursor) { continue }
        addNode(
          node.pointer(i), kind, level: level - 1, parents: [(index, 64 + 16 * i + 8)],
          depth: depth + 1, key: child, cursor: cursor)
      }
    } else if kind == .catalogue {
      for slot in 0..<FormatConstants.volumesPerLeaf {
        guard let volume = try? VolumeRecord.decode(from: node, slot: slot), !volume.root.isNone
        else { continue }
        addNode(
          volume.root.pointer, .map, level: volume.root.level,
          parents: [(index, 64 + 448 * slot + 72 + 8)], depth: depth + 1, key: 0, cursor: nil)
      }
    } else if kind == .doomed {
      for i in 0..<FormatConstants.doomedPerLeaf {
        guard let entry = try? DoomedEntry.decode(from: node, index: i) else { continue }
        addNode(
          entry.root.pointer, .map, level: entry.root.level,
          parents: [(index, 64 + 64 * i + 16 + 8)], depth: depth + 1, key: 0, cursor: entry)
      }
    }
  }

  private func isDropped(_ key: UInt64, _ level: UInt8, _ entry: DoomedEntry) -> Bool {
    let end =
      TreeShape.span(level: level, leafCapacity: FormatConstants.entriesPerLeaf) * (key + 1)
    return (end, level) <= (entry.cursorEnd.index, entry.cursorLevel)
  }

  /// A node that is reached on a longer way too; and with it what is below.
  private func deepen(_ index: Int, _ depth: Int) {
    guard parts[index].depth < depth else { return }
    parts[index].depth = depth
    for (child, part) in parts.enumerated() where part.parents.contains(where: { $0.part == index })
    {
      deepen(child, depth + 1)
    }
  }

  private func addJournal() {
    for stream in superblock.streams {
      let starts = [stream.place, stream.secondPlace].compactMap { $0 }
      for block in 0..<UInt64(stream.blockCount) {
        let places = starts.map {
          (device: Int($0.device.index), byte: $0.advanced(byBlocks: block).byteOffset.bytes)
        }
        let bytes = read(places[0], 4096)
        guard let header = try? JournalBlockHeader.decode(TestBlocks(bytes).node(0)),
          header.logGeneration == superblock.logGeneration,
          header.sequence >= stream.firstSequence
        else { continue }
        parts.append(
          Part(
            kind: .journal, name: "journal block \(header.sequence)", places: places,
            bytes: bytes, checksums: [(0..<4096, 92)]))
      }
    }
    // Each block repeats the checksum of the one before.
    let blocks = parts.indices.filter { parts[$0].kind == .journal }
    for (number, (before, after)) in zip(blocks, blocks.dropFirst()).enumerated() {
      parts[before].parents = [(after, 76)]
      parts[before].depth = blocks.count - number
    }
  }

  // MARK: Damage

  /// Damage as it is written, and what undoes it.
  struct Damage {
    var writes: [(device: Int, byte: UInt64, bytes: [UInt8])]
    var undo: [(device: Int, byte: UInt64, bytes: [UInt8])]
  }

  /// One copy, or all (nil), become `bytes`; no checksum follows.
  func raw(_ part: Int, copy: Int?, _ bytes: [UInt8]) -> Damage {
    let places = copy.map { [parts[part].places[$0]] } ?? parts[part].places
    return Damage(
      writes: places.map { ($0.device, $0.byte, bytes) },
      undo: places.map { ($0.device, $0.byte, parts[part].bytes) })
  }

  /// All copies become `bytes`, and every checksum of it and above it is right.
  func mended(_ part: Int, _ bytes: [UInt8]) -> Damage {
    var changed: [Int: [UInt8]] = [part: bytes]
    var damage = Damage(writes: [], undo: [])
    while let next = changed.keys.max(by: { parts[$0].depth < parts[$1].depth }),
      var bytes = changed.removeValue(forKey: next)
    {
      for (range, at) in parts[next].checksums { Self.seal(&bytes, range, at) }
      let named = parts[next].kind == .countImage ? Self.checksum(bytes) : nil
      let own = parts[next].checksums[0].at
      for parent in parts[next].parents {
        var above = changed[parent.part] ?? parts[parent.part].bytes
        if let named {
          Self.store(named, &above, parent.offset)
        } else {
          above.replaceSubrange(parent.offset..<parent.offset + 4, with: bytes[own..<own + 4])
        }
        changed[parent.part] = above
      }
      for place in parts[next].places {
        damage.writes.append((place.device, place.byte, bytes))
        damage.undo.append((place.device, place.byte, parts[next].bytes))
      }
    }
    return damage
  }

  func apply(_ damage: Damage) {
    for (device, byte, bytes) in damage.writes {
      devices[device].overwrite(at: DeviceByteOffset(byte), with: bytes)
    }
  }

  func undo(_ damage: Damage) {
    for (device, byte, bytes) in damage.undo {
      devices[device].overwrite(at: DeviceByteOffset(byte), with: bytes)
    }
  }

  static func checksum(_ bytes: [UInt8]) -> UInt32 {
    unsafe bytes.withUnsafeBytes { unsafe Checksum.crc32c($0) }
  }

  static func store(_ value: UInt32, _ bytes: inout [UInt8], _ at: Int) {
    for i in 0..<4 { bytes[at + i] = UInt8(truncatingIfNeeded: value >> UInt32(8 * i)) }
  }

  private static func seal(_ bytes: inout [UInt8], _ range: Range<Int>, _ at: Int) {
    store(0, &bytes, at)
    let checksum = unsafe bytes.withUnsafeBytes {
      unsafe Checksum.crc32c(UnsafeRawBufferPointer(rebasing: $0[range]))
    }
    store(checksum, &bytes, at)
  }
}

extension TestBlocks {
  convenience init(_ bytes: [UInt8]) {
    self.init(count: bytes.count / 4096)
    unsafe buffer.copyBytes(from: bytes)
  }
}
