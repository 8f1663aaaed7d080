import DiskFormat
import Management
import PoolCore
import StorageUnits
import VolumeEngine

/// What changes are counted from, as it was found in the pool.
struct FoundBase: Sendable {
  var base = ChangeBase.nothing
  /// The volume or snapshot that has the base's content; nil: there is none, or no longer.
  var content: VolumeID?
  /// Of a snapshot or a bookmark of one: the same in every pool that has it.
  var identity: StorageUUID?
  var sizeBytes: UInt64?
  /// The own name of the snapshot; empty if it is none.
  var snapshotName = ""

  init() {}

  init(_ record: VolumeRecord) {
    base = .volume(record.id)
    content = record.id
    identity = record.identity
    sizeBytes = record.sizeBytes
    snapshotName = record.origin == nil ? "" : record.name
  }

  /// Throws `bookmarkNotFound`, `volumesNotRelated` and `bookmarkNotOnLine`.
  init(
    _ mark: BookmarkName, of target: VolumeSlot, named name: ContentName, _ pool: Pool
  ) throws(ManagementError) {
    guard let bookmark = EnginePoolService.find(mark, pool),
      let volume = pool.volume(bookmark.volume)
    else { throw .bookmarkNotFound(mark, pool: pool.name) }
    guard pool.record(of: volume).family == pool.record(of: target).family else {
      throw .volumesNotRelated(.bookmark(mark), name, pool: pool.name)
    }
    let snapshot = pool.snapshot(of: bookmark)
    guard snapshot != nil || pool.isOnLine(bookmark, of: target) else {
      throw .bookmarkNotOnLine(mark, name, pool: pool.name)
    }
    base = .bookmark(bookmark.id)
    content = snapshot.map { pool.record(of: $0).id }
    identity = bookmark.snapshotIdentity
    sizeBytes = bookmark.sizeBytes
    snapshotName = bookmark.snapshotName
  }
}
