import BlockExport
public import DiskFormat
import PoolCore
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

  func stepFullPolicy(_ id: VolumeID, _ policy: FullPoolPolicy, _ token: UInt64) -> Bool {
    if isStopping { return fail(token, .shuttingDown) }
    if isReadOnly { return refuse(token, .readOnly) }
    guard let slot = pool.volume(id), !isGoing(slot) else {
      return refuse(token, .noSuchVolume("\(id.number)"))
    }
    guard hasManagementRoom else { return false }
    do {
      try pool.prepareFullPolicy(slot)
    } catch {
      return refuse(token, error)
    }
    pool.applyFullPolicy(slot, policy)
    noteRecords()
    joinRound(ManagementAnswer(token: token, result: .done))
    return true
  }

  func stepRename(_ id: VolumeID, _ name: String, _ token: UInt64) -> Bool {
    if isStopping { return fail(token, .shuttingDown) }
    if isReadOnly { return refuse(token, .readOnly) }
    guard let slot = pool.volume(id), !isGoing(slot) else {
      return refuse(token, .noSuchVolume("\(id.number)"))
    }
    guard hasManagementRoom else { return false }
    do {
      try pool.prepareRename(slot, to: name)
    } catch {
      return refuse(token, error)
    }
    pool.applyRename(slot, to: name)
    noteRecords()
    joinRound(ManagementAnswer(token: token, result: .done))
    return true
  }
}
