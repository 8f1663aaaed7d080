import DiskFormat
import StorageUnits

// Walking the trees of the pool: catalogue, doomed list and maps. A node counts one name for each
// distinct node and root that names it; it is read when it is named first.
extension PoolInspector {
  /// Counts a name of a node. Returns its bytes if this is the first name and it can be read, and
  /// whether it was known before.
  func name(
    _ identity: NodeIdentity, _ superblock: Superblock, at here: InspectionPlace,
    volumes: [VolumeID]
  ) -> (isKnown: Bool, buffer: BlockBuffer?) {
    let key = identity.address.block
    if var known = nodes[key] {
      if known.identity != identity { find(.nodeAtTwoPlaces, at: here, volumes: volumes) }
      known.names += 1
      nodes[key] = known
      return (true, nil)
    }
    guard isNodeAddress(identity.address, superblock, at: here, volumes: volumes) else {
      return (false, nil)
    }
    nodes[key] = KnownNode(identity: identity, names: 1)
    let buffer = readCopies(
      places(of: identity.address, superblock), blockCount: 1, for: .node(identity.address),
      volumes: volumes,
      check: { (buffer) throws(InspectionRefusal) in
        try identity.check(buffer.node(), superblock)
      })
    return (false, buffer)
  }

  private func isNodeAddress(
    _ address: PoolAddress, _ superblock: Superblock, at here: InspectionPlace,
    volumes: [VolumeID]
  ) -> Bool {
    guard isAddress(address, of: .node, superblock, at: here, volumes: volumes) else {
      return false
    }
    let layout = NodeSegmentLayout(segmentShift: superblock.segmentShift)
    let within = Int(address.block) & (layout.blocks - 1)
    if within < layout.firstUsableBlock {
      find(.inCountImage(address), at: here, volumes: volumes)
      return false
    }
    return true
  }

  func isAddress(
    _ address: PoolAddress, of expected: SegmentClass, _ superblock: Superblock,
    at here: InspectionPlace, volumes: [VolumeID]
  ) -> Bool {
    let segment = address.block >> UInt64(superblock.segmentShift)
    guard !address.isNone, segment < UInt64(segments.count) else {
      find(.addressOutsidePool(address), at: here, volumes: volumes)
      return false
    }
    let found = segments[Int(segment)].segmentClass
    guard found == expected else {
      find(.wrongClass(address, found), at: here, volumes: volumes)
      return false
    }
    return true
  }

  /// Walks one of the pool's own trees and hands out its leaves in order.
  func walk(
    _ root: TreeRoot, type: NodeType, _ superblock: Superblock,
    leaf: (_ key: UInt64, _ node: NodeImage) -> Void
  ) {
    guard !root.isNone else { return }
    walk(root.pointer, level: root.level, key: 0, type, superblock, at: .pool, leaf: leaf)
  }

  private func walk(
    _ pointer: NodePointer, level: UInt8, key: UInt64, _ type: NodeType, _ superblock: Superblock,
    at here: InspectionPlace, leaf: (_ key: UInt64, _ node: NodeImage) -> Void
  ) {
    if pointer.birth > superblock.shareEpoch { find(.birthInFuture(pointer.birth), at: here) }
    let identity = NodeIdentity(
      type: type, level: level, key: key, owner: 0, address: pointer.address,
      checksum: pointer.checksum)
    guard let buffer = name(identity, superblock, at: here, volumes: []).buffer else { return }
    if level == 0 {
      leaf(key, buffer.node())
      return
    }
    for i in 0..<FormatConstants.pointersPerNode {
      let child = buffer.node().pointer(i)
      guard !child.isNone else { continue }
      walk(
        child, level: level - 1, key: key * UInt64(FormatConstants.pointersPerNode) + UInt64(i),
        type, superblock, at: .node(pointer.address), leaf: leaf)
    }
  }

  // MARK: Catalogue

  func walkCatalogue(_ superblock: Superblock) {
    var volumes: [VolumeRecord] = []
    walk(superblock.catalogue, type: .catalogue, superblock) { key, node in
      for slot in 0..<FormatConstants.volumesPerLeaf {
        guard let volume = try? VolumeRecord.decode(from: node, slot: slot) else { continue }
        let number = key * UInt64(FormatConstants.volumesPerLeaf) + UInt64(slot)
        if volume.id.number != number { find(.volumeInWrongSlot, at: .volume(volume.id)) }
        volumes.append(volume)
      }
    }
    report.totals.volumes = volumes.count
    checkNames(volumes)
    for volume in volumes { inspect(volume, superblock) }
  }

