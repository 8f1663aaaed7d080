public import DiskFormat
public import StorageUnits

extension VolumeEngine {
  /// Gives a volume or snapshot another name, while it is in use: hosts that use it go on, new ones
  /// find it under the new name only. Answered with `done` once it is durable. Call `turn`
  /// afterwards.
  public func renameVolume(_ id: VolumeID, to name: String, token: UInt64) {
    managementQueue.append(.rename(id, name, token: token))
  }

  /// What the volume's writes do from now on when the pool has no space; those that wait already
  /// keep what they were told. Answered with `done` once it is durable. Call `turn` afterwards.
  public func setFullPolicy(_ id: VolumeID, to policy: FullPoolPolicy, token: UInt64) {
    managementQueue.append(.fullPolicy(id, policy, token: token))
  }
}
