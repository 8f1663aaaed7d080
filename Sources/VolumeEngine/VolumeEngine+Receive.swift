import PoolCore
public import StorageUnits

/// Volumes into which a stream is received. They are made by `createVolume` with `isReceiving`, or
/// taken by `beginReceive`; no target gets to see them until `endReceive` or `undoReceive`.
extension VolumeEngine {
  /// Marks a volume that has the content of `base`, a snapshot of it, as being received. Answered
  /// with `done` once that is durable. Call `turn` afterwards.
  public func beginReceive(_ volume: VolumeID, upon base: VolumeID, token: UInt64) {
    managementQueue.append(.branch(.receive(volume: volume, base: base), token: token))
  }

  /// Makes the snapshot of what was received, whose identity is `lineage`, and gives the volume to
  /// its hosts. Every write must have been answered. Answered with `branched` once that is durable.
  /// Call `turn` afterwards.
  public func endReceive(_ order: SnapshotOrder, lineage: StorageUUID, token: UInt64) {
    managementQueue.append(.branch(.received(order, lineage: lineage), token: token))
  }

  /// Gives a volume back the content that it had before something was received into it. A new one
  /// is deleted by `deleteVolume` instead. Answered with `done` once that is durable. Call `turn`
  /// afterwards.
  public func undoReceive(_ volume: VolumeID, token: UInt64) {
    managementQueue.append(.branch(.receiveUndone(volume), token: token))
  }

  func applyReceive(
    _ order: BranchOrder, _ volume: VolumeSlot
  ) throws(PoolError) -> [VolumeID] {
    switch order {
    case .receive(_, let id):
      let base = try branchSource(id)
      try pool.prepareReceive(into: volume, upon: base)
      pool.applyReceive(into: volume, upon: base)
      return []
    case .received(let order, let lineage):
      let request = Pool.SnapshotRequest(order, of: volume)
      try pool.prepareReceived(request)
      return [pool.applyReceived(request, lineage: lineage)]
    case .receiveUndone:
      try pool.prepareReceiveUndone(volume)
      pool.applyReceiveUndone(volume)
      return []
    case .snapshots, .clone, .rollback: preconditionFailure("it has nothing to do with a stream")
    }
  }
}
