public import BlockExport
public import DiskFormat
public import PoolCore
public import StorageUnits

/// How a management operation ended.
public enum ManagementResult: Hashable, Sendable {
  /// Done, and durable.
  case done
  /// The volume exists, and durably so.
  case created(VolumeID)
  /// The snapshots or the clone exist, and durably so; in the order in which they were asked for.
  case branched([VolumeID])
  /// Nothing was changed.
  case refused(PoolError)
  /// It was begun, and a device or the pool failed: whether it is durable is not known.
  case failed(ExportError)
}

/// The answer to a management operation.
public struct ManagementAnswer: Hashable, Sendable {
  /// As handed in.
  public var token: UInt64
  public var result: ManagementResult

  public init(token: UInt64, result: ManagementResult) {
    self.token = token
    self.result = result
  }
}

/// An operation that waits for its turn: they are done one after the other.
enum ManagementOperation {
  case create(VolumeRecord, token: UInt64)
  /// `trashedAt`: it may go into the trash, and when that is.
  case delete(VolumeID, trashedAt: UInt64?, token: UInt64)
  case restore(VolumeID, String?, token: UInt64)
  case emptyTrash([VolumeID], token: UInt64)
  case settings(trashExpirySeconds: UInt32, token: UInt64)
  case branch(BranchOrder, token: UInt64)
  case pinImage(token: UInt64)
  case bookmark(BookmarkOrder, token: UInt64)
  case resize(ResizeOrder, token: UInt64)
  case rename(VolumeID, String, token: UInt64)
  case fullPolicy(VolumeID, FullPoolPolicy, token: UInt64)
  case hold(HoldOrder, token: UInt64)
  case checkpoint(token: UInt64)
  case stop(token: UInt64)
}

extension VolumeEngine: ExportDirectory {
  // MARK: Operations

  /// Creates an empty volume; the pool gives the id. Answered with `created`, `refused` or `failed`
  /// once it is durable. Call `turn` afterwards.
  public func createVolume(_ record: VolumeRecord, token: UInt64) {
    managementQueue.append(.create(record, token: token))
  }

  /// Deletes a volume: requests in work on it end with `volumeGone`, its space comes back in the
  /// background. With `trashedAt` (seconds since 1970) it goes into the trash instead, with its
  /// snapshots, if the pool's setting says so. Answered once the deletion is durable. Call `turn`
  /// afterwards.
  public func deleteVolume(_ id: VolumeID, trashedAt: UInt64? = nil, token: UInt64) {
    managementQueue.append(.delete(id, trashedAt: trashedAt, token: token))
  }

  /// Writes a checkpoint that holds everything done so far. Call `turn` afterwards.
  public func checkpoint(token: UInt64) {
    managementQueue.append(.checkpoint(token: token))
  }

  /// Stops: new requests are refused with `shuttingDown`, those in work end, run tails are given
  /// back, and a last checkpoint marks the pool as closed. After the answer nothing is in flight.
  /// Call `turn` afterwards.
  public func stop(token: UInt64) {
    managementQueue.append(.stop(token: token))
  }

  /// The oldest answer that was not taken, or nil.
  public func nextManagementAnswer() -> ManagementAnswer? {
    managementAnswers.isEmpty ? nil : managementAnswers.removeFirst()
  }

  // MARK: Exports

  /// What a target may know of the volume of this name, nil if there is none to serve.
  public func export(named name: String) -> ExportDescription? {
    guard let slot = pool.volume(named: name), !isGoing(slot) else { return nil }
    let record = pool.record(of: slot)
    guard !record.isReceiving else { return nil }
    return ExportDescription(
      volume: record.id, name: pool.shownName(of: slot), uuid: record.uuid,
      sizeBytes: record.sizeBytes,
      logicalBlockBytes: Int(record.logicalBlockBytes), isReadOnly: record.isReadOnly)
  }

  /// The names of all volumes that are served, sorted: none that is being received.
  public func exportNames() -> [String] {
    pool.volumeSlots.filter { !isGoing($0) && !pool.record(of: $0).isReceiving }
      .map { pool.shownName(of: $0) }
  }

