import DiskFormat
import DiskSimulation
import StorageUnits

extension HandBuiltPool {
  /// Writes everything to the devices.
  func write() {
    var checksums: [UInt64: UInt32] = [:]
    for block in [7, 8, 10, 12, 13, 6, 9, 11, 4, 5] as [UInt64] { write(block, &checksums) }
    for block in nodes.keys.sorted() where checksums[block] == nil && block > 3 {
      write(block, &checksums)
    }
    write(3, &checksums)
    write(2, &checksums)
    var lines = segments
    for i in lines.indices where !lines[i].countPage.isNone {
      lines[i].countChecksum = checksums[lines[i].countPage.block] ?? 0
    }
    lines[0].countChecksum = writeCountImage()
    let table = writeSegmentTable(lines)
    for device in devices.indices {
      for sequence in [5, 6] as [UInt64] {
        writeSuperblock(device, sequence: sequence, table: table, checksums)
      }
    }
  }

  /// Where a block of the node segment lies: both places.
  func places(ofBlock block: UInt64) -> [DevicePlace] {
    [segments[0].place, segments[0].secondPlace].compactMap {
      $0?.advanced(byBlocks: block)
    }
  }

  func put(_ bytes: [UInt8], at place: DevicePlace) {
    devices[Int(place.device.index)].overwrite(at: place.byteOffset, with: bytes)
  }

  private func write(_ block: UInt64, _ checksums: inout [UInt64: UInt32]) {
    guard let node = nodes[block] else { return }
    if case .notWritten = node.contents {
      checksums[block] = 0xDEAD
      return
    }
    let page = TestBlocks(count: 1)
    fill(page.node(0), node, checksums)
    checksums[block] = page.node(0).seal(
      NodeHeader(
        type: node.type, level: node.level, pool: Self.poolUUID.high, owner: node.owner,
        key: node.key, address: PoolAddress(block: block), checkpoint: node.checkpoint,
        birth: ShareEpoch(node.birth)))
    for place in places(ofBlock: block) { put(page.bytes, at: place) }
  }

  private func fill(_ image: NodeImage, _ node: Node, _ checksums: [UInt64: UInt32]) {
    func rooted(_ root: TreeRoot) -> TreeRoot {
      var root = root
      if !root.isNone { root.pointer.checksum = checksums[root.pointer.address.block] ?? 0 }
      return root
    }
    switch node.contents {
    case .leaf(let entries): for (i, entry) in entries { image.setEntry(entry, i) }
    case .inner(let children):
      for (i, child) in children {
        image.setPointer(
          NodePointer(
            address: PoolAddress(block: child.block), checksum: checksums[child.block] ?? 0,
            birth: ShareEpoch(child.birth)), i)
      }
    case .catalogue:
      for (i, volume) in volumes.enumerated() {
        var volume = volume
        volume.root = rooted(volume.root)
        volume.encode(into: image, slot: i + 1)
      }
    case .doomed:
      for (i, entry) in doomed {
        var entry = entry
        entry.root = rooted(entry.root)
        entry.encode(into: image, index: i)
      }
    case .counts(let counts): for (i, count) in counts { image.setCount(count, i) }
    case .notWritten: break
    }
  }

  private func writeCountImage() -> UInt32 {
    let layout = NodeSegmentLayout(segmentShift: Self.shift)
    let page = TestBlocks(count: layout.pagesPerImage)
    let image = page.countImage(layout)
    for (block, count) in nodeCounts { image.setCount(count, ofBlock: block) }
    let checksum = image.seal(
      segment: SegmentIndex(index: 0), image: 1, pool: Self.poolUUID.high, checkpoint: 9)
    for place in places(ofBlock: UInt64(layout.firstBlock(ofImage: 1))) {
      put(page.bytes, at: place)
    }
    return checksum
  }

  private func writeSegmentTable(_ lines: [SegmentEntry]) -> SystemPointer {
    let page = TestBlocks(count: 1)
    for (i, line) in lines.enumerated() { line.encode(into: page.node(0), index: i) }
    let checksum = page.node(0).seal(
      NodeHeader(
        type: .segmentTable, level: 0, pool: Self.poolUUID.high, owner: 0, key: 0, address: .none,
        checkpoint: 9, birth: .zero))
    let places = (0..<2 as Range<UInt16>).map {
      DevicePlace(device: DeviceIndex(index: $0), block: segmentTableBlock)
    }
    for place in places { put(page.bytes, at: place) }
    return SystemPointer(place: places[0], secondPlace: places[1], checksum: checksum)
  }

