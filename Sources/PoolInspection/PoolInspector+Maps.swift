import DiskFormat
import StorageUnits

/// What a walk through a map carries along.
struct MapWalk {
  var family: UInt64
  /// Whom findings name.
  var volumes: [VolumeID]
  /// The volume that may change in place what is younger than its share epoch; nil for a read-only
  /// volume, a doomed tree, and below a pointer that is not younger.
  var writer: VolumeID?
  var shareEpoch: ShareEpoch
  /// How far a doomed tree was dropped.
  var cursor: DropCursor?
}

/// How far a doomed tree was dropped: nodes go in the order of (end of their span, level).
struct DropCursor: Hashable {
  /// In virtual extents.
  var end: UInt64
  var level: UInt8

  func hasDropped(level: UInt8, key: UInt64) -> Bool {
    let nodeEnd = Self.span(level) * (key + 1)
    return nodeEnd < end || nodeEnd == end && level <= self.level
  }

  /// Whether a node that was not dropped has a part that was.
  func isInside(level: UInt8, key: UInt64) -> Bool {
    !hasDropped(level: level, key: key) && end > Self.span(level) * key
  }

  private static func span(_ level: UInt8) -> UInt64 {
    TreeShape.span(level: level, leafCapacity: FormatConstants.entriesPerLeaf)
  }
}

extension PoolInspector {
  /// Counts the names in the map below `pointer` and says what it holds.
  func walk(
    _ pointer: NodePointer, level: UInt8, key: UInt64, _ walk: MapWalk, _ superblock: Superblock,
    at here: InspectionPlace
  ) -> SubtreeSummary {
    if pointer.birth > superblock.shareEpoch {
      find(.birthInFuture(pointer.birth), at: here, volumes: walk.volumes)
    }
    var below = walk
    let isPrivate = walk.writer != nil && pointer.birth > walk.shareEpoch
    if !isPrivate { below.writer = nil }
    let identity = NodeIdentity(
      type: .map, level: level, key: key, owner: walk.family, address: pointer.address,
      checksum: pointer.checksum)
    let address = pointer.address.block
    let (isKnown, buffer) = name(identity, superblock, at: here, volumes: walk.volumes)
    if isKnown {
      checkSharing(pointer.address, isPrivate: isPrivate, level: level, key: key, walk)
    } else if let buffer {
      nodes[address]?.writer = below.writer
      nodes[address]?.isPartlyDropped = walk.cursor?.isInside(level: level, key: key) ?? false
      let summary =
        level == 0
        ? nameExtents(of: buffer.node(), key: key, below, superblock, at: .node(pointer.address))
        : walkChildren(
          of: buffer.node(), pointer.address, level: level, key: key, below, superblock)
      nodes[address]?.summary = summary
    }
    let summary = nodes[address]?.summary ?? SubtreeSummary()
    if walk.writer != nil && !isPrivate && summary.youngest > walk.shareEpoch {
      find(
        .privateBelowShared(birth: summary.youngest, shareEpoch: walk.shareEpoch),
        at: .node(pointer.address), volumes: walk.volumes)
    }
    return summary
  }

  /// A node was reached that something else names too.
  private func checkSharing(
    _ address: PoolAddress, isPrivate: Bool, level: UInt8, key: UInt64, _ walk: MapWalk
  ) {
    guard let known = nodes[address.block] else { return }
    if isPrivate || known.writer != nil {
      let writers = known.writer.map { [$0] } ?? []
      find(.writableButShared, at: .node(address), volumes: writers + walk.volumes)
    }
    if known.isPartlyDropped || walk.cursor?.isInside(level: level, key: key) ?? false {
      find(.sharedWhileDropped, at: .node(address), volumes: walk.volumes)
    }
  }

  private func walkChildren(
    of node: NodeImage, _ address: PoolAddress, level: UInt8, key: UInt64, _ walk: MapWalk,
    _ superblock: Superblock
  ) -> SubtreeSummary {
    var summary = SubtreeSummary()
    for i in 0..<FormatConstants.pointersPerNode {
      let child = node.pointer(i)
      summary.youngest = max(summary.youngest, child.birth)
      let childKey = key * UInt64(FormatConstants.pointersPerNode) + UInt64(i)
      guard !child.isNone, walk.cursor?.hasDropped(level: level - 1, key: childKey) != true else {
        continue
      }
      summary.add(
        self.walk(
          child, level: level - 1, key: childKey, walk, superblock, at: .node(address)))
    }
    return summary
  }

  // MARK: Extents

  /// Counts one name of each extent that the leaf names, however many layers do.
  private func nameExtents(
    of node: NodeImage, key: UInt64, _ walk: MapWalk, _ superblock: Superblock,
    at here: InspectionPlace
  ) -> SubtreeSummary {
    var summary = SubtreeSummary()
    var named: Set<UInt64> = []
    for i in 0..<FormatConstants.entriesPerLeaf {
      let entry = node.entry(i)
      let extent = VirtualExtent(index: key * UInt64(FormatConstants.entriesPerLeaf) + UInt64(i))
      summary.add(entry, at: extent)
      for layer in [entry.upper, entry.lower] {
        if layer.birth > superblock.shareEpoch {
          find(.birthInFuture(layer.birth), at: here, volumes: walk.volumes)
        }
        guard !layer.isNone,
          isAddress(layer.address, of: .data, superblock, at: here, volumes: walk.volumes)
        else { continue }
        if layer.address.extent.index == 0 {
          find(.addressOutsidePool(layer.address), at: here, volumes: walk.volumes)
          continue
        }
        named.insert(layer.address.extent.index)
        if !layer.isPacked { settle(layer, at: extent, walk) }
      }
    }
    for extent in named { extentNames[extent, default: 0] += 1 }
    return summary
  }

  /// A plain extent belongs to one virtual extent of one family, and if a volume may write into it,
  /// to that volume alone.
  private func settle(_ layer: Layer, at extent: VirtualExtent, _ walk: MapWalk) {
    let writer = layer.birth > walk.shareEpoch ? walk.writer : nil
    let home = ExtentHome(family: walk.family, extent: extent, writer: writer)
    let index = layer.address.extent.index
    guard let other = extentHomes[index] else {
      extentHomes[index] = home
      return
    }
    let here = InspectionPlace.extent(layer.address.extent)
    if other.family != home.family || other.extent != home.extent {
      find(.extentAtTwoPlaces, at: here, volumes: walk.volumes)
    } else if other.writer != nil || writer != nil {
      find(
        .writableButShared, at: here, volumes: (other.writer.map { [$0] } ?? []) + walk.volumes)
    }
  }
}
