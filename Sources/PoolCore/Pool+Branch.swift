import DiskFormat
public import StorageUnits

/// Snapshots, clones and rollback: O(1), for they share a root. What may be changed in place
/// afterwards follows from births and share epochs (design §3), never from counts.
extension Pool {
  /// A snapshot to be made.
  public struct SnapshotRequest: Hashable, Sendable {
    public var source: VolumeSlot
    public var name: String
    public var uuid: StorageUUID
    /// Seconds since 1970.
    public var createdAt: UInt64

    public init(source: VolumeSlot, name: String, uuid: StorageUUID, createdAt: UInt64) {
      self.source = source
      self.name = name
      self.uuid = uuid
      self.createdAt = createdAt
    }
  }

  /// How many records a group may have: what one check for room covers.
  public static let groupAtMost = 6

  // MARK: Snapshots

  /// Checks snapshots of several volumes, which are made all or none.
  public func prepareSnapshots(_ requests: [SnapshotRequest]) throws(PoolError) {
    guard requests.count <= Self.groupAtMost else { throw .tooManyAtOnce(Self.groupAtMost) }
    var names: Set<String> = []
    for request in requests {
      let source = volumes.record(request.source.index)
      guard Self.isValidName(request.name) else { throw .invalidName(request.name) }
      guard source.origin == nil else { throw .isSnapshot(volumes.shownName(request.source.index)) }
      guard !source.isReceiving else { throw .isBeingReceived(source.name) }
      guard !owes(request.source) else { throw .owesDiscards(source.name) }
      let shown = "\(source.name)@\(request.name)"
      guard volumes.slot(snapshot: request.name, of: source.id) == nil,
        names.insert(shown).inserted
      else { throw .volumeExists(shown) }
    }
    try prepareBranches(requests.count)
  }

  /// Makes the snapshots, as one group; returns their ids.
  public func applySnapshots(_ requests: [SnapshotRequest]) -> [VolumeID] {
    var ids: [VolumeID] = []
    for (index, request) in requests.enumerated() {
      let record = snapshotRecord(request)
      _ = applyNew(
        .snapshot(source: volumes.states[request.source.index].id, snapshot: record),
        more: index + 1 < requests.count)
      ids.append(record.id)
    }
    return ids
  }

  /// The record of a snapshot that is made next.
  func snapshotRecord(_ request: SnapshotRequest) -> VolumeRecord {
    var record = volumes.record(request.source.index)
    record.origin = record.id
    record.id = VolumeID(volumes.nextID)
    record.uuid = request.uuid
    record.name = request.name
    record.createdAt = request.createdAt
    record.isReadOnly = true
    record.versionNode = UInt64(shareEpoch.number)
    record.shareEpoch = shareEpoch
    record.bookmarkEpoch = .zero
    record.holds = 0
    record.isReceiving = false
    record.lineage = .zero
    return record.withoutDerivedFields
  }

  // MARK: Clones

  public func prepareClone(of snapshot: VolumeSlot, as name: String) throws(PoolError) {
    guard volumes.record(snapshot.index).origin != nil else {
      throw .isNoSnapshot(volumes.shownName(snapshot.index))
    }
    guard Self.isValidName(name) else { throw .invalidName(name) }
    guard volumes.slot(named: name) == nil else { throw .volumeExists(name) }
    try prepareBranches(1)
  }

  /// A writable volume with the content of the snapshot; returns its id.
  public func applyClone(
    of snapshot: VolumeSlot, as name: String, uuid: StorageUUID, createdAt: UInt64
  ) -> VolumeID {
    var record = volumes.record(snapshot.index)
    let source = record.id
    record.id = VolumeID(volumes.nextID)
    record.uuid = uuid
    record.name = name
    record.createdAt = createdAt
    record.isReadOnly = false
    record.origin = nil
    record.lineage = .zero
    record.shareEpoch = ShareEpoch(UInt32(record.versionNode))
    record.bookmarkEpoch = .zero
    record.holds = 0
    _ = applyNew(.clone(source: source, clone: record.withoutDerivedFields))
    return record.id
  }

  // MARK: Rollback

  public func prepareRollback(
    of volume: VolumeSlot, to snapshot: VolumeSlot
  ) throws(PoolError) {
    let record = volumes.record(volume.index)
    guard record.origin == nil else { throw .isSnapshot(volumes.shownName(volume.index)) }
    guard !record.isReceiving else { throw .isBeingReceived(record.name) }
    guard volumes.record(snapshot.index).origin == record.id else {
      throw .isNoSnapshotOf(volumes.shownName(snapshot.index), record.name)
    }
    try prepareBranches(1)
  }

  /// The volume has the snapshot's content and size again; later snapshots stay.
  public func applyRollback(of volume: VolumeSlot, to snapshot: VolumeSlot) {
    _ = applyNew(
      .rollback(
        volume: volumes.states[volume.index].id, snapshot: volumes.states[snapshot.index].id))
  }

  func prepareBranches(_ count: Int) throws(PoolError) {
    guard shareEpoch.number <= UInt32.max - UInt32(count) - 1 else { throw .shareEpochsUsedUp }
    try prepareCatalogueChange(.reclaim, nodes: 4 * count)
  }

  // MARK: Applying

