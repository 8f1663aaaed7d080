import BlockExport
import DiskFormat
import PoolCore
public import StorageUnits

/// The trash: what is deleted goes there if the pool's setting says so, and leaves it again by a
/// restore, or for good when it expires, when somebody empties it, and, the oldest first, before a
/// host is told that there is no space.
extension VolumeEngine {
  /// Takes an item out of the trash. `name`: its own new name, nil for the one that it had.
  /// Answered with `done` once it is durable. Call `turn` afterwards.
  public func restoreFromTrash(_ id: VolumeID, as name: String?, token: UInt64) {
    managementQueue.append(.restore(id, name, token: token))
  }

  /// Deletes items of the trash for good; those that are not there any more are passed over.
  /// Answered with `done` once it is durable. Call `turn` afterwards.
  public func emptyTrash(_ ids: [VolumeID], token: UInt64) {
    managementQueue.append(.emptyTrash(ids, token: token))
  }

  /// Changes how long what is deleted from now on stays in the trash, in seconds; 0: it does not go
  /// there. Answered with `done` once it is durable. Call `turn` afterwards.
  public func setTrashExpiry(seconds: UInt32, token: UInt64) {
    managementQueue.append(.settings(trashExpirySeconds: seconds, token: token))
  }

  // MARK: Steps

  /// As a deletion: first nothing new begins on it, then what is in work ends.
  func stepTrash(_ slot: VolumeSlot, now: UInt64, _ token: UInt64) -> Bool {
    do {
      try pool.checkTrashable(slot)
    } catch {
      return refuse(token, error)
    }
    let unit = pool.unit(of: slot)
    for part in unit { markGoing(part, pool.record(of: part).id) }
    guard unit.allSatisfy({ volumes[$0.index].requests == 0 }), hasManagementRoom else {
      return false
    }
    do {
      try pool.prepareTrash(slot)
    } catch {
      if error != .mustWaitForCheckpoint { endGoing(unit) }
      return refuse(token, error)
    }
    pool.applyTrash(slot, now: now)
    noteRecords()
    spaceMayHaveCome()
    joinRound(ManagementAnswer(token: token, result: .done))
    return true
  }

  func endGoing(_ slots: [VolumeSlot]) {
    for slot in slots where slot.index < volumes.count {
      volumes[slot.index].isGoing = pool.isInTrash(slot)
    }
  }

  func stepRestore(_ id: VolumeID, _ name: String?, _ token: UInt64) -> Bool {
    if isStopping { return fail(token, .shuttingDown) }
    if isReadOnly { return refuse(token, .readOnly) }
    guard let slot = pool.volume(id) else { return refuse(token, .notInTrash("\(id.number)")) }
    guard hasManagementRoom else { return false }
    let name = name ?? pool.record(of: slot).name
    do {
      try pool.prepareRestore(slot, as: name)
    } catch {
      return refuse(token, error)
    }
    pool.applyRestore(slot, as: name)
    noteRecords()
    endGoing(pool.unit(of: slot))
    joinRound(ManagementAnswer(token: token, result: .done))
    return true
  }

  func stepEmptyTrash(_ ids: [VolumeID], _ token: UInt64) -> Bool {
    if isStopping { return fail(token, .shuttingDown) }
    if isReadOnly { return refuse(token, .readOnly) }
    for id in ids {
      while let slot = pool.volume(id), pool.record(of: slot).isInTrash {
        guard hasManagementRoom else { return false }
        emptyingStep(slot)
      }
    }
    joinRound(ManagementAnswer(token: token, result: .done))
    return true
  }

  func stepSettings(trashExpirySeconds: UInt32, _ token: UInt64) -> Bool {
    stepChange(token) { () throws(PoolError) in
      pool.applySettings(trashExpirySeconds: trashExpirySeconds)
    }
  }

  private func emptyingStep(_ slot: VolumeSlot) {
    let parts = pool.unit(of: slot)
    keepingRaises { _ = pool.applyEmptyingStep(slot) }
    // A slot that was given up belongs to whoever gets it next.
    for part in parts where pool.isFree(part) && part.index < volumes.count {
      volumes[part.index] = VolumeActivity()
    }
    noteRecords()
  }

  // MARK: By itself

  /// When the next item expires, as far as is known.
  var trashDeadline: MonotonicTime? {
    guard !isReadOnly, !isStopping, secondsSince1970 > 0, let expiry = pool.nextExpiry else {
      return nil
    }
    let left = expiry > secondsSince1970 ? expiry - secondsSince1970 : 0
    // Looked at again now and then: the wall clock may be set.
    return now.adding(milliseconds: min(left, 60) * 1000)
  }

  /// What has expired goes, and under pressure the oldest: one item after the other, each when what
  /// the one before gave up has come back.
  func stepTrash() {
    guard canEmptyTrash else { return }
    while let slot = nextToEmpty, hasManagementRoom { emptyingStep(slot) }
  }

  var canEmptyTrash: Bool {
    pool.hasTrash && !isReadOnly && !isStopping && managementQueue.isEmpty && hasBufferRoom
      && hasJournalRoom && nextToEmpty != nil
  }

  private var nextToEmpty: VolumeSlot? {
    if secondsSince1970 > 0, let expired = pool.expiredTrash(now: secondsSince1970) {
      return expired
    }
    guard !parked.isEmpty, !spaceIsOnItsWay else { return nil }
    return pool.nextTrash
  }
}
