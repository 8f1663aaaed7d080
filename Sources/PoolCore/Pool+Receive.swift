import DiskFormat
public import StorageUnits

/// Volumes into which a stream is received.
///
/// Such a volume says so in its record, with the snapshot that it goes back to, so that a crash in
/// the middle leaves nothing behind: whoever opens the pool next finds it and undoes it. Ending
/// well makes the snapshot and takes the mark away in one group.
extension Pool {
  // MARK: Beginning

  /// Checks that a stream made upon `base`, a snapshot of `volume`, may be received into it.
  public func prepareReceive(
    into volume: VolumeSlot, upon base: VolumeSlot
  ) throws(PoolError) {
    let record = volumes.record(volume.index)
    let snapshot = volumes.record(base.index)
    guard record.origin == nil else { throw .isSnapshot(volumes.shownName(volume.index)) }
    guard !record.isReceiving else { throw .isBeingReceived(record.name) }
    guard snapshot.origin == record.id else {
      throw .isNoSnapshotOf(volumes.shownName(base.index), record.name)
    }
    // They share a root from the snapshot on; a change gives the volume another one.
    guard record.root == snapshot.root, record.sizeBytes == snapshot.sizeBytes, !owes(volume)
    else {
      throw .hasChanged(record.name, since: volumes.shownName(base.index))
    }
    try prepareCatalogueChange(.reclaim)
  }

  /// Marks the volume as being received.
  public func applyReceive(into volume: VolumeSlot, upon base: VolumeSlot) {
    var record = volumes.record(volume.index)
    record.isReceiving = true
    record.lineage = volumes.record(base.index).uuid
    _ = applyNew(.alterVolume(record.withoutDerivedFields))
  }

  // MARK: Ending well

  /// Checks that what was received may become the snapshot.
  public func prepareReceived(_ request: SnapshotRequest) throws(PoolError) {
    let record = volumes.record(request.source.index)
    guard record.isReceiving else { throw .noSuchVolume(record.name) }
    guard !owes(request.source) else { throw .owesDiscards(record.name) }
    guard Self.isValidName(request.name) else { throw .invalidName(request.name) }
    guard volumes.slot(snapshot: request.name, of: record.id) == nil else {
      throw .volumeExists("\(record.name)@\(request.name)")
    }
    try prepareBranches(1)
  }

  /// Makes the snapshot, which is `lineage` in the sender's pool, and takes the mark away; returns
  /// the snapshot's id.
  public func applyReceived(_ request: SnapshotRequest, lineage: StorageUUID) -> VolumeID {
    var snapshot = snapshotRecord(request)
    snapshot.lineage = lineage
    _ = applyNew(
      .snapshot(source: volumes.states[request.source.index].id, snapshot: snapshot), more: true)
    applyEndOfReceive(request.source)
    return snapshot.id
  }

  private func applyEndOfReceive(_ volume: VolumeSlot) {
    var record = volumes.record(volume.index)
    record.isReceiving = false
    record.lineage = .zero
    _ = applyNew(.alterVolume(record.withoutDerivedFields))
  }

  // MARK: Ending early

  /// Checks that a volume may go back to the snapshot upon which it was being received. One that
  /// was new is deleted instead.
  public func prepareReceiveUndone(_ volume: VolumeSlot) throws(PoolError) {
    let record = volumes.record(volume.index)
    guard record.isReceiving else { throw .noSuchVolume(record.name) }
    guard receiveBase(of: record) != nil else {
      throw .isNoSnapshotOf(record.lineage.description, record.name)
    }
    try prepareBranches(1)
  }

  /// The volume has the content of its base again and is a volume like any other.
  public func applyReceiveUndone(_ volume: VolumeSlot) {
    let record = volumes.record(volume.index)
    guard let base = receiveBase(of: record) else { preconditionFailure("it has no base") }
    let state = volumes.states[base]
    if state.root != record.root || state.sizeBytes != record.sizeBytes || owes(volume) {
      _ = applyNew(
        .rollback(volume: record.id, snapshot: volumes.states[base].id), more: true)
    }
    applyEndOfReceive(volume)
  }

  // MARK: Bases

  /// The slot of the snapshot that a volume goes back to whose receiving ends early.
  func receiveBase(of record: VolumeRecord) -> Int? {
    volumes.snapshots(of: record.id).first { volumes.record($0).uuid == record.lineage }
  }

  /// A snapshot that something received would go back to.
  func isReceiveBase(_ slot: VolumeSlot) -> Bool {
    let record = volumes.record(slot.index)
    guard let origin = record.origin.flatMap(volumes.slot) else { return false }
    let volume = volumes.record(origin)
    return volume.isReceiving && volume.lineage == record.uuid
  }
}
