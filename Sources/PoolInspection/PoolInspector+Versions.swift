import DiskFormat
import StorageUnits

// The version tree: branch points below which volumes, snapshots and doomed trees live.
extension PoolInspector {
  func walkVersionTree(_ superblock: Superblock) {
    var nodes: [VersionNode] = []
    walk(superblock.versionTree, type: .versionTree, superblock) { _, node in
      for i in 0..<FormatConstants.versionNodesPerLeaf {
        if let found = try? VersionNode.decode(from: node, index: i) { nodes.append(found) }
      }
    }
    for node in nodes {
      if branchPoints.updateValue(node.parent, forKey: node.epoch) != nil {
        find(.branchPointTwice(node.epoch), at: .pool)
      }
      if node.epoch >= superblock.shareEpoch {
        find(.branchPointInFuture(node.epoch), at: .pool)
      }
    }
    for node in nodes where node.parent != .zero && branchPoints[node.parent] == nil {
      find(.branchPointMissing(node.parent), at: .pool)
    }
  }

  /// What lives below a branch point is only what it is if that is there.
  func checkBranchPoint(_ epoch: UInt64, at place: InspectionPlace, volumes: [VolumeID]) {
    guard epoch != 0 else { return }
    let epoch = ShareEpoch(UInt32(truncatingIfNeeded: epoch))
    if branchPoints[epoch] == nil {
      find(.branchPointMissing(epoch), at: place, volumes: volumes)
    }
  }

  /// A snapshot belongs to a volume; `origins` are those that are none themselves.
  func checkSnapshot(_ volume: VolumeRecord, of origins: Set<VolumeID>) {
    guard let origin = volume.origin, !origins.contains(origin) else { return }
    find(.snapshotWithoutVolume(origin), at: .volume(volume.id), volumes: [volume.id])
  }

  /// A volume that is being received has the snapshot that it goes back to, unless it is new.
  func checkReceiving(_ volume: VolumeRecord) {
    guard volume.isReceiving else { return }
    let here = InspectionPlace.volume(volume.id)
    find(.receiveUnfinished, at: here, volumes: [volume.id])
    guard volume.lineage != .zero else { return }
    let hasBase = volumes.contains { $0.origin == volume.id && $0.uuid == volume.lineage }
    if !hasBase { find(.receiveBaseMissing(volume.lineage), at: here, volumes: [volume.id]) }
  }
}
