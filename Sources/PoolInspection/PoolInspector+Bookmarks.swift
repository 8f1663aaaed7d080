import DiskFormat
import StorageUnits

// Bookmarks: each belongs to a volume, names a branch point, and is what that volume's record and
// those of its relatives say of the newest bookmark on their lines.
extension PoolInspector {
  func walkBookmarks(_ superblock: Superblock) {
    walk(superblock.bookmarks, type: .bookmarks, superblock) { _, node in
      for i in 0..<FormatConstants.bookmarksPerLeaf {
        if let found = try? Bookmark.decode(from: node, index: i) { bookmarks.append(found) }
      }
    }
  }

  /// After the catalogue is known.
  func checkBookmarks(_ superblock: Superblock) {
    let origins = Set(volumes.filter { $0.origin == nil }.map(\.id))
    var ids: Set<RecordNumber> = []
    var names: Set<String> = []
    for bookmark in bookmarks {
      let isNew = ids.insert(bookmark.id).inserted
      if !names.insert(bookmark.uniqueName).inserted || !isNew {
        find(.bookmarkTwice(bookmark.name), at: .volume(bookmark.volume))
      }
      if bookmark.id > superblock.checkpointRecord || bookmark.epoch >= superblock.shareEpoch {
        find(.bookmarkInFuture(bookmark.name), at: .volume(bookmark.volume))
      }
      if !origins.contains(bookmark.volume) {
        find(.bookmarkWithoutVolume(bookmark.name), at: .volume(bookmark.volume))
      }
      checkSnapshot(of: bookmark, superblock)
      checkBranchPoint(
        UInt64(bookmark.epoch.number), at: .volume(bookmark.volume), volumes: [bookmark.volume])
    }
    let marked = Set(bookmarks.map(\.epoch))
    for volume in volumes {
      let newest = volume.origin == nil ? newestBookmark(of: volume, marked) : .zero
      if volume.bookmarkEpoch != newest {
        find(
          .bookmarkEpoch(stored: volume.bookmarkEpoch, found: newest), at: .volume(volume.id),
          volumes: [volume.id])
      }
    }
  }

  /// The snapshot may be gone; one with its id is that one.
  private func checkSnapshot(of bookmark: Bookmark, _ superblock: Superblock) {
    let here = InspectionPlace.volume(bookmark.volume)
    if bookmark.snapshot.number >= superblock.nextVolumeID {
      find(.bookmarkInFuture(bookmark.name), at: here)
    }
    guard let snapshot = volumes.first(where: { $0.id == bookmark.snapshot }) else { return }
    if snapshot.origin != bookmark.volume || snapshot.identity != bookmark.snapshotIdentity
      || snapshot.versionNode != UInt64(bookmark.epoch.number)
      || snapshot.sizeBytes != bookmark.sizeBytes
    {
      find(.bookmarkOfOther(bookmark.name), at: here, volumes: [bookmark.volume, snapshot.id])
    }
  }

  private func newestBookmark(of volume: VolumeRecord, _ marked: Set<ShareEpoch>) -> ShareEpoch {
    var epoch = ShareEpoch(UInt32(truncatingIfNeeded: volume.versionNode))
    // A parent is older always, so this ends.
    while epoch != .zero && !marked.contains(epoch) { epoch = branchPoints[epoch] ?? .zero }
    return epoch
  }
}

extension Bookmark {
  /// No two bookmarks of a volume share one.
  var uniqueName: String { "\(volume.number)#\(name)" }
}
