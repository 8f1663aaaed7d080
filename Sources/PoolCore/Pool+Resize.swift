public import DiskFormat
public import StorageUnits

/// Another size for a volume, in one record whatever the sizes.
///
/// Growing puts new roots above the old one. Shrinking splits the map at the new end: what lies
/// beyond goes, node by node on one path, into a tree of its own, which is doomed and dropped in
/// the background like a deleted volume's. So there is no moment at which part of it is cleared,
/// and nothing old can show when the volume grows again.
extension Pool {
  /// What a smaller size would cut off.
  public struct CutOff: Hashable, Sendable {
    public var extents: UInt64
    public var blocks: UInt64

    public init(extents: UInt64 = 0, blocks: UInt64 = 0) {
      self.extents = extents
      self.blocks = blocks
    }

    /// Adds an entry that lies wholly beyond the end.
    public mutating func add(_ entry: MapEntry) {
      extents += UInt64(entry.extentCount)
      blocks += UInt64(entry.mask.count)
    }
  }

  /// Checks a new size, without regard to what the map holds.
  public func checkResize(_ volume: VolumeSlot, to sizeBytes: UInt64) throws(PoolError) {
    let record = volumes.record(volume.index)
    guard record.origin == nil else { throw .isSnapshot(volumes.shownName(volume.index)) }
    guard sizeBytes > 0, sizeBytes <= StorageSizes.maximumVolumeBytes,
      sizeBytes % UInt64(record.logicalBlockBytes) == 0
    else { throw .invalidSize(sizeBytes) }
  }

  /// Whether `applyResize` may follow, or which node it needs. Only shrinking needs any: those on
  /// the way to the last extent that stays.
  public func prepareResize(
    _ volume: VolumeSlot, to sizeBytes: UInt64
  ) throws(PoolError) -> NodeLoad? {
    try checkResize(volume, to: sizeBytes)
    try prepareCatalogueChange(
      .reclaim, nodes: 4 + 2 * Self.nodesPerChange,
      touchingSegments: CountDeltas.segmentsOfALeafCopy(of: segments.count))
    return missingForResize(volume.index, to: sizeBytes)
  }

  func missingForResize(_ volume: Int, to sizeBytes: UInt64) -> NodeLoad? {
    cache.makeRoom(2 * Self.nodesPerChange)
    guard sizeBytes < volumes.states[volume].sizeBytes else { return nil }
    return missingOnPath(volume, Self.lastExtent(ofSize: sizeBytes))
  }

  /// The volume has this size from now on. `cut`: what entries wholly beyond the new end hold.
  /// `rewritten`: an extent that was taken and to which the blocks of the last extent that stay
  /// were copied, with zeros behind the end of the last one. All of it is one group.
  public func applyResize(
    _ volume: VolumeSlot, to sizeBytes: UInt64, cut: CutOff, rewritten: PoolAddress? = nil
  ) {
    let id = volumes.states[volume.index].id
    if let rewritten {
      let extent = Self.lastExtent(ofSize: sizeBytes)
      let stays = Self.lastBlocks(ofSize: sizeBytes)
      _ = applyMap(
        volume, extent, .cleared(mask: BlockMask.all - stays, keepsProvision: true), more: true)
      guard case .entry(let entry) = lookup(volume, extent) else {
        preconditionFailure("a change was applied without being prepared")
      }
      _ = applyMap(
        volume, extent, .wroteFresh(extent: rewritten, written: .none, copied: entry.mask),
        more: true)
    }
    _ = applyNew(
      .resize(
        ResizeStep(
          volume: id, sizeBytes: sizeBytes, cutExtents: cut.extents, cutBlocks: cut.blocks)))
  }

  /// The extent that holds the last byte of a volume of this size.
  public static func lastExtent(ofSize sizeBytes: UInt64) -> VirtualExtent {
    VirtualExtent(containingByte: sizeBytes - 1)
  }

  /// The blocks of the last extent that a volume of this size has.
  public static func lastBlocks(ofSize sizeBytes: UInt64) -> BlockMask {
    let blocks = (sizeBytes + UInt64(StorageSizes.blockBytes) - 1) >> 12
    return BlockMask(first: 0, count: Int((blocks - 1) & 15) + 1)
  }

  // MARK: Applying

  func applyResizeStep(_ step: ResizeStep, number: RecordNumber) {
    guard let slot = volumes.slot(step.volume) else { preconditionFailure("no such volume") }
    if step.sizeBytes < volumes.states[slot].sizeBytes {
      cutOff(slot, at: step, number: number)
    }
    volumes.states[slot].resize(to: step.sizeBytes)
    forgetOwed(of: step.volume, from: ByteCount(step.sizeBytes).blocksRoundingUp)
    raiseRoot(slot)
    volumes.markDirty(slot)
    updateTableReserve()
  }

  /// New roots above, until one spans the size.
  private func raiseRoot(_ volume: Int) {
    let state = volumes.states[volume]
    guard !state.root.isNone else { return }
    var root = state.root
    while root.level < state.rootLevel {
      let slot = cache.make(
        generation: generation, level: root.level + 1, key: 0, owner: state.family,
        birth: shareEpoch)
      cache.image(slot).setPointer(cache.resolved(root.pointer), 0)
      root = TreeRoot(pointer: cache.memoryPointer(slot), level: root.level + 1)
    }
    volumes.states[volume].root = root
  }

