import BlockExport
import BlockIO
import DiskFormat
import Management
import PoolCore
import StorageUnits
import StreamFormat
import VolumeEngine

extension EnginePoolService {
  // MARK: Sending

  func checkSend(_ order: SendOrder) async throws(ManagementError) -> VolumeDescription {
    let plan = try await plan(order)
    return try await ask { host in
      guard let slot = host.pool.volume(plan.snapshot) else {
        return .failure(.snapshotNotFound(order.snapshot, pool: host.pool.name))
      }
      return .success(host.description(of: slot))
    }
  }

  func send(_ order: SendOrder, to sink: any ByteSink) async throws(ManagementError) {
    let plan = try await plan(order)
    var sender = SnapshotSender(plan, on: thread, to: sink)
    try await sender.run()
  }

  private func plan(_ order: SendOrder) async throws(ManagementError) -> SendPlan {
    try await ask { host in
      guard let slot = host.pool.volume(named: order.snapshot.description) else {
        return .failure(.snapshotNotFound(order.snapshot, pool: host.pool.name))
      }
      let record = host.pool.record(of: slot)
      guard let volume = record.origin.flatMap(host.pool.volume) else {
        return .failure(.snapshotNotFound(order.snapshot, pool: host.pool.name))
      }
      let header = StreamHeader(
        pool: host.pool.uuid, volume: host.pool.record(of: volume).uuid,
        snapshot: record.identity, base: nil, sizeBytes: record.sizeBytes,
        logicalBlockBytes: record.logicalBlockBytes, createdAt: record.createdAt,
        expectedBytes: record.mappedBlocks * UInt64(StorageSizes.blockBytes),
        poolName: host.pool.name, volumeName: order.snapshot.volume.text,
        snapshotName: order.snapshot.snapshot, baseName: "")
      var plan = SendPlan(header: header, snapshot: record.id, base: .nothing)
      guard let name = order.base else { return .success(plan) }
      do throws(ManagementError) {
        try plan.take(name, of: order.snapshot, at: slot, host.pool)
      } catch { return .failure(error) }
      return .success(plan)
    }
  }

  // MARK: Receiving

  func receive(
    _ order: ReceiveOrder, from source: any ByteSource
  ) async throws(ManagementError) -> VolumeDescription {
    let receiver = SnapshotReceiver(self, order)
    do throws(ManagementError) {
      return try await receiver.run(from: source)
    } catch {
      await receiver.undo()
      throw error
    }
  }

  /// Makes or takes the volume that the stream goes into, and marks it as being received.
  func beginReceive(
    _ header: StreamHeader, _ order: ReceiveOrder
  ) async throws(ManagementError) -> ReceiveTarget {
    do throws(ManagementError) {
      _ = try SnapshotName("\(order.volume)@\(header.snapshotName)")
    } catch { throw ManagementError(stream: .badField("snapshotName", at: 0)) }
    guard let base = header.base else { return try await beginNew(header, order) }
    return try await beginUpon(base, header, order)
  }

  /// Takes the volume that has the base, which must be as the base is.
  private func beginUpon(
    _ base: StorageUUID, _ header: StreamHeader, _ order: ReceiveOrder
  ) async throws(ManagementError) -> ReceiveTarget {
    if order.rollsBack { try await rollBack(to: base, header, order) }
    return try await operate { host, done in
      let found: (volume: VolumeRecord, base: VolumeRecord)
      do throws(ManagementError) {
        found = try host.receiveTarget(base, header, order)
      } catch { return done(.failure(error)) }
      let id = found.volume.id
      host.engine.beginReceive(
        id, upon: found.base.id,
        token: host.token { host, result in
          guard result == .done else {
            return done(.failure(Self.branchProblem(result, host)))
          }
          // Nobody gets to it from now on; whoever came before is seen here.
          guard !host.isInUse(id) else {
            let refusal = ManagementError.volumeInUse(order.volume, pool: host.pool.name)
            return host.undoReceive(id) { done(.failure(refusal)) }
          }
          host.receiving.insert(id)
          host.giveReceived(id, size: header.sizeBytes) { host, failure in
            guard let failure else {
              return done(.success(ReceiveTarget(volume: id, isNew: false)))
            }
            host.receiving.remove(id)
            host.undoReceive(id) { done(.failure(failure)) }
          }
        })
    }
  }

