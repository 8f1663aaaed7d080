public import DiskFormat
public import StorageUnits

extension Pool {
  // MARK: Maps

  /// Applies a change of one entry, computed against the entry as it is now; `prepareMap` said that
  /// it may be. Nil: the entry stays as it was, and there is no record.
  ///
  /// A fresh extent that the change brings is named by it, or was before.
  public func applyMap(
    _ volume: VolumeSlot, _ extent: VirtualExtent, _ change: EntryChange, more: Bool = false
  ) -> AppliedRecord? {
    let state = volumes.states[volume.index]
    guard case .entry(let old) = lookup(volume, extent) else {
      preconditionFailure("a change was applied without being prepared")
    }
    let new = old.applying(
      change, shareEpoch: state.shareEpoch, bookmarkEpoch: state.bookmarkEpoch,
      poolEpoch: shareEpoch)
    if let fresh = change.freshExtent, old.upper.address != fresh {
      precondition(heldExtents > 0)
      heldExtents -= 1
    }
    guard new != old else { return nil }
    setMapEntry(volume.index, extent, from: old, to: new)
    lastRecord = records.nextNumber
    return records.append(map: state.id, extent, new, more: more)
  }

  func setMapEntry(
    _ volume: Int, _ extent: VirtualExtent, from old: MapEntry, to new: MapEntry
  ) {
    let leaf = mutableLeaf(volume, extent)
    setEntry(new, index: Int(MapPath(extent).indices[0]), leaf: leaf)
    volumes.states[volume].allocatedExtents &+= UInt64(
      bitPattern: Int64(new.extentCount - old.extentCount))
    volumes.states[volume].mappedBlocks &+= UInt64(
      bitPattern: Int64(new.mask.count - old.mask.count))
    volumes.markDirty(volume)
  }

  // MARK: Volumes

  /// Checks a new volume; its id is assigned when it is applied.
  public func prepareCreate(_ record: VolumeRecord) throws(PoolError) {
    guard Self.isValidName(record.name) else { throw .invalidName(record.name) }
    guard volumes.slot(named: record.name) == nil else { throw .volumeExists(record.name) }
    guard record.logicalBlockBytes == 512 || record.logicalBlockBytes == 4096,
      record.sizeBytes > 0, record.sizeBytes <= StorageSizes.maximumVolumeBytes,
      record.sizeBytes % UInt64(record.logicalBlockBytes) == 0
    else { throw .invalidSize(record.sizeBytes) }
    try prepareCatalogueChange(.reclaim)
  }

  public func applyCreate(_ record: VolumeRecord) -> AppliedRecord {
    var record = record
    record.id = VolumeID(volumes.nextID)
    record.family = record.id.number
    return applyNew(.createVolume(record))
  }

  public func prepareDelete(_ slot: VolumeSlot) throws(PoolError) {
    try checkDeletable(slot)
    try prepareCatalogueChange(.essential)
  }

  /// Why the volume may not be deleted at all.
  public func checkDeletable(_ slot: VolumeSlot) throws(PoolError) {
    let id = volumes.states[slot.index].id
    let snapshots = volumes.states[slot.index].isSnapshot ? [] : volumes.snapshots(of: id)
    guard snapshots.isEmpty else {
      throw .hasSnapshots(volumes.shownName(slot.index), snapshots.map(volumes.shownName))
    }
    if isReceiveBase(slot) { throw .isBeingReceived(volumes.shownName(slot.index)) }
    try checkNotHeld(slot.index)
  }

  /// The volume is gone; its map is doomed and is dropped by `applyDrop` steps.
  public func applyDelete(_ slot: VolumeSlot) -> AppliedRecord {
    giveBackStreams(of: slot)
    return applyNew(.deleteVolume(volumes.states[slot.index].id))
  }

  /// 1 to 127 characters of `[A-Za-z0-9._-]`.
  public static func isValidName(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.count <= 127
      && name.utf8.allSatisfy { c in
        (0x30...0x39).contains(c) || (0x41...0x5A).contains(c) || (0x61...0x7A).contains(c)
          || c == 0x2E || c == 0x5F || c == 0x2D
      }
  }