  /// The snapshots and the usable bookmarks of the volume, or of the one that a snapshot is of;
  /// newest first.
  public func changeBases(of volume: VolumeID, atMost: Int) -> [NamedExportBase] {
    guard let slot = pool.volume(volume) else { return [] }
    let origin = pool.record(of: slot).origin ?? volume
    var bases: [(age: UInt64, NamedExportBase)] = []
    for snapshot in pool.volumeSlots where snapshot != slot && !isGoing(snapshot) {
      let record = pool.record(of: snapshot)
      guard record.origin == origin else { continue }
      bases.append(
        (record.versionNode, NamedExportBase(name: record.name, base: .snapshot(record.id))))
    }
    for bookmark in pool.bookmarks(of: origin)
    where pool.snapshot(of: bookmark) != nil || pool.isOnLine(bookmark, of: slot) {
      let base = NamedExportBase(name: "#\(bookmark.name)", base: .bookmark(bookmark.id.number))
      bases.append((UInt64(bookmark.epoch.number), base))
    }
    return bases.sorted { $0.age > $1.age }.prefix(atMost).map(\.1)
  }

  public func changeBase(named name: String, of volume: VolumeID) -> ExportBase? {
    guard let slot = pool.volume(volume) else { return nil }
    let origin = pool.record(of: slot).origin ?? volume
    if name.hasPrefix("#") {
      guard let bookmark = pool.bookmark(named: String(name.dropFirst()), of: origin),
        pool.snapshot(of: bookmark) != nil || pool.isOnLine(bookmark, of: slot)
      else { return nil }
      return .bookmark(bookmark.id.number)
    }
    guard let owner = pool.volume(origin),
      let snapshot = pool.volume(named: "\(pool.record(of: owner).name)@\(name)"),
      !isGoing(snapshot)
    else { return nil }
    return .snapshot(pool.record(of: snapshot).id)
  }

  // MARK: Steps

  func stepManagement() {
    while let operation = managementQueue.first {
      let isDone: Bool
      switch operation {
      case .create(let record, let token): isDone = stepCreate(record, token)
      case .delete(let id, let trashedAt, let token):
        isDone = stepDelete(id, trashedAt: trashedAt, token)
      case .restore(let id, let name, let token): isDone = stepRestore(id, name, token)
      case .emptyTrash(let ids, let token): isDone = stepEmptyTrash(ids, token)
      case .settings(let seconds, let token):
        isDone = stepSettings(trashExpirySeconds: seconds, token)
      case .branch(let order, let token): isDone = stepBranch(order, token)
      case .pinImage(let token): isDone = stepPinImage(token)
      case .bookmark(let order, let token): isDone = stepBookmark(order, token)
      case .resize(let order, let token): isDone = stepResize(order, token)
      case .rename(let id, let name, let token):
        isDone = stepChange(token, of: id) { (slot) throws(PoolError) in
          try pool.prepareRename(slot, to: name)
          pool.applyRename(slot, to: name)
        }
      case .fullPolicy(let id, let policy, let token):
        isDone = stepChange(token, of: id) { (slot) throws(PoolError) in
          try pool.prepareFullPolicy(slot)
          pool.applyFullPolicy(slot, policy)
        }
      case .hold(let order, let token): isDone = stepHold(order, token)
      case .checkpoint(let token): isDone = stepExplicitCheckpoint(token)
      case .stop(let token): isDone = stepStop(token)
      }
      guard isDone else { return }
      managementQueue.removeFirst()
    }
  }

  /// An operation that is one change of the pool, which `change` prepares and applies, or refuses
  /// before anything is changed. False: it waits.
  func stepChange(_ token: UInt64, _ change: () throws(PoolError) -> Void) -> Bool {
    if isStopping { return fail(token, .shuttingDown) }
    if isReadOnly { return refuse(token, .readOnly) }
    guard hasManagementRoom else { return false }
    do throws(PoolError) {
      try change()
    } catch { return refuse(token, error) }
    noteRecords()
    joinRound(ManagementAnswer(token: token, result: .done))
    return true
  }

  /// As `stepChange`, of a volume or snapshot that must be there.
  func stepChange(
    _ token: UInt64, of id: VolumeID, _ change: (VolumeSlot) throws(PoolError) -> Void
  ) -> Bool {
    if isStopping { return fail(token, .shuttingDown) }
    if isReadOnly { return refuse(token, .readOnly) }
    guard let slot = pool.volume(id), !isGoing(slot) else {
      return refuse(token, .noSuchVolume("\(id.number)"))
    }
    return stepChange(token) { () throws(PoolError) in try change(slot) }
  }

  /// False: the operation waits for a checkpoint.
  func refuse(_ token: UInt64, _ error: PoolError) -> Bool {
    if case .mustWaitForCheckpoint = error {
      checkpointing.isWanted = true
      return false
    }
    if case .noSpace = error, pool.keepsImage {
      pool.letImageGo()
      return false
    }
    managementAnswers.append(ManagementAnswer(token: token, result: .refused(error)))
    return true
  }