  /// Gives up what was written to the volume since the base.
  private func rollBack(
    to base: StorageUUID, _ header: StreamHeader, _ order: ReceiveOrder
  ) async throws(ManagementError) {
    try await operate { host, done in
      let found: (volume: VolumeRecord, base: VolumeRecord)
      do throws(ManagementError) {
        found = try host.receiveTarget(base, header, order)
      } catch { return done(.failure(error)) }
      if found.volume.root == found.base.root && found.volume.sizeBytes == found.base.sizeBytes {
        return done(.success(()))
      }
      host.engine.rollBack(
        found.volume.id, to: found.base.id,
        token: host.token { host, result in
          done(result == .done ? .success(()) : .failure(Self.branchProblem(result, host)))
        })
    } as Void
  }

  private func beginNew(
    _ header: StreamHeader, _ order: ReceiveOrder
  ) async throws(ManagementError) -> ReceiveTarget {
    var record = VolumeRecord(
      id: VolumeID(0), uuid: SystemRandom.uuid(), name: order.volume.text,
      sizeBytes: header.sizeBytes, logicalBlockBytes: header.logicalBlockBytes,
      createdAt: SystemClock.secondsSince1970(), fullPolicy: order.fullPolicy.stored)
    record.isReceiving = true
    return try await operate { [record] host, done in
      host.engine.createVolume(
        record,
        token: host.token { host, result in
          guard case .created(let id) = result else {
            return done(.failure(Self.problem(result, order.volume, host)))
          }
          host.receiving.insert(id)
          done(.success(ReceiveTarget(volume: id, isNew: true)))
        })
    }
  }

  /// Makes the snapshot of what was received, and gives the volume to its hosts.
  func endReceive(
    _ header: StreamHeader, into target: ReceiveTarget
  ) async throws(ManagementError) -> VolumeDescription {
    let made: [VolumeDescription] = try await operate { host, done in
      host.engine.endReceive(
        SnapshotOrder(
          source: target.volume, name: header.snapshotName, uuid: SystemRandom.uuid(),
          createdAt: header.createdAt), lineage: header.snapshot,
        token: host.token { host, result in
          let outcome = Self.branched(result, host)
          if case .success = outcome { host.receiving.remove(target.volume) }
          done(outcome)
        })
    }
    return made[0]
  }

  /// Deletes a volume that was new, and rolls one back that had the base. Nothing is reported: what
  /// cannot be done now is done by the next start.
  func undoReceive(_ target: ReceiveTarget) async {
    await withCheckedContinuation { continuation in
      let isTaken = thread.post { host in
        host.receiving.remove(target.volume)
        guard !host.isStopping else { return continuation.resume() }
        host.undoReceive(target.volume) { continuation.resume() }
      }
      if !isTaken { continuation.resume() }
    }
  }
}