  private func checkNames(_ volumes: [VolumeRecord]) {
    var names: [String: VolumeID] = [:]
    var identifiers: [StorageUUID: VolumeID] = [:]
    for volume in volumes {
      if let other = names.updateValue(volume.id, forKey: volume.name) {
        find(.volumeNameTwice(other), at: .volume(volume.id), volumes: [volume.id])
      }
      if let other = identifiers.updateValue(volume.id, forKey: volume.uuid) {
        find(.volumeUUIDTwice(other), at: .volume(volume.id), volumes: [volume.id])
      }
    }
  }

  private func inspect(_ volume: VolumeRecord, _ superblock: Superblock) {
    let here = InspectionPlace.volume(volume.id)
    let volumes = [volume.id]
    if volume.id.number >= superblock.nextVolumeID {
      find(.volumeNotBelowNextID(next: superblock.nextVolumeID), at: here, volumes: volumes)
    }
    if volume.shareEpoch >= superblock.shareEpoch {
      find(.shareEpochInFuture(volume.shareEpoch), at: here, volumes: volumes)
    }
    var summary = SubtreeSummary()
    if !volume.root.isNone {
      let needed = TreeShape.level(
        forCount: ByteCount(volume.sizeBytes).extentsRoundingUp,
        leafCapacity: FormatConstants.entriesPerLeaf)
      if volume.root.level < needed {
        find(.rootTooLow(level: volume.root.level, needed: needed), at: here, volumes: volumes)
      }
      let walk = MapWalk(
        family: volume.family, volumes: volumes,
        writer: volume.isReadOnly ? nil : volume.id, shareEpoch: volume.shareEpoch, cursor: nil)
      summary = self.walk(
        volume.root.pointer, level: volume.root.level, key: 0, walk, superblock, at: here)
    }
    let blocks = (volume.sizeBytes + 4095) / 4096
    if summary.endBlock > blocks
      || summary.endExtent > ByteCount(volume.sizeBytes).extentsRoundingUp
    {
      find(.mappedBeyondEnd, at: here, volumes: volumes)
    }
    if summary.allocatedExtents != volume.allocatedExtents {
      find(
        .allocatedExtents(
          stored: volume.allocatedExtents, recounted: summary.allocatedExtents), at: here,
        volumes: volumes)
    }
    if summary.mappedBlocks != volume.mappedBlocks {
      find(
        .mappedBlocks(stored: volume.mappedBlocks, recounted: summary.mappedBlocks), at: here,
        volumes: volumes)
    }
  }

  // MARK: Doomed list

  func walkDoomedList(_ superblock: Superblock) {
    var entries: [DoomedEntry] = []
    var nextSlot: UInt64 = 0
    walk(superblock.doomed, type: .doomed, superblock) { key, node in
      for i in 0..<FormatConstants.doomedPerLeaf {
        guard let entry = try? DoomedEntry.decode(from: node, index: i) else { continue }
        let slot = key * UInt64(FormatConstants.doomedPerLeaf) + UInt64(i)
        if slot != nextSlot { find(.doomedListGap, at: .doomed(entry.id)) }
        nextSlot = slot + 1
        entries.append(entry)
      }
    }
    report.totals.doomedTrees = entries.count
    var ids: Set<RecordNumber> = []
    for entry in entries {
      let here = InspectionPlace.doomed(entry.id)
      if !ids.insert(entry.id).inserted { find(.doomedTwice, at: here) }
      if entry.id > superblock.checkpointRecord { find(.doomedInFuture, at: here) }
      let cursor = DropCursor(end: entry.cursorEnd.index, level: entry.cursorLevel)
      if cursor.hasDropped(level: entry.root.level, key: 0) {
        find(.doomedAlreadyDropped, at: here)
        continue
      }
      let walk = MapWalk(
        family: entry.family, volumes: [], writer: nil, shareEpoch: .zero, cursor: cursor)
      _ = self.walk(
        entry.root.pointer, level: entry.root.level, key: 0, walk, superblock, at: here)
    }
  }
}