  func fail(_ token: UInt64, _ error: ExportError) -> Bool {
    managementAnswers.append(ManagementAnswer(token: token, result: .failed(error)))
    return true
  }

  /// Whether a record of the catalogue may be made now. A round or a checkpoint helps.
  var hasManagementRoom: Bool {
    if !hasJournalRoom { checkpointing.isWanted = true }
    return hasBufferRoom && hasJournalRoom
  }

  private func stepCreate(_ record: VolumeRecord, _ token: UInt64) -> Bool {
    if isStopping { return fail(token, .shuttingDown) }
    if isReadOnly { return refuse(token, .readOnly) }
    guard hasManagementRoom else { return false }
    do {
      try pool.prepareCreate(record)
    } catch {
      return refuse(token, error)
    }
    _ = pool.applyCreate(record)
    noteRecords()
    guard let slot = pool.volume(named: record.name) else {
      preconditionFailure("a volume was created and is not there")
    }
    joinRound(
      ManagementAnswer(token: token, result: .created(pool.record(of: slot).id)))
    return true
  }

  /// First nothing new begins on the volume, then what is in work ends, then it is deleted: no
  /// write in flight can reach space that the volume has given up.
  private func stepDelete(_ id: VolumeID, trashedAt: UInt64?, _ token: UInt64) -> Bool {
    guard let slot = pool.volume(id), !pool.isInTrash(slot) else {
      return refuse(token, .noSuchVolume("\(id.number)"))
    }
    if isReadOnly {
      endGoing(pool.unit(of: slot))
      return refuse(token, .readOnly)
    }
    if let trashedAt, pool.trashExpirySeconds > 0 { return stepTrash(slot, now: trashedAt, token) }
    do {
      try pool.checkDeletable(slot)
    } catch {
      return refuse(token, error)
    }
    markGoing(slot, id)
    guard volumes[slot.index].requests == 0, hasManagementRoom else { return false }
    do {
      try pool.prepareDelete(slot)
    } catch {
      volumes[slot.index].isGoing = error == .mustWaitForCheckpoint
      return refuse(token, error)
    }
    keepingRaises { _ = pool.applyDelete(slot) }
    volumes[slot.index] = VolumeActivity()
    noteRecords()
    spaceMayHaveCome()
    joinRound(ManagementAnswer(token: token, result: .done))
    return true
  }

  func markGoing(_ slot: VolumeSlot, _ id: VolumeID) {
    noteVolume(slot, id)
    guard !volumes[slot.index].isGoing else { return }
    volumes[slot.index].isGoing = true
    spaceMayHaveCome()
    slots.append(all: &checkpointWaiters, to: &ready)
    slots.append(all: &delayed, to: &ready)
    slots.append(all: &round.roomWaiters, to: &ready)
    runReady()
  }

  private func stepExplicitCheckpoint(_ token: UInt64) -> Bool {
    if isReadOnly { return fail(token, .readOnly) }
    checkpointing.isWanted = true
    checkpointing.nextTokens.append(token)
    return true
  }

  private func stepStop(_ token: UInt64) -> Bool {
    if !isStopping {
      isStopping = true
      endScans(.shuttingDown)
      spaceMayHaveCome()
      slots.append(all: &delayed, to: &ready)
      runReady()
    }
    if isReadOnly {
      let isQuiet = slots.freeCount == slots.capacity && ioSlots.inUseCount == 0
      return isQuiet ? fail(token, .inputOutput) : false
    }
    guard slots.freeCount == slots.capacity, !round.isRunning, !checkpointing.isRunning,
      ioSlots.inUseCount == 0
    else { return false }
    if checkpointing.closes && !checkpointing.isWanted {
      // The pool is closed and what it freed is known: the files get it back.
      if stopPunchesUntil == nil {
        stopPunchesUntil = now.adding(milliseconds: configuration.stopPunchMilliseconds)
      }
      if pool.hasSpaceToPunch && isPunchingAtStop { return false }
      managementAnswers.append(ManagementAnswer(token: token, result: .done))
      return true
    }
    // Two checkpoints: what the closing one shows is on every member before it says "closed", so a
    // member that lacks it cannot be an old copy.
    pool.giveBackRuns()
    checkpointing.closes = checkpointing.isPrepared
    checkpointing.isPrepared = true
    checkpointing.isWanted = true
    return false
  }
}
