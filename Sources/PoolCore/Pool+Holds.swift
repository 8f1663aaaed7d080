public import DiskFormat
import StorageUnits

/// Holds refuse the deletion of a volume or snapshot: each has a tag that is unique among those of
/// its volume, and a reason for whoever is refused.
extension Pool {
  /// So many holds fit into a pool: each checkpoint with a change writes all of them.
  public static let holdsAtMost = 4096

  /// All holds, or those of one volume or snapshot; in the order in which they were placed.
  public func holds(of volume: VolumeSlot? = nil) -> [HoldEntry] {
    guard let volume else { return holds }
    let id = volumes.states[volume.index].id
    return holds.filter { $0.volume == id }
  }

  /// A tag keeps the rule of names, and has at most 63 characters.
  public static func isValidTag(_ tag: String) -> Bool {
    isValidName(tag) && tag.utf8.count <= HoldEntry.maximumTagBytes
  }

  public func prepareHold(
    _ slot: VolumeSlot, tag: String, reason: String
  ) throws(PoolError) {
    guard Self.isValidTag(tag) else { throw .invalidTag(tag) }
    // What is received may have to go again.
    let record = volumes.record(slot.index)
    guard !record.isReceiving else { throw .isBeingReceived(record.name) }
    guard reason.utf8.count <= HoldEntry.maximumReasonBytes, !reason.utf8.contains(0) else {
      throw .badReason
    }
    guard !holds(of: slot).contains(where: { $0.tag == tag }) else {
      throw .holdExists(volumes.shownName(slot.index), tag)
    }
    guard holds.count < Self.holdsAtMost else { throw .tooManyHolds(Self.holdsAtMost) }
    try prepareCatalogueChange(.reclaim)
  }

  public func applyHold(_ slot: VolumeSlot, tag: String, reason: String, createdAt: UInt64) {
    let entry = HoldEntry(
      volume: volumes.states[slot.index].id, tag: tag, reason: reason, createdAt: createdAt)
    _ = applyNew(.hold(HoldChange(.place, entry)))
  }

  public func prepareRelease(_ slot: VolumeSlot, tag: String) throws(PoolError) {
    guard holds(of: slot).contains(where: { $0.tag == tag }) else {
      throw .noSuchHold(volumes.shownName(slot.index), tag)
    }
    try prepareCatalogueChange(.essential)
  }

  public func applyRelease(_ slot: VolumeSlot, tag: String) {
    guard let entry = holds(of: slot).first(where: { $0.tag == tag }) else {
      preconditionFailure("a change was applied without being prepared")
    }
    _ = applyNew(.hold(HoldChange(.release, entry)))
  }

  /// Refuses to give up what is held.
  func checkNotHeld(_ slot: Int) throws(PoolError) {
    guard volumes.record(slot).holds > 0 else { return }
    throw .held(volumes.shownName(slot), holds(of: VolumeSlot(index: slot)))
  }

  // MARK: Records

  func applyHoldChange(_ change: HoldChange) {
    guard let slot = volumes.slot(change.entry.volume) else {
      preconditionFailure("no such volume")
    }
    switch change.action {
    case .place:
      holds.append(change.entry)
      volumes.addHolds(slot, 1)
    case .release:
      guard let index = holds.firstIndex(of: change.entry) else {
        preconditionFailure("no such hold")
      }
      holds.remove(at: index)
      volumes.addHolds(slot, -1)
    }
    areHoldsDirty = true
    updateTableReserve()
  }

  func checkHoldChange(_ change: HoldChange) throws(FormatError) {
    let entry = change.entry
    guard volumes.slot(entry.volume) != nil else { throw .badField(.record, "volume") }
    switch change.action {
    case .place:
      guard Self.isValidTag(entry.tag),
        !holds.contains(where: { $0.volume == entry.volume && $0.tag == entry.tag })
      else { throw .badField(.record, "tag") }
      guard holds.count < Self.holdsAtMost else { throw .badField(.record, "holds") }
    case .release:
      guard holds.contains(entry) else { throw .badField(.record, "tag") }
    }
  }
}
