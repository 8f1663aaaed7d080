import BlockExport
import DiskFormat
import PoolCore
public import StorageUnits

/// What is to be done with a bookmark.
enum BookmarkOrder {
  case create(snapshot: VolumeID, name: String, createdAt: UInt64)
  case delete(volume: VolumeID, name: String)
}

/// An extent of a volume.
struct RaisedExtent: Hashable {
  var volume: VolumeID
  var extent: VirtualExtent
}

/// The newest bookmark on a volume's line is gone, by a record that is not durable yet.
struct FallenBookmark {
  var epoch: ShareEpoch
  var record: RecordNumber
}

/// Bookmarks, and the writes that their volumes do in place for the first time since.
extension VolumeEngine {
  /// Makes a bookmark of a snapshot. Answered with `done` once it is durable. Call `turn`
  /// afterwards.
  public func createBookmark(
    of snapshot: VolumeID, named name: String, createdAt: UInt64, token: UInt64
  ) {
    managementQueue.append(
      .bookmark(.create(snapshot: snapshot, name: name, createdAt: createdAt), token: token))
  }

  /// Deletes a bookmark of a volume. Answered with `done` once that is durable. Call `turn`
  /// afterwards.
  public func deleteBookmark(named name: String, of volume: VolumeID, token: UInt64) {
    managementQueue.append(.bookmark(.delete(volume: volume, name: name), token: token))
  }

  func stepBookmark(_ order: BookmarkOrder, _ token: UInt64) -> Bool {
    stepChange(token) { () throws(PoolError) in try apply(order) }
  }

  private func apply(_ order: BookmarkOrder) throws(PoolError) {
    switch order {
    case .create(let id, let name, let createdAt):
      guard let snapshot = pool.volume(id), !isGoing(snapshot) else {
        throw .noSuchVolume("\(id.number)")
      }
      try pool.prepareBookmark(name, of: snapshot)
      pool.applyBookmark(name, of: snapshot, createdAt: createdAt)
    case .delete(let volume, let name):
      guard let bookmark = pool.bookmark(named: name, of: volume) else {
        throw .noSuchBookmark(name)
      }
      try pool.prepareBookmarkDeletion(bookmark.id)
      keepingRaises { pool.applyBookmarkDeletion(of: bookmark.id) }
    }
  }

  // MARK: Raising births

  /// A layer that was not changed since a bookmark is about to be written in place: first its birth
  /// is raised, durably. True: the part waits, or has ended.
  ///
  ///     write in place                 power cut
  ///     data reaches the device
  ///                                    the record that raises the birth is lost: what changed
  ///                                    since the bookmark would not have the block
  ///     (why the record comes first)
  func waitsForRaise(_ p: PartIndex, _ entry: MapEntry) -> Bool {
    let v = slots[p].volume
    let key = RaisedExtent(volume: volumes[v.index].id, extent: slots[p].extent)
    if raises.isEmpty || raises[key] == nil {
      guard entry.upper.birth <= raiseEpoch(of: v) else { return false }
      guard admitRecord(p, tier: .reclaim) else { return true }
      _ = pool.applyMap(v, slots[p].extent, .raised)
      raises[key] = pool.lastRecord
      noteRecords()
    }
    slots.append(p, to: &round.roomWaiters)
    return true
  }

  /// The epoch of the newest bookmark that a power cut may leave on the volume's line.
  private func raiseEpoch(of v: VolumeSlot) -> ShareEpoch {
    let epoch = pool.bookmarkEpoch(of: v)
    if fallenBookmarks.isEmpty { return epoch }
    return max(epoch, fallenBookmarks[volumes[v.index].id]?.epoch ?? .zero)
  }

  /// Makes a change that takes bookmarks away: until it is durable, writes raise births as before.
  ///
  ///     delete the bookmark            write in place            power cut
  ///     the record is applied
  ///                                    data reaches the device
  ///                                                              the record is lost: the bookmark
  ///                                                              is back, and would miss the block
  func keepingRaises(_ change: () -> Void) {
    let before = pool.bookmarks.isEmpty ? [] : pool.volumeIDs.map { ($0, bookmarkEpoch(of: $0)) }
    change()
    for (id, epoch) in before where bookmarkEpoch(of: id) < epoch {
      let earlier = fallenBookmarks[id]?.epoch ?? .zero
      fallenBookmarks[id] = FallenBookmark(epoch: max(epoch, earlier), record: pool.lastRecord)
    }
  }

  private func bookmarkEpoch(of id: VolumeID) -> ShareEpoch {
    pool.volume(id).map { pool.bookmarkEpoch(of: $0) } ?? .zero
  }

  /// Records up to this one are durable.
  func forgetRaises(through record: RecordNumber) {
    if !fallenBookmarks.isEmpty {
      fallenBookmarks = fallenBookmarks.filter { record < $0.value.record }
    }
    if raises.isEmpty { return }
    raises = raises.filter { record < $0.value }
  }
}
