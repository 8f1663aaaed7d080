public import DiskFormat
public import StorageUnits

/// Bookmarks: bases that later differences are counted from, without holding any space.
///
/// A bookmark names the branch point of a snapshot. What its volume changed since has a greater
/// birth: as long as the snapshot lives because it is copied, and afterwards because a layer or
/// node that the volume may change in place has its birth raised before it is changed for the first
/// time. Emptied places keep the birth at which that happened.
extension Pool {
  /// Bookmarks that a pool may have: they are resident, and written wholly when they change.
  public static let bookmarksAtMost = 16384

  var bookmarkLeafCount: Int {
    (bookmarks.count + FormatConstants.bookmarksPerLeaf - 1) / FormatConstants.bookmarksPerLeaf
  }

  /// The bookmarks of a volume, oldest first.
  public func bookmarks(of volume: VolumeID) -> [Bookmark] {
    bookmarks.filter { $0.volume == volume }
  }

  public func bookmark(named name: String, of volume: VolumeID) -> Bookmark? {
    bookmarks.first { $0.volume == volume && $0.name == name }
  }

  public func bookmark(_ id: RecordNumber) -> Bookmark? { bookmarks.first { $0.id == id } }

  /// What is not younger was not changed since the newest bookmark on the volume's line.
  public func bookmarkEpoch(of slot: VolumeSlot) -> ShareEpoch {
    volumes.states[slot.index].bookmarkEpoch
  }

  /// The snapshot that the bookmark was made of, if it is still there.
  public func snapshot(of bookmark: Bookmark) -> VolumeSlot? {
    guard let slot = volume(bookmark.snapshot),
      record(of: slot).identity == bookmark.snapshotIdentity
    else { return nil }
    return slot
  }

  /// Whether births tell what a volume or snapshot has changed since the bookmark: its line passes
  /// through the bookmark's branch point. Not so for a volume that was rolled back to before it.
  public func isOnLine(_ bookmark: Bookmark, of slot: VolumeSlot) -> Bool {
    versions.isOnLine(bookmark.epoch, ofOneAt: volumes.states[slot.index].versionNode)
  }

  // MARK: Create and delete

  public func prepareBookmark(_ name: String, of snapshot: VolumeSlot) throws(PoolError) {
    let record = volumes.record(snapshot.index)
    guard let origin = record.origin else {
      throw .isNoSnapshot(volumes.shownName(snapshot.index))
    }
    guard Self.isValidName(name) else { throw .invalidName(name) }
    guard bookmark(named: name, of: origin) == nil else { throw .bookmarkExists(name) }
    guard bookmarks.count < Self.bookmarksAtMost else {
      throw .tooManyBookmarks(Self.bookmarksAtMost)
    }
    try prepareCatalogueChange(.reclaim)
  }

  public func applyBookmark(_ name: String, of snapshot: VolumeSlot, createdAt: UInt64) {
    let record = volumes.record(snapshot.index)
    guard let origin = record.origin else { preconditionFailure("no snapshot") }
    _ = applyNew(
      .createBookmark(
        Bookmark(
          id: RecordNumber(0), volume: origin, snapshot: record.id,
          snapshotIdentity: record.identity,
          epoch: ShareEpoch(UInt32(record.versionNode)), sizeBytes: record.sizeBytes,
          createdAt: createdAt, snapshotCreatedAt: record.createdAt, name: name,
          snapshotName: record.name)))
  }

  public func prepareBookmarkDeletion(_ id: RecordNumber) throws(PoolError) {
    guard bookmark(id) != nil else { throw .noSuchBookmark("\(id.number)") }
    try prepareCatalogueChange(.essential)
  }

  public func applyBookmarkDeletion(of id: RecordNumber) { _ = applyNew(.deleteBookmark(id)) }

  // MARK: Applying

  func applyBookmark(_ bookmark: Bookmark, number: RecordNumber) {
    var bookmark = bookmark
    bookmark.id = number
    bookmarks.append(bookmark)
    versions.bookmark(bookmark.epoch, 1)
    bookmarksChanged()
  }

  func applyBookmarkDeletion(_ id: RecordNumber) {
    guard let at = bookmarks.firstIndex(where: { $0.id == id }) else {
      preconditionFailure("no such bookmark")
    }
    versions.bookmark(bookmarks.remove(at: at).epoch, -1)
    bookmarksChanged()
  }

  /// A volume's bookmarks go with it: nobody could name them any more.
  func removeBookmarks(of volume: VolumeID) {
    let gone = bookmarks.filter { $0.volume == volume }
    if gone.isEmpty { return }
    bookmarks.removeAll { $0.volume == volume }
    for bookmark in gone { versions.bookmark(bookmark.epoch, -1) }
    bookmarksChanged()
  }

  private func bookmarksChanged() {
    areBookmarksDirty = true
    for index in volumes.states.indices {
      let state = volumes.states[index]
      guard state.isUsed, !state.isSnapshot else { continue }
      let epoch = versions.newestBookmark(ofOneAt: state.versionNode)
      guard epoch != state.bookmarkEpoch else { continue }
      volumes.states[index].bookmarkEpoch = epoch
      volumes.markDirty(index)
    }
    updateTableReserve()
  }

  // MARK: Replay

  func checkBookmark(_ bookmark: Bookmark) throws(FormatError) {
    try bookmark.validate(isRecord: true)
    guard let slot = volumes.slot(bookmark.snapshot) else { throw .badField(.record, "snapshot") }
    let record = volumes.record(slot)
    guard record.origin == bookmark.volume, record.identity == bookmark.snapshotIdentity,
      record.name == bookmark.snapshotName, record.sizeBytes == bookmark.sizeBytes
    else { throw .badField(.record, "snapshot") }
    guard record.versionNode == UInt64(bookmark.epoch.number) else {
      throw .badField(.record, "epoch")
    }
    guard Self.isValidName(bookmark.name),
      self.bookmark(named: bookmark.name, of: bookmark.volume) == nil
    else { throw .badField(.record, "name") }
    guard bookmarks.count < Self.bookmarksAtMost else { throw .badField(.record, "bookmark") }
  }
}
