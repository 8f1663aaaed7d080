import BlockExport
import DiskFormat
import PoolCore
public import StorageUnits

/// A snapshot that is asked for.
public struct SnapshotOrder: Hashable, Sendable {
  public var source: VolumeID
  /// 1 to 127 characters of `[A-Za-z0-9._-]`; unique among the volume's snapshots.
  public var name: String
  public var uuid: StorageUUID
  /// Seconds since 1970.
  public var createdAt: UInt64

  public init(source: VolumeID, name: String, uuid: StorageUUID, createdAt: UInt64) {
    self.source = source
    self.name = name
    self.uuid = uuid
    self.createdAt = createdAt
  }
}

/// What makes a version line branch.
enum BranchOrder {
  case snapshots([SnapshotOrder])
  case clone(snapshot: VolumeID, name: String, uuid: StorageUUID, createdAt: UInt64)
  case rollback(volume: VolumeID, snapshot: VolumeID)
  // The steps of receiving a stream: `VolumeEngine+Receive.swift`.
  case receive(volume: VolumeID, base: VolumeID)
  case received(SnapshotOrder, lineage: StorageUUID)
  case receiveUndone(VolumeID)

  /// The volumes whose mutations must not be under way.
  var volumes: [VolumeID] {
    switch self {
    case .snapshots(let orders): orders.map(\.source)
    case .clone: []
    case .rollback(let volume, _), .receive(let volume, _), .receiveUndone(let volume): [volume]
    case .received(let order, _): [order.source]
    }
  }

  /// What is owed on a volume is no part of the map that the branch would share.
  var needsNothingOwed: Bool {
    switch self {
    case .snapshots, .receive, .received: true
    case .clone, .rollback, .receiveUndone: false
    }
  }
}

/// Snapshots, clones and rollback while hosts write (design §4 rule 5).
///
///     hosts                                 snapshot
///     in-place writes in flight
///                                           holds new mutations of its volumes
///     they complete, are answered
///                                           no decision is in force: applies its records
///                                           releases what it held
///     new writes go to fresh extents
///                                           answered when a round has made them durable
///
/// So a snapshot holds every write that was answered before it, and no write that began later;
/// hosts wait for one drain and not for the round. A write that is held has taken no decision: it
/// is judged anew afterwards.
extension VolumeEngine {
  /// Makes snapshots of several volumes at one instant, all or none. Answered with `branched` once
  /// they are durable. Call `turn` afterwards.
  public func createSnapshots(_ orders: [SnapshotOrder], token: UInt64) {
    managementQueue.append(.branch(.snapshots(orders), token: token))
  }

  /// Makes a writable volume with the content of a snapshot. Answered with `branched` once it is
  /// durable. Call `turn` afterwards.
  public func cloneSnapshot(
    _ snapshot: VolumeID, as name: String, uuid: StorageUUID, createdAt: UInt64, token: UInt64
  ) {
    managementQueue.append(
      .branch(
        .clone(snapshot: snapshot, name: name, uuid: uuid, createdAt: createdAt), token: token))
  }

  /// Gives a volume the content that a snapshot of it has; later snapshots stay. Answered with
  /// `done` once it is durable. Call `turn` afterwards.
  public func rollBack(_ volume: VolumeID, to snapshot: VolumeID, token: UInt64) {
    managementQueue.append(
      .branch(.rollback(volume: volume, snapshot: snapshot), token: token))
  }

  func stepBranch(_ order: BranchOrder, _ token: UInt64) -> Bool {
    var slots: [VolumeSlot] = []
    for id in order.volumes {
      guard let slot = pool.volume(id), !isGoing(slot) else {
        releaseHeld()
        return refuse(token, .noSuchVolume("\(id.number)"))
      }
      slots.append(slot)
    }
    if isStopping || isReadOnly {
      releaseHeld()
      return isReadOnly ? refuse(token, .readOnly) : fail(token, .shuttingDown)
    }
    if order.needsNothingOwed, let owing = slots.first(where: pool.owes) {
      releaseHeld()
      guard isOwedStuck else { return false }
      return refuse(token, .owesDiscards(pool.shownName(of: owing)))
    }
    for (slot, id) in zip(slots, order.volumes) {
      noteVolume(slot, id)
      volumes[slot.index].heldFrom = 0
    }
    guard slots.allSatisfy({ volumes[$0.index].decisions == 0 }) else { return false }
    // Hosts do not wait for a round or a checkpoint on top of the drain.
    defer { releaseHeld() }
    guard hasManagementRoom else { return false }
    do throws(PoolError) {
      let ids = try apply(order, slots)
      noteRecords()
      let result: ManagementResult = ids.isEmpty ? .done : .branched(ids)
      joinRound(ManagementAnswer(token: token, result: result))
      return true
    } catch { return refuse(token, error) }
  }

  private func apply(
    _ order: BranchOrder, _ slots: [VolumeSlot]
  ) throws(PoolError) -> [VolumeID] {
    switch order {
    case .snapshots(let orders):
      let requests = zip(orders, slots).map { Pool.SnapshotRequest($0, of: $1) }
      try pool.prepareSnapshots(requests)
      return pool.applySnapshots(requests)
    case .clone(let id, let name, let uuid, let createdAt):
      let snapshot = try branchSource(id)
      try pool.prepareClone(of: snapshot, as: name)
      return [pool.applyClone(of: snapshot, as: name, uuid: uuid, createdAt: createdAt)]
    case .rollback(_, let id):
      let snapshot = try branchSource(id)
      try pool.prepareRollback(of: slots[0], to: snapshot)
      pool.applyRollback(of: slots[0], to: snapshot)
      return []
    case .receive, .received, .receiveUndone: return try applyReceive(order, slots[0])
    }
  }

  func branchSource(_ id: VolumeID) throws(PoolError) -> VolumeSlot {
    guard let slot = pool.volume(id), !isGoing(slot) else {
      throw .noSuchVolume("\(id.number)")
    }
    return slot
  }

  /// A mutation that has taken no decision yet waits while its volume is held. True: it waits.
  func waitsForRelease(_ p: PartIndex) -> Bool {
    guard volumes[slots[p].volume.index].heldFrom <= slots[p].extent.index else { return false }
    slots.append(p, to: &held)
    return true
  }

  /// Lets every held volume go on.
  func releaseHeld() {
    for index in volumes.indices where volumes[index].heldFrom != .max {
      volumes[index].heldFrom = .max
    }
    slots.append(all: &held, to: &ready)
  }

  // MARK: Unsharing

  /// What nothing else holds any more becomes writable in place again.
  var canUnshare: Bool {
    pool.hasUnshares && !isReadOnly && !isStopping && hasBufferRoom && hasJournalRoom
  }

  func stepUnshares() {
    while canUnshare {
      pool.applyNextUnshare()
      noteRecords()
    }
  }
}

extension Pool.SnapshotRequest {
  init(_ order: SnapshotOrder, of slot: VolumeSlot) {
    self.init(source: slot, name: order.name, uuid: order.uuid, createdAt: order.createdAt)
  }
}
