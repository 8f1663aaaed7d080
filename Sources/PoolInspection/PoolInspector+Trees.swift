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
      report.isRecountWhole = false
      return (false, nil)
    }
    nodes[key] = KnownNode(identity: identity, names: 1)
    let buffer = readCopies(
      places(of: identity.address, superblock), blockCount: 1, for: .node(identity.address),
      volumes: volumes,
      check: { (buffer) throws(InspectionRefusal) in
        try identity.check(buffer.node(), superblock)
      })
    // What it names is not known now, unless it is a count page, which names nothing.
    if buffer == nil && identity.type != .countPage { report.isRecountWhole = false }
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
}
