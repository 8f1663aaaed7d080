import BlockExport
import BlockIO
import DiskFormat
import Management
import PoolCore
import StorageUnits
import VolumeEngine

/// The commands and queries of a pool, carried out on its engine's thread.
struct EnginePoolService: PoolService {
  let thread: EngineThread

  /// Runs a query on the engine's thread.
  func ask<Value: Sendable>(
    _ query: @escaping @Sendable (PoolHost) -> Result<Value, ManagementError>
  ) async throws(ManagementError) -> Value {
    try await operate { host, done in done(query(host)) }
  }

  /// Runs an operation on the engine's thread that answers when it is durable.
  func operate<Value: Sendable>(
    _ body:
      @escaping @Sendable (
        PoolHost, @escaping @Sendable (Result<Value, ManagementError>) -> Void
      ) -> Void
  ) async throws(ManagementError) -> Value {
    let result = await withCheckedContinuation {
      (continuation: CheckedContinuation<Result<Value, ManagementError>, Never>) in
      let isTaken = thread.post { host in
        guard !host.isStopping else {
          continuation.resume(returning: .failure(.serverStopping(pool: host.pool.name)))
          return
        }
        body(host) { continuation.resume(returning: $0) }
      }
      if !isTaken {
        continuation.resume(returning: .failure(.serverStopping(pool: thread.poolName)))
      }
    }
    return try result.get()
  }

  func status() async throws(ManagementError) -> PoolStatus {
    try await ask { .success($0.status()) }
  }

  func metrics() async throws(ManagementError) -> String {
    try await ask { .success(PoolMetrics.text(of: $0)) }
  }

  func listVolumes() async throws(ManagementError) -> [VolumeDescription] {
    try await ask { host in
      .success(
        host.pool.volumeSlots.filter { host.pool.record(of: $0).origin == nil }
          .map(host.description(of:)))
    }
  }

  func volume(named name: VolumeName) async throws(ManagementError) -> VolumeDescription {
    try await ask { host in
      guard let slot = host.pool.volume(named: name.text) else {
        return .failure(.volumeNotFound(name, pool: host.pool.name))
      }
      return .success(host.description(of: slot))
    }
  }

  func createVolume(
    _ specification: VolumeSpecification
  ) async throws(ManagementError) -> VolumeDescription {
    let record = VolumeRecord(
      id: VolumeID(0), uuid: SystemRandom.uuid(), name: specification.name.text,
      sizeBytes: specification.sizeBytes,
      logicalBlockBytes: UInt32(specification.logicalBlockBytes),
      createdAt: SystemClock.secondsSince1970(), fullPolicy: specification.fullPolicy.stored)
    return try await operate { host, done in
      host.engine.createVolume(
        record,
        token: host.token { host, result in
          if case .created(let id) = result, let slot = host.pool.volume(id) {
            done(.success(host.description(of: slot)))
          } else {
            done(.failure(Self.problem(result, specification.name, host)))
          }
        })
    }
  }

  func deleteVolume(
    named name: VolumeName, permanently: Bool
  ) async throws(ManagementError) {
    try await operate { host, done in
      guard let slot = host.pool.volume(named: name.text) else {
        done(.failure(.volumeNotFound(name, pool: host.pool.name)))
        return
      }
      guard !host.receiving.contains(host.pool.record(of: slot).id) else {
        return done(.failure(.volumeReceiving(name.text, pool: host.pool.name)))
      }
      host.engine.deleteVolume(
        host.pool.record(of: slot).id,
        trashedAt: permanently ? nil : SystemClock.secondsSince1970(),
        token: host.token { host, result in
          done(result == .done ? .success(()) : .failure(Self.problem(result, name, host)))
        })
    } as Void
  }

  func checkpoint() async throws(ManagementError) {
    try await operate { host, done in
      host.engine.checkpoint(
        token: host.token { host, result in
          guard result != .done else { return done(.success(())) }
          done(
            .failure(
              host.engine.isReadOnly
                ? .poolReadOnly(host.pool.name, reason: host.status().stateReason)
                : ManagementError(.inputOutput, "the checkpoint failed", cause: "\(result).")))
        })
    } as Void
  }

  static func problem(
    _ result: ManagementResult, _ name: VolumeName, _ host: PoolHost
  ) -> ManagementError {
    switch result {
    case .refused(let error):
      ManagementError(pool: host.pool.name, refusing: error, volume: name)
    case .failed(.shuttingDown): .serverStopping(pool: host.pool.name)
    case .failed(.readOnly): .poolReadOnly(host.pool.name, reason: host.status().stateReason)
    case .done, .created, .branched, .failed:
      ManagementError(
        .inputOutput, "whether the change of volume '\(name)' is durable is not known",
        cause: "A device failed.", correction: "Look at 'lamina pool status'.",
        objects: [ManagementObject(.volume, name.text)])
    }
  }
}