extension PoolHost {
  /// The volume that a stream goes into, and the snapshot of it that is the stream's base: the very
  /// one, whatever its name.
  func receiveTarget(
    _ identity: StorageUUID, _ header: StreamHeader, _ order: ReceiveOrder
  ) throws(ManagementError) -> (volume: VolumeRecord, base: VolumeRecord) {
    guard let slot = pool.volume(named: order.volume.text) else {
      throw .volumeNotFound(order.volume, pool: pool.name)
    }
    let volume = pool.record(of: slot)
    let snapshots = pool.volumeSlots.map(pool.record(of:)).filter { $0.origin == volume.id }
    guard let base = snapshots.first(where: { $0.identity == identity }) else {
      let namesake = snapshots.contains { $0.name == header.baseName }
      throw ManagementError(
        .baseNotFound, "volume '\(order.volume)' does not have the snapshot that the stream needs",
        cause: "It was made upon '\(header.baseName)' (\(identity))"
          + (namesake ? "; the snapshot of that name here is another one." : "."),
        details: ["Sent from \(header.poolName)/\(header.volumeName)@\(header.snapshotName)."],
        correction: "Receive that snapshot first, or have this one sent whole, into a new volume.",
        objects: [ManagementObject(.volume, "\(pool.name)/\(order.volume)")])
    }
    guard !snapshots.contains(where: { $0.name == header.snapshotName }) else {
      throw .snapshotExists("\(order.volume)@\(header.snapshotName)", pool: pool.name)
    }
    guard !isInUse(volume.id) else { throw .volumeInUse(order.volume, pool: pool.name) }
    guard header.logicalBlockBytes == base.logicalBlockBytes else {
      throw ManagementError(
        .notSupported, "the volume has other logical blocks in the stream than in its base",
        cause: "Of \(header.logicalBlockBytes) bytes there, and \(base.logicalBlockBytes) here.",
        correction: "Send the snapshot whole, into a new volume.",
        objects: [ManagementObject(.volume, "\(pool.name)/\(order.volume)")])
    }
    return (volume, base)
  }

  /// Gives a volume that is being received the size that it has in the stream.
  func giveReceived(
    _ volume: VolumeID, size: UInt64,
    _ done: @escaping @Sendable (PoolHost, ManagementError?) -> Void
  ) {
    guard let slot = pool.volume(volume), pool.sizeBytes(of: slot) != size else {
      return done(self, nil)
    }
    engine.resizeReceivedVolume(
      volume, to: size,
      token: token { host, result in
        done(host, result == .done ? nil : EnginePoolService.branchProblem(result, host))
      })
  }

  /// Undoes what a stream left in a volume that is being received; `done` is called when that has
  /// ended, well or not.
  func undoReceive(_ volume: VolumeID, _ done: @escaping @Sendable () -> Void) {
    guard let slot = pool.volume(volume), pool.record(of: slot).isReceiving else { return done() }
    let token = token { _, _ in done() }
    if pool.record(of: slot).lineage == .zero {
      engine.deleteVolume(volume, token: token)
    } else {
      engine.undoReceive(volume, token: token)
    }
  }

  /// Undoes what the streams left that were being received when an earlier process ended.
  func undoUnfinishedReceives() {
    for slot in pool.volumeSlots where pool.record(of: slot).isReceiving {
      undoReceive(pool.record(of: slot).id) {}
    }
  }
}

extension ManagementError {
  /// The bytes of a stream are not accepted.
  init(stream error: StreamError) {
    switch error {
    case .unknownVersion, .unknownFeatures:
      self.init(
        .formatNotSupported, "the stream cannot be received", cause: error.description,
        correction: "Use the version of lamina that sent it, or a later one.")
    case .notAStream, .badChecksum, .badField, .truncated, .trailingBytes:
      self.init(
        .streamDamaged, "the stream is damaged or incomplete", cause: error.description,
        correction: "Send it again. Nothing was received.")
    }
  }

  /// A read or write of a volume that is sent or received has failed.
  init(transfer error: ExportError, of name: String, pool: String) {
    let object = ManagementObject(name.contains("@") ? .snapshot : .volume, "\(pool)/\(name)")
    switch error {
    case .noSpace:
      self.init(
        .noSpace, "pool '\(pool)' has no space for what is received into '\(name)'",
        correction: "Delete or discard something, then receive it again. Nothing was received.",
        objects: [object])
    case .readOnly: self = .poolReadOnly(pool, reason: "A device failed to make data durable.")
    case .shuttingDown: self = .serverStopping(pool: pool)
    case .volumeGone:
      self.init(
        name.contains("@") ? .snapshotNotFound : .volumeNotFound,
        "'\(name)' of pool '\(pool)' was deleted meanwhile", objects: [object])
    case .inputOutput, .invalidRequest, .outOfRange, .notSupported:
      self.init(
        .inputOutput, "'\(name)' of pool '\(pool)' cannot be read or written",
        cause: "A device failed, or stored bytes are damaged.",
        correction: "Run 'lamina pool check' with the server stopped.", objects: [object])
    }
  }
}