  func prepareCatalogueChange(
    _ tier: SpaceTier, nodes: Int = 4, touchingSegments segments: Int = 4
  ) throws(PoolError) {
    let isWithin = isWithinBounds(addingNodes: nodes - 4, touchingSegments: segments)
    guard isWithin || tier == .essential else {
      throw .mustWaitForCheckpoint
    }
    guard hasNodeSpace(tier, for: nodes) else { throw .noSpace(.nodeSpace) }
  }

  // MARK: Records

  /// Applies a record and appends it to the buffer. `more`: the next belongs to the same group.
  func applyNew(_ record: Record, more: Bool = false) -> AppliedRecord {
    apply(record, number: records.nextNumber)
    lastRecord = records.nextNumber
    return records.append(record, more: more)
  }

  func apply(_ record: Record, number: RecordNumber) {
    switch record {
    case .map(let volume, let extent, let entry):
      guard let slot = volumes.slot(volume),
        case .entry(let old) = lookup(VolumeSlot(index: slot), extent)
      else { preconditionFailure("a record was applied without being prepared") }
      if old != entry { setMapEntry(slot, extent, from: old, to: entry) }
    case .createVolume(let record):
      volumes.markDirty(volumes.add(record))
      volumes.nextID = max(volumes.nextID, record.id.number + 1)
      updateTableReserve()
    case .alterVolume(let record):
      guard let slot = volumes.slot(record.id) else { preconditionFailure("no such volume") }
      volumes.alter(slot, to: record)
    case .deleteVolume(let id):
      guard let slot = volumes.slot(id) else { preconditionFailure("no such volume") }
      let state = volumes.states[slot]
      volumes.remove(slot)
      doom(state, number: number)
      removeBookmarks(of: id)
      forgetOwed(of: id)
      updateTableReserve()
    case .segmentClass(let segment, let newClass, let partner):
      applySegmentClass(Int(segment.index), newClass, partner: partner.map { Int($0.index) })
    case .drop(let step):
      applyDropStep(step, number: number)
    case .snapshot(let source, let snapshot): applySnapshot(of: source, snapshot)
    case .clone(let source, let clone): applyClone(of: source, clone)
    case .rollback(let volume, let snapshot):
      applyRollback(of: volume, to: snapshot, number: number)
    case .unshare(let volume, let branchPoint): applyUnshare(volume, branchPoint)
    case .createBookmark(let bookmark): applyBookmark(bookmark, number: number)
    case .deleteBookmark(let id): applyBookmarkDeletion(id)
    case .resize(let step): applyResizeStep(step, number: number)
    case .hold(let change): applyHoldChange(change)
    case .owed(let change): applyOwedChange(change)
    case .settings(let settings): trashExpirySeconds = settings.trashExpirySeconds
    }
  }

  private func applySegmentClass(_ segment: Int, _ newClass: SegmentClass, partner: Int?) {
    let old = segments.entries[segment]
    if newClass == .free {
      precondition(old.segmentClass == .data)
      dataSpace.remove(segment)
      if !old.countPage.isNone { nodeSpace.add(old.countPage, -1) }
      if smallSegment == segment { smallSegment = nil }
      for (device, current) in streamSegments where current == segment {
        streamSegments[device] = nil
      }
    }
    segments.setClass(segment, newClass, partner: partner)
    switch newClass {
    case .data: dataSpace.add(segment)
    case .node: nodeSpace.add(UInt32(segment), counts: nil)
    case .free, .lent: break
    }
  }
}

extension EntryChange {
  /// The extent that the change brings into the entry.
  var freshExtent: PoolAddress? {
    switch self {
    case .wroteFresh(let extent, _, _): extent
    case .provisioned(_, let extent): extent
    case .wroteInPlace, .cleared, .raised: nil
    }
  }
}
