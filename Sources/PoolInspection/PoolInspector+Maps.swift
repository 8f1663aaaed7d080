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

  /// Whether it is the pair of a node at all, or of none yet.
  var isPair: Bool {
    end == 0 ? level == 0 : level <= FormatConstants.maximumLevel && end % Self.span(level) == 0
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
    } else {
      nodes[address]?.summary.isPartial = true
    }
    let summary = nodes[address]?.summary ?? SubtreeSummary(isPartial: true)
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
    leafExtents.removeAll(keepingCapacity: true)
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
        leafExtents.append(layer.address.extent.index)
        settle(layer, at: extent, walk)
      }
    }
    leafExtents.sort()
    var before: UInt64 = 0
    for extent in leafExtents where extent != before {
      extents.name(extent)
      before = extent
    }
    return summary
  }

  private func settle(_ layer: Layer, at extent: VirtualExtent, _ walk: MapWalk) {
    let isWritable = walk.writer != nil && layer.birth > walk.shareEpoch && !layer.isPacked
    let conflict = extents.settle(
      layer, at: extent, family: walk.family, isWritable: isWritable)
    guard let conflict else { return }
    let here = InspectionPlace.extent(layer.address.extent)
    switch conflict {
    case .otherPlace: find(.extentAtTwoPlaces, at: here, volumes: walk.volumes)
    case .sharedWritable: find(.writableButShared, at: here, volumes: walk.volumes)
    case .packedOverlap: find(.packedOverlap, at: here, volumes: walk.volumes)
    }
  }
}