  private func writeSuperblock(
    _ device: Int, sequence: UInt64, table: SystemPointer, _ checksums: [UInt64: UInt32]
  ) {
    func root(_ block: UInt64) -> TreeRoot {
      TreeRoot(
        pointer: NodePointer(
          address: PoolAddress(block: block), checksum: checksums[block] ?? 0,
          birth: ShareEpoch(1)), level: 0)
    }
    let members = devices.enumerated().map { i, device in
      PoolMember(
        uuid: StorageUUID(high: 9, low: UInt64(i) + 1), index: DeviceIndex(index: UInt16(i)),
        state: .active, sizeBytes: device.sizeBytes, superblockSequence: sequence)
    }
    let stream = JournalStream(
      place: DevicePlace(device: DeviceIndex(index: 0), block: 256),
      secondPlace: DevicePlace(device: DeviceIndex(index: 1), block: 256), blockCount: 8,
      firstSequence: 1, previousChecksum: 0)
    var superblock = Superblock(
      features: FeatureMasks(), poolUUID: Self.poolUUID, poolName: "hand",
      deviceUUID: members[device].uuid, device: members[device].index, sequence: sequence,
      checkpointSequence: 9, checkpointRecord: RecordNumber(20), logGeneration: 2, logNonce: 77,
      applyVersion: 1, shareEpoch: shareEpoch, segmentShift: Self.shift,
      segmentCount: UInt32(segments.count), allocationRunExtents: 16, nextVolumeID: 6,
      bounds: WriterBounds(dirtyNodeBytes: 1 << 20, countDeltaBytes: 1 << 20),
      catalogue: root(2), doomed: root(3),
      segmentTable: SystemTreeRoot(pointer: table, level: 0), streams: [stream],
      systemRanges: systemRanges, members: members, fenceEpoch: 0,
      openedBy: Opening(host: "here", process: 1, at: 0), isOpen: false)
    if sequence == 6 { alterSuperblock(&superblock) }
    let bytes = TestBlocks(count: 2)
    bytes.encode(superblock)
    for offset in FormatConstants.superblockOffsets[Int(sequence % 2)] {
      devices[device].overwrite(at: DeviceByteOffset(offset), with: bytes.bytes)
    }
  }

  /// Writes a journal block with `records` map records after S; returns its checksum.
  @discardableResult func writeJournalBlock(
    sequence: UInt64, firstRecord: UInt64, durableThrough: UInt64, previous: UInt32,
    records: Int = 1
  ) -> UInt32 {
    let map = Record.map(volume: VolumeID(1), extent: VirtualExtent(index: 3), entry: .none)
    return writeJournalBlock(
      sequence: sequence, firstRecord: firstRecord, durableThrough: durableThrough,
      previous: previous, [Record](repeating: map, count: records))
  }

  /// Three blocks of records that fit the pool.
  func writeJournal() {
    let volume = VolumeRecord(
      id: VolumeID(6), uuid: StorageUUID(high: 6, low: 6), name: "new", sizeBytes: 1 << 20,
      logicalBlockBytes: 4096, createdAt: 0, fullPolicy: .wait(seconds: 3))
    let layer = Layer(
      address: Self.extent(7), mask: BlockMask(bits: 0xFF), birth: ShareEpoch(4))
    let first = writeJournalBlock(
      sequence: 1, firstRecord: 21, durableThrough: 0, previous: 0,
      [
        .createVolume(volume),
        .map(
          volume: VolumeID(1), extent: VirtualExtent(index: 5),
          entry: MapEntry(upper: layer, lower: .none)),
      ])
    let second = writeJournalBlock(
      sequence: 2, firstRecord: 23, durableThrough: 1, previous: first,
      [
        .segmentClass(SegmentIndex(index: 9), .data, partner: nil),
        .drop(DropStep(doomed: RecordNumber(7), level: 0, key: 1, decision: .descend)),
      ])
    writeJournalBlock(
      sequence: 3, firstRecord: 25, durableThrough: 2, previous: second,
      [.deleteVolume(VolumeID(3))])
  }

  /// Writes a journal block; returns its checksum.
  @discardableResult func writeJournalBlock(
    sequence: UInt64, firstRecord: UInt64, durableThrough: UInt64, previous: UInt32,
    _ records: [Record], applyVersion: UInt16 = 1, more: Bool = false
  ) -> UInt32 {
    let block = TestBlocks(count: 1)
    var end = FormatConstants.journalHeaderBytes
    for record in records {
      end += unsafe record.encode(
        more: more, into: UnsafeMutableRawBufferPointer(rebasing: block.buffer[end...]))
    }
    JournalBlockHeader(
      stream: 0, pool: Self.poolUUID.high, logGeneration: 2, logNonce: 77, sequence: sequence,
      superblockSequence: 6, checkpointSequence: 9, firstRecord: RecordNumber(firstRecord),
      recordCount: UInt16(records.count),
      payloadBytes: UInt16(end - FormatConstants.journalHeaderBytes),
      durableThrough: durableThrough, applyVersion: applyVersion, previousChecksum: previous
    ).encode(into: block.node(0))
    let checksum = block.node(0).sealJournalBlock()
    for device in 0..<2 as Range<UInt16> {
      put(
        block.bytes,
        at: DevicePlace(device: DeviceIndex(index: device), block: 256 + (sequence - 1) % 8))
    }
    return checksum
  }
}

/// Zeroed, aligned memory of whole blocks.
@safe final class TestBlocks {
  private let base: UnsafeMutableRawPointer
  private let byteCount: Int

  init(count: Int) {
    byteCount = count * 4096
    unsafe base = .allocate(byteCount: count * 4096, alignment: 4096)
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: count * 4096)
  }
  deinit { unsafe base.deallocate() }

  func node(_ index: Int) -> NodeImage { unsafe NodeImage(viewing: base + index * 4096) }
  func countImage(_ layout: NodeSegmentLayout) -> CountImage {
    unsafe CountImage(viewing: base, layout: layout)
  }
  func encode(_ superblock: Superblock) {
    var span = unsafe MutableRawSpan(_unsafeStart: base, byteCount: byteCount)
    superblock.encode(into: &span)
  }
  var buffer: UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(start: base, count: byteCount)
  }
  var bytes: [UInt8] { unsafe [UInt8](UnsafeRawBufferPointer(start: base, count: byteCount)) }
}
