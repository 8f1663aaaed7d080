import DiskFormat
import StorageUnits

/// The nodes of resident lists in a checkpoint: each list is written wholly when it has changed.
extension Pool {
  var holdLeafCount: Int {
    (holds.count + FormatConstants.holdsPerLeaf - 1) / FormatConstants.holdsPerLeaf
  }

  func nextDoomedNode(
    _ progress: inout CheckpointProgress, _ target: NodeImage, at address: PoolAddress
  ) -> Written {
    guard let (level, key) = progress.doomedWriter.next(in: doomedTree) else { return .end }
    return writeList(&doomedTree, level, key, progress.doomed, target, address, progress) {
      (entry, index) in
      var entry = entry
      entry.root.pointer = cache.resolved(entry.root.pointer)
      entry.encode(into: target, index: index)
    }
  }

  func nextVersionNode(
    _ progress: inout CheckpointProgress, _ target: NodeImage, at address: PoolAddress
  ) -> Written {
    guard let (level, key) = progress.versionWriter.next(in: versionTree) else { return .end }
    return writeList(&versionTree, level, key, progress.versions, target, address, progress) {
      $0.encode(into: target, index: $1)
    }
  }

  func nextBookmarkNode(
    _ progress: inout CheckpointProgress, _ target: NodeImage, at address: PoolAddress
  ) -> Written {
    guard let (level, key) = progress.bookmarkWriter.next(in: bookmarkTree) else { return .end }
    return writeList(&bookmarkTree, level, key, progress.bookmarks, target, address, progress) {
      $0.encode(into: target, index: $1)
    }
  }

  func nextHoldNode(
    _ progress: inout CheckpointProgress, _ target: NodeImage, at address: PoolAddress
  ) -> Written {
    guard let (level, key) = progress.holdWriter.next(in: holdTree) else { return .end }
    return writeList(&holdTree, level, key, progress.holds, target, address, progress) {
      $0.encode(into: target, index: $1)
    }
  }

  func nextOwedNode(
    _ progress: inout CheckpointProgress, _ target: NodeImage, at address: PoolAddress
  ) -> Written {
    guard let (level, key) = progress.owedWriter.next(in: owedTree) else { return .end }
    return writeList(&owedTree, level, key, progress.owed, target, address, progress) {
      $0.encode(into: target, index: $1)
    }
  }

  /// A node of a tree that is a list; `encode` puts an entry into its place in a leaf.
  private func writeList<Entry>(
    _ tree: inout ResidentTree, _ level: UInt8, _ key: UInt64, _ entries: [Entry],
    _ target: NodeImage, _ address: PoolAddress, _ progress: CheckpointProgress,
    encode: (Entry, Int) -> Void
  ) -> Written {
    if level == 0 {
      let first = Int(key) * tree.leafCapacity
      guard first < entries.count else { return removed(&tree, 0, key) }
      target.clear()
      for index in first..<min(entries.count, first + tree.leafCapacity) {
        encode(entries[index], index - first)
      }
    }
    return write(&tree, level, key, target, address, progress)
  }
}