  func applySnapshot(of source: VolumeID, _ snapshot: VolumeRecord) {
    guard let slot = volumes.slot(source) else { preconditionFailure("no such volume") }
    let epoch = shareEpoch
    let old = volumes.states[slot].versionNode
    versions.branch(at: epoch, below: old)
    // The volume and its snapshot.
    versions.attach(epoch)
    versions.attach(epoch)
    addBranch(snapshot, sharing: volumes.record(slot))
    volumes.states[slot].versionNode = epoch
    volumes.states[slot].shareEpoch = epoch
    volumes.markDirty(slot)
    versions.detach(old)
    shareEpoch = ShareEpoch(epoch.number + 1)
    updateTableReserve()
  }

  func applyClone(of source: VolumeID, _ clone: VolumeRecord) {
    guard let slot = volumes.slot(source) else { preconditionFailure("no such snapshot") }
    versions.attach(volumes.states[slot].versionNode)
    addBranch(clone, sharing: volumes.record(slot))
    shareEpoch = ShareEpoch(shareEpoch.number + 1)
    updateTableReserve()
  }

  /// A volume that names the root of another.
  private func addBranch(_ record: VolumeRecord, sharing source: VolumeRecord) {
    var record = record
    record.root = source.root
    record.allocatedExtents = source.allocatedExtents
    record.mappedBlocks = source.mappedBlocks
    if record.origin == nil {
      let node = ShareEpoch(UInt32(record.versionNode))
      record.bookmarkEpoch = versions.newestBookmark(ofOneAt: node)
    }
    volumes.markDirty(volumes.add(record))
    volumes.nextID = max(volumes.nextID, record.id.number + 1)
    addRootName(source.root)
  }

  private func addRootName(_ root: TreeRoot) {
    if root.isNone { return }
    addName(root.pointer, slot: cache.findQuietly(root.pointer), 1)
  }

  func applyRollback(of volume: VolumeID, to snapshot: VolumeID, number: RecordNumber) {
    guard let slot = volumes.slot(volume), let source = volumes.slot(snapshot) else {
      preconditionFailure("no such volume")
    }
    let old = volumes.states[slot]
    let new = volumes.states[source]
    addRootName(new.root)
    doom(old, number: number)
    forgetOwed(of: volume)
    versions.attach(new.versionNode)
    volumes.states[slot].takeContent(of: new)
    volumes.states[slot].bookmarkEpoch = versions.newestBookmark(ofOneAt: new.versionNode)
    volumes.markDirty(slot)
    shareEpoch = ShareEpoch(shareEpoch.number + 1)
    updateTableReserve()
  }

  /// The map of a volume that is gone, or has another, is to be dropped. What it lived below is
  /// released when that is complete in a durable checkpoint.
  func doom(_ state: VolumeState, number: RecordNumber) {
    if state.root.isNone {
      endings.append(VersionEnding(node: state.versionNode, family: state.family, record: number))
      return
    }
    doomed.append(
      DoomedEntry(
        id: number, family: state.family, root: state.root, cursorEnd: VirtualExtent(index: 0),
        cursorLevel: 0, versionNode: state.versionNode))
    isDoomedDirty = true
  }

  func applyUnshare(_ volume: VolumeID, _ branchPoint: ShareEpoch) {
    guard let slot = volumes.slot(volume) else { preconditionFailure("no such volume") }
    volumes.states[slot].shareEpoch = branchPoint
    volumes.markDirty(slot)
  }

  // MARK: Unsharing

  /// A checkpoint that holds the records up to `record` is durable: what ended before it no longer
  /// lives, also after any crash.
  ///
  ///     snapshot deleted, dropped     volume                     crash
  ///                                   share epoch falls,
  ///                                   overwrites in place
  ///                                                              the deletion is forgotten: the
  ///                                                              snapshot shows the overwrite
  ///     (why the fall waits for the checkpoint)
  func endVersions(through record: RecordNumber) {
    var families: Set<UInt64> = []
    endings.removeAll { ending in
      guard ending.record <= record else { return false }
      versions.detach(ending.node)
      families.insert(ending.family)
      return true
    }
    if families.isEmpty && !mustLookForUnshares { return }
    for index in volumes.states.indices where volumes.states[index].isUsed {
      let state = volumes.states[index]
      guard mustLookForUnshares || families.contains(state.family), !state.isSnapshot,
        versions.shareEpoch(ofOneAt: state.versionNode) < state.shareEpoch
      else { continue }
      unshares.append(state.id)
    }
    mustLookForUnshares = false
  }

  /// A volume may have its share epoch lowered: everything of it that nothing else holds any more
  /// becomes writable in place again.
  public var hasUnshares: Bool { !unshares.isEmpty }

  /// Lowers the share epoch of the next volume. There must be room for a record.
  public func applyNextUnshare() {
    guard let id = unshares.popLast(), let slot = volumes.slot(id) else { return }
    let state = volumes.states[slot]
    let epoch = versions.shareEpoch(ofOneAt: state.versionNode)
    guard epoch < state.shareEpoch else { return }
    _ = applyNew(.unshare(volume: id, branchPoint: epoch))
  }
}

/// Something that no longer lives below a branch point once `record` is in a durable checkpoint.
struct VersionEnding {
  var node: ShareEpoch
  var family: UInt64
  var record: RecordNumber
}