  private func cutOff(_ volume: Int, at step: ResizeStep, number: RecordNumber) {
    let path = MapPath(Self.lastExtent(ofSize: step.sizeBytes))
    if let lowest = lowestLevelToSplit(volume, path) {
      split(volume, path, downTo: lowest, number: number)
    }
    volumes.states[volume].allocatedExtents -= step.cutExtents
    volumes.states[volume].mappedBlocks -= step.cutBlocks
    clearLastExtent(volume, step.sizeBytes)
  }

  /// The lowest level on the path with something beyond it; nil if nothing lies beyond.
  private func lowestLevelToSplit(_ volume: Int, _ path: MapPath) -> UInt8? {
    var pointer = volumes.states[volume].root.pointer
    var level = volumes.states[volume].root.level
    var lowest: UInt8?
    while !pointer.isNone {
      let image = cache.image(cache.find(pointer))
      let index = Int(path.indices[Int(level)])
      if level == 0 {
        let beyond = index + 1..<FormatConstants.entriesPerLeaf
        return beyond.contains { !image.entry($0).isNone } ? 0 : lowest
      }
      let beyond = index + 1..<FormatConstants.pointersPerNode
      if beyond.contains(where: { !image.pointer($0).isNone }) { lowest = level }
      pointer = image.pointer(index)
      level -= 1
    }
    return lowest
  }

  /// Moves everything beyond the path into a tree of its own, which is doomed.
  private func split(
    _ volume: Int, _ path: MapPath, downTo lowest: UInt8, number: RecordNumber
  ) {
    let state = volumes.states[volume]
    var level = state.root.level
    let root = mutableNode(state.root.pointer, level: level, path, volume)
    volumes.states[volume].root = TreeRoot(pointer: root, level: level)
    var left = cache.find(root)
    var right = cache.make(
      generation: generation, level: level, key: path.key(level: level), owner: state.family,
      birth: shareEpoch)
    let doomedRoot = TreeRoot(pointer: cache.memoryPointer(right), level: level)
    while level > 0 {
      let index = Int(path.indices[Int(level)])
      movePointers(beyond: index, from: left, to: right)
      guard level > lowest else { break }
      let old = cache.image(left).pointer(index)
      level -= 1
      let child = mutableNode(old, level: level, path, volume)
      if child != old { cache.image(left).setPointer(child, index) }
      let other = cache.make(
        generation: generation, level: level, key: path.key(level: level), owner: state.family,
        birth: shareEpoch)
      cache.image(right).setPointer(cache.memoryPointer(other), index)
      left = cache.find(child)
      right = other
    }
    if level == 0 { moveEntries(beyond: Int(path.indices[0]), from: left, to: right) }
    versions.attach(state.versionNode)
    doomed.append(
      DoomedEntry(
        id: number, family: state.family, root: doomedRoot, cursorEnd: VirtualExtent(index: 0),
        cursorLevel: 0, versionNode: state.versionNode))
    isDoomedDirty = true
  }

  private func mutableNode(
    _ pointer: NodePointer, level: UInt8, _ path: MapPath, _ volume: Int
  ) -> NodePointer {
    makeMutable(pointer, level: level, key: path.key(level: level), of: volumes.states[volume])
  }

  /// What a node names goes to another: no count changes. An empty place keeps a birth, for whoever
  /// asks what has changed.
  private func movePointers(beyond index: Int, from left: Int, to right: Int) {
    for i in index + 1..<FormatConstants.pointersPerNode {
      let pointer = cache.image(left).pointer(i)
      if pointer.isNone { continue }
      cache.image(right).setPointer(pointer, i)
      cache.image(left).setPointer(
        NodePointer(address: .none, checksum: 0, birth: shareEpoch), i)
    }
  }

  /// Only an extent of packed layers on both sides gets a second name.
  private func moveEntries(beyond index: Int, from left: Int, to right: Int) {
    for i in index + 1..<FormatConstants.entriesPerLeaf {
      let entry = cache.image(left).entry(i)
      if entry.isNone { continue }
      cache.image(right).setEntry(entry, i)
      cache.image(left).setEntry(.emptied(at: shareEpoch), i)
    }
    var stays: Set<PoolExtent> = []
    forEachNamedExtent(inLeaf: left) { stays.insert($0) }
    forEachNamedExtent(inLeaf: right) { if stays.contains($0) { dataSpace.addCount($0, 1) } }
  }

  /// The blocks of the last extent that lie wholly beyond the end.
  private func clearLastExtent(_ volume: Int, _ sizeBytes: UInt64) {
    let extent = Self.lastExtent(ofSize: sizeBytes)
    guard case .entry(let old) = lookup(VolumeSlot(index: volume), extent), !old.isNone else {
      return
    }
    let beyond = BlockMask.all - Self.lastBlocks(ofSize: sizeBytes)
    guard old.mask.intersects(beyond) else { return }
    let state = volumes.states[volume]
    let new = old.applying(
      .cleared(mask: beyond, keepsProvision: true), shareEpoch: state.shareEpoch,
      bookmarkEpoch: state.bookmarkEpoch, poolEpoch: shareEpoch)
    setMapEntry(volume, extent, from: old, to: new)
  }
}

extension MapEntry {
  /// An entry that names nothing, since this share epoch.
  static func emptied(at birth: ShareEpoch) -> MapEntry {
    MapEntry(upper: Layer(address: .none, mask: .none, birth: birth), lower: .none)
  }
}
