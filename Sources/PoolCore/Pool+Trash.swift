import DiskFormat
public import StorageUnits

/// What was deleted waits in the trash, as it was, until it is restored, expires, or its space is
/// needed: then it is deleted for good.
///
/// A volume goes into the trash with its snapshots, as one item: only its own record says so, and
/// they are out of reach with it. A snapshot may be an item of its own. The names of all of them
/// are free meanwhile.
extension Pool {
  /// An item of the trash.
  public struct TrashedItem: Hashable, Sendable {
    public var volume: VolumeID
    /// As it was: VOLUME, or VOLUME@SNAPSHOT.
    public var name: String
    /// Seconds since 1970.
    public var trashedAt: UInt64
    /// 0 for never.
    public var expiresAt: UInt64
    /// Of the volume and its snapshots.
    public var snapshotCount: Int
    public var sizeBytes: UInt64
    /// Extents that the maps of all of it name, shared ones included.
    public var allocatedExtents: UInt64
  }

  /// When an item that is being deleted for good, part by part, was to expire: it is not restored.
  static let condemnedExpiry: UInt64 = 1

  /// All volumes and snapshots, those in the trash as well.
  public var volumeIDs: [VolumeID] {
    volumes.states.indices.filter { volumes.states[$0].isUsed }.map { volumes.states[$0].id }
  }

  /// The volume or snapshot is in the trash, by itself or with its volume.
  public func isInTrash(_ slot: VolumeSlot) -> Bool { volumes.isInTrash(slot.index) }

  /// The items in the order in which they were thrown away.
  public var trash: [TrashedItem] { volumes.trashedSlots.map(trashedItem) }

  public var hasTrash: Bool { !volumes.trashedSlots.isEmpty }

  private func trashedItem(_ slot: Int) -> TrashedItem {
    let record = volumes.record(slot)
    let snapshots = record.origin == nil ? volumes.snapshots(of: record.id) : []
    return TrashedItem(
      volume: record.id, name: volumes.shownName(slot), trashedAt: record.trashedAt,
      expiresAt: record.expiresAt, snapshotCount: snapshots.count, sizeBytes: record.sizeBytes,
      allocatedExtents: snapshots.reduce(record.allocatedExtents) {
        $0 + volumes.states[$1].allocatedExtents
      })
  }

  /// The slots that go with a volume or snapshot: itself and its snapshots.
  public func unit(of slot: VolumeSlot) -> [VolumeSlot] {
    let state = volumes.states[slot.index]
    let snapshots = state.isSnapshot ? [] : volumes.snapshots(of: state.id)
    return [slot] + snapshots.map { VolumeSlot(index: $0) }
  }

  // MARK: Throwing away

  /// Why a volume or snapshot may not go into the trash.
  public func checkTrashable(_ slot: VolumeSlot) throws(PoolError) {
    for part in unit(of: slot) {
      try checkNotHeld(part.index)
      if volumes.record(part.index).isReceiving || isReceiveBase(part) {
        throw .isBeingReceived(volumes.shownName(part.index))
      }
    }
  }

  public func prepareTrash(_ slot: VolumeSlot) throws(PoolError) {
    try checkTrashable(slot)
    try prepareCatalogueChange(.essential)
  }

  /// `now`: seconds since 1970.
  public func applyTrash(_ slot: VolumeSlot, now: UInt64) {
    giveBackStreams(of: slot)
    var record = volumes.record(slot.index)
    record.isInTrash = true
    record.trashedAt = max(now, 1)
    record.expiresAt = max(now, 1) + UInt64(trashExpirySeconds)
    _ = applyNew(.alterVolume(record.withoutDerivedFields))
  }

  func giveBackStreams(of slot: VolumeSlot) {
    volumes.states[slot.index].streams.giveBackAll { first, count in
      giveBack(run: (first, count))
    }
  }

  // MARK: Restoring

  /// `name`: its own; of a snapshot, without its volume's.
  public func prepareRestore(_ slot: VolumeSlot, as name: String) throws(PoolError) {
    let record = volumes.record(slot.index)
    guard record.isInTrash, record.expiresAt != Self.condemnedExpiry else {
      throw .notInTrash(volumes.shownName(slot.index))
    }
    if let origin = record.origin.flatMap(volumes.slot), volumes.isInTrash(origin) {
      throw .volumeInTrash(volumes.shownName(origin))
    }
    try checkName(name, of: record, except: nil)
    try prepareCatalogueChange(.essential)
  }

  public func applyRestore(_ slot: VolumeSlot, as name: String) {
    var record = volumes.record(slot.index)
    record.name = name
    record.isInTrash = false
    record.trashedAt = 0
    record.expiresAt = 0
    _ = applyNew(.alterVolume(record.withoutDerivedFields))
  }

  // MARK: Emptying

  /// The oldest item; one that was begun with first.
  public var nextTrash: VolumeSlot? {
    let slots = volumes.trashedSlots
    let begun = slots.first { volumes.record($0).expiresAt == Self.condemnedExpiry }
    return (begun ?? slots.first).map { VolumeSlot(index: $0) }
  }

  /// The first item whose time has come; `now`: seconds since 1970.
  public func expiredTrash(now: UInt64) -> VolumeSlot? {
    volumes.trashedSlots.first {
      let expiry = volumes.record($0).expiresAt
      return expiry != 0 && expiry <= now
    }.map { VolumeSlot(index: $0) }
  }

  /// When the next item expires, in seconds since 1970.
  public var nextExpiry: UInt64? { volumes.nextExpiry }

  /// Nothing lives in the slot any more.
  public func isFree(_ slot: VolumeSlot) -> Bool { !volumes.states[slot.index].isUsed }

  /// Takes one step in deleting an item of the trash for good; true if it was the last. There must
  /// be room for a record.
  ///
  /// An item of several parts is marked first, so that after a crash in between it is not restored
  /// without some of its snapshots.
  public func applyEmptyingStep(_ slot: VolumeSlot) -> Bool {
    var record = volumes.record(slot.index)
    precondition(record.isInTrash)
    let parts = unit(of: slot)
    if parts.count > 1 && record.expiresAt != Self.condemnedExpiry {
      record.expiresAt = Self.condemnedExpiry
      _ = applyNew(.alterVolume(record.withoutDerivedFields))
      return false
    }
    let part = parts.last ?? slot
    _ = applyDelete(part)
    return part == slot
  }

  // MARK: The pool's setting

  /// How long what is deleted stays in the trash; 0: it does not go there.
  public func applySettings(trashExpirySeconds: UInt32) {
    _ = applyNew(.settings(PoolSettings(trashExpirySeconds: trashExpirySeconds)))
  }
}
