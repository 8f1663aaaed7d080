public import DiskFormat
public import StorageUnits

/// Records that were read from a journal or the tail. Nothing about them is taken for granted: what
/// no writer would have made of the state as it now is gets refused before it is applied.
extension Pool {
  /// Applies a record that was read, after `prepare(replayed:)`.
  ///
  /// The records of a start are not journalled again: the checkpoint that ends it holds them.
  public func apply(replayed record: Record, number: RecordNumber) {
    precondition(number == lastRecord.next)
    isReplaying = true
    apply(record, number: number)
    lastRecord = number
    records.continueNumbering(at: number.next)
  }

  /// Whether a record that was read may be applied now, or which node it needs. An error: it does
  /// not fit the state, so the journal or the tables are damaged.
  public func prepare(replayed record: Record) throws(FormatError) -> Preparation {
    cache.makeRoom(Self.nodesPerChange)
    switch record {
    case .map(let volume, let extent, let entry):
      return try prepareReplayedMap(volume, extent, entry)
    case .createVolume(let record):
      try checkCreated(record)
    case .alterVolume(let record):
      try checkAltered(record)
    case .deleteVolume(let id):
      guard let slot = volumes.slot(id) else { throw .badField(.record, "volume") }
      guard volumes.record(slot).holds == 0 else { throw .badField(.record, "holds") }
    case .segmentClass(let segment, let newClass, let partner):
      try checkTransition(of: segment, to: newClass, partner: partner)
    case .drop(let step):
      return try prepareReplayedDrop(step)
    case .snapshot(let source, let snapshot): try checkSnapshot(of: source, snapshot)
    case .clone(let source, let clone): try checkClone(of: source, clone)
    case .rollback(let volume, let snapshot):
      guard let slot = volumes.slot(volume), !volumes.states[slot].isSnapshot else {
        throw .badField(.record, "volume")
      }
      guard let other = volumes.slot(snapshot), volumes.record(other).origin == volume else {
        throw .badField(.record, "snapshot")
      }
    case .unshare(let volume, let branchPoint):
      guard let slot = volumes.slot(volume), !volumes.states[slot].isSnapshot else {
        throw .badField(.record, "volume")
      }
      guard branchPoint < volumes.states[slot].shareEpoch else {
        throw .badField(.record, "branchPoint")
      }
    case .createBookmark(let bookmark): try checkBookmark(bookmark)
    case .deleteBookmark(let id):
      guard bookmark(id) != nil else { throw .badField(.record, "bookmark") }
    case .resize(let step): return try prepareReplayedResize(step)
    case .hold(let change): try checkHoldChange(change)
    case .owed(let change): try checkOwedChange(change)
    case .settings: break
    }
    return .ready
  }

  private func prepareReplayedMap(
    _ volume: VolumeID, _ extent: VirtualExtent, _ entry: MapEntry
  ) throws(FormatError) -> Preparation {
    guard let slot = volumes.slot(volume) else { throw .badField(.record, "volume") }
    guard extent.index < ByteCount(volumes.states[slot].sizeBytes).extentsRoundingUp else {
      throw .badField(.record, "extent")
    }
    try entry.validate()
    try checkLayer(entry.upper)
    try checkLayer(entry.lower)
    let old: MapEntry
    switch lookup(VolumeSlot(index: slot), extent) {
    case .missing(let load): return .missing(load)
    case .entry(let found): old = found
    }
    if let leaf = leafInMemory(slot, MapPath(extent)) {
      let index = Int(MapPath(extent).indices[0])
      try checkNeighbours(of: entry.upper, index, inLeaf: leaf, old)
      try checkNeighbours(of: entry.lower, index, inLeaf: leaf, old)
    }
    return .ready
  }

  private func prepareReplayedResize(
    _ step: ResizeStep
  ) throws(FormatError) -> Preparation {
    guard let slot = volumes.slot(step.volume), !volumes.states[slot].isSnapshot else {
      throw .badField(.record, "volume")
    }
    do throws(PoolError) {
      try checkResize(VolumeSlot(index: slot), to: step.sizeBytes)
    } catch { throw .badField(.record, "sizeBytes") }
    let state = volumes.states[slot]
    let shrinks = step.sizeBytes < state.sizeBytes
    guard step.cutExtents <= (shrinks ? state.allocatedExtents : 0) else {
      throw .badField(.record, "cutExtents")
    }
    guard step.cutBlocks <= (shrinks ? state.mappedBlocks : 0) else {
      throw .badField(.record, "cutBlocks")
    }
    return missingForResize(slot, to: step.sizeBytes).map(Preparation.missing) ?? .ready
  }

  private func checkLayer(_ layer: Layer) throws(FormatError) {
    guard layer.birth.number <= shareEpoch.number else { throw .badField(.record, "birth") }
    if layer.isNone { return }
    let segment = segments.segment(of: layer.address)
    guard segment < segments.count, segments.entries[segment].segmentClass == .data else {
      throw .badField(.record, "address")
    }
  }

