import DiskFormat
import StorageUnits

/// Space for table nodes is reserved before anything is granted that needs it.
///
/// The rule: the blocks that are usable or could become so are enough for what the running
/// checkpoint has not written yet, what is dirty since its cut, and everything that a checkpoint
/// may write beside map nodes. That last part is reserved twice, since the next checkpoint may
/// begin before the quarantine of the last one is over. So a checkpoint always finds its blocks.
extension Pool {
  /// Node blocks that are usable, or would be if all free segments became node segments.
  private var availableNodeBlocks: Int {
    nodeSpace.usableCount + segments.possibleNodeSegments * nodeSpace.blocksPerSegment
  }

  /// Counts again what one checkpoint may write of the pool's own trees, at the most: the whole
  /// catalogue, and the doomed list as if every volume were deleted. Called when either may have
  /// grown; what maps do changes neither.
  func updateTableReserve() {
    let leaves =
      catalogue.leafCount + volumes.dirtyLeaves.count + (checkpoint?.volumes.count ?? 0)
    let doomedLeaves = (doomed.count + volumes.count) / FormatConstants.doomedPerLeaf + 1
    // One more than now: the next branch may begin a leaf.
    let versionLeaves = max(versionTree.leafCount, versions.leafCount) + 1
    ownTreeNodes =
      catalogue.nodesToWrite(changedLeaves: leaves, highestLeaf: volumes.highestLeaf)
      + doomedTree.nodesToWrite(ofListWithLeaves: doomedLeaves)
      + versionTree.nodesToWrite(ofListWithLeaves: versionLeaves)
      + bookmarkTree.nodesToWrite(
        ofListWithLeaves: max(bookmarkTree.leafCount, bookmarkLeafCount) + 1)
      + holdTree.nodesToWrite(ofListWithLeaves: max(holdTree.leafCount, holdLeafCount) + 1)
      // It grows when there is no other space for nodes: all of it is reserved.
      + owedTree.nodesToWrite(ofListWithLeaves: owedLeavesAtMost)
  }

  /// Blocks beyond the committed ones that a tier must leave: host writes stop first.
  private func nodeReserve(_ tier: SpaceTier) -> Int {
    switch tier {
    case .hostWrite: 64 + heldExtents * Self.nodesPerChange + segments.dataSegmentCount / 8
    case .reclaim: 16
    case .essential: 0
    }
  }

  /// Whether a change that makes so many nodes may be granted to a tier.
  func hasNodeSpace(_ tier: SpaceTier, for nodes: Int, newDataSegments: Int = 0) -> Bool {
    if tier == .essential { return true }
    // A count page for each data segment, and one block that a checkpoint has in its hand.
    let tables = segments.dataSegmentCount + newDataSegments + ownTreeNodes + 1
    let committed = (checkpoint?.reservedBlocks ?? 0) + cache.currentDirtyCount + 2 * tables
    return availableNodeBlocks - newDataSegments * nodeSpace.blocksPerSegment
      >= committed + nodes + nodeReserve(tier)
  }

  /// Data gave up space that only a checkpoint brings back.
  public var hasReleasedData: Bool { dataSpace.hasReleases || dataSpace.hasEmptySegments }

  /// A checkpoint, and the end of the quarantine after it, would make at least one extent or block
  /// usable; or one is running or has ended of which that is true. Never true twice for the same
  /// space.
  public var reclaimableByCheckpoint: Bool {
    !quarantine.isEmpty || dataSpace.hasReleases || nodeSpace.hasZeroed
      || dataSpace.hasEmptySegments || checkpoint?.freedExtents.isEmpty == false
  }
}