  /// Packed layers share extents among themselves only: an extent with a plain layer has no other
  /// name in its leaf. (Their names are counted differently.)
  private func checkNeighbours(
    of layer: Layer, _ index: Int, inLeaf leaf: Int, _ old: MapEntry
  ) throws(FormatError) {
    if layer.isNone { return }
    if layer.address == old.upper.address || layer.address == old.lower.address { return }
    let image = cache.image(leaf)
    for other in 0..<FormatConstants.entriesPerLeaf where other != index {
      let entry = image.entry(other)
      let isMixed =
        entry.upper.isNamed(layer.address.extent) && !(layer.isPacked && entry.upper.isPacked)
        || entry.lower.isNamed(layer.address.extent) && !(layer.isPacked && entry.lower.isPacked)
      guard !isMixed else { throw .badField(.record, "address") }
    }
  }

  private func checkCreated(_ record: VolumeRecord) throws(FormatError) {
    try record.validate()
    // Ids are given in order, and this one is the next.
    guard record.id.number == volumes.nextID, record.family == record.id.number,
      volumes.slot(record.id) == nil
    else { throw .badField(.record, "volume") }
    guard Self.isValidName(record.name), volumes.slot(named: record.name) == nil else {
      throw .badField(.record, "name")
    }
    guard record.sizeBytes > 0 else { throw .badField(.record, "sizeBytes") }
    guard record.holds == 0 else { throw .badField(.record, "holds") }
    guard !record.isInTrash else { throw .badField(.record, "isInTrash") }
    guard record.shareEpoch == .zero, record.versionNode == 0, record.bookmarkEpoch == .zero,
      record.origin == nil, record.root.isNone, record.lineage == .zero
    else { throw .badField(.record, "root") }
  }

  private func checkSnapshot(
    of source: VolumeID, _ record: VolumeRecord
  ) throws(FormatError) {
    guard let slot = volumes.slot(source), !volumes.states[slot].isSnapshot else {
      throw .badField(.record, "source")
    }
    guard !owes(VolumeSlot(index: slot)) else { throw .badField(.record, "owed") }
    try checkBranch(record, of: slot)
    guard record.isReadOnly, record.origin == source,
      volumes.slot(snapshot: record.name, of: source) == nil
    else { throw .badField(.record, "origin") }
    guard record.versionNode == UInt64(shareEpoch.number), record.shareEpoch == shareEpoch else {
      throw .badField(.record, "versionNode")
    }
  }

  private func checkClone(of source: VolumeID, _ record: VolumeRecord) throws(FormatError) {
    guard let slot = volumes.slot(source), volumes.states[slot].isSnapshot else {
      throw .badField(.record, "source")
    }
    try checkBranch(record, of: slot)
    guard !record.isReadOnly, !record.isReceiving, record.origin == nil,
      volumes.slot(named: record.name) == nil
    else {
      throw .badField(.record, "name")
    }
    let node = volumes.states[slot].versionNode
    guard record.versionNode == UInt64(node.number), record.shareEpoch == node else {
      throw .badField(.record, "versionNode")
    }
  }

  private func checkBranch(_ record: VolumeRecord, of source: Int) throws(FormatError) {
    try record.validate()
    guard record.id.number == volumes.nextID, volumes.slot(record.id) == nil else {
      throw .badField(.record, "volume")
    }
    guard Self.isValidName(record.name) else { throw .badField(.record, "name") }
    guard record.holds == 0 else { throw .badField(.record, "holds") }
    guard !record.isInTrash else { throw .badField(.record, "isInTrash") }
    let state = volumes.states[source]
    guard record.family == state.family else { throw .badField(.record, "family") }
    guard record.bookmarkEpoch == .zero else { throw .badField(.record, "bookmarkEpoch") }
    guard record.sizeBytes == state.sizeBytes else { throw .badField(.record, "sizeBytes") }
    guard shareEpoch.number < UInt32.max - 1 else { throw .badField(.record, "shareEpoch") }
  }

  /// Free to data or node, and data to free when nothing in it is named: no others happen.
  private func checkTransition(
    of segment: SegmentIndex, to newClass: SegmentClass, partner: SegmentIndex?
  ) throws(FormatError) {
    let index = Int(segment.index)
    guard index < segments.count else { throw .badField(.record, "segment") }
    let old = segments.entries[index]
    switch (old.segmentClass, newClass) {
    case (.free, .data):
      guard index != 0, partner == nil else { throw .badField(.record, "segment") }
    case (.data, .free):
      guard partner == nil, dataSpace.isEmpty(index) else { throw .badField(.record, "segment") }
    case (.free, .node):
      guard let partner else { return }
      guard partner.index != 0, partner != segment, Int(partner.index) < segments.count else {
        throw .badField(.record, "partner")
      }
      let other = segments.entries[Int(partner.index)]
      guard other.segmentClass == .free, other.place?.device != old.place?.device else {
        throw .badField(.record, "partner")
      }
    default: throw .badField(.record, "class")
    }
  }
}

extension Layer {
  fileprivate func isNamed(_ extent: PoolExtent) -> Bool {
    !isNone && address.extent == extent
  }
}
