import BlockExport
import BlockIO
import DiskFormat
import Management
import PoolCore
import StorageUnits
import VolumeEngine

extension EnginePoolService {
  func listSnapshots() async throws(ManagementError) -> [VolumeDescription] {
    try await ask { host in
      .success(
        host.pool.volumeSlots.filter { host.pool.record(of: $0).origin != nil }
          .sorted { host.pool.record(of: $0).id < host.pool.record(of: $1).id }
          .map(host.description(of:)))
    }
  }

  func createSnapshots(
    _ names: [SnapshotName]
  ) async throws(ManagementError) -> [VolumeDescription] {
    guard !names.isEmpty else {
      throw ManagementError(
        .invalidArgument, "no snapshot is named", correction: "Name at least one VOLUME@SNAPSHOT.")
    }
    return try await operate { host, done in
      var orders: [SnapshotOrder] = []
      for name in names {
        guard let slot = host.pool.volume(named: name.volume.text) else {
          return done(.failure(.volumeNotFound(name.volume, pool: host.pool.name)))
        }
        orders.append(
          SnapshotOrder(
            source: host.pool.record(of: slot).id, name: name.snapshot, uuid: SystemRandom.uuid(),
            createdAt: SystemClock.secondsSince1970()))
      }
      host.engine.createSnapshots(
        orders, token: host.token { host, result in done(Self.branched(result, host)) })
    }
  }

  func deleteSnapshot(
    _ name: SnapshotName, permanently: Bool
  ) async throws(ManagementError) {
    try await operate { host, done in
      guard let slot = Self.find(name, host) else {
        return done(.failure(.snapshotNotFound(name, pool: host.pool.name)))
      }
      host.engine.deleteVolume(
        host.pool.record(of: slot).id,
        trashedAt: permanently ? nil : SystemClock.secondsSince1970(),
        token: host.token { host, result in
          done(result == .done ? .success(()) : .failure(Self.branchProblem(result, host)))
        })
    } as Void
  }

  func cloneSnapshot(
    _ name: SnapshotName, as clone: VolumeName
  ) async throws(ManagementError) -> VolumeDescription {
    let made: [VolumeDescription] = try await operate { host, done in
      guard let slot = Self.find(name, host) else {
        return done(.failure(.snapshotNotFound(name, pool: host.pool.name)))
      }
      host.engine.cloneSnapshot(
        host.pool.record(of: slot).id, as: clone.text, uuid: SystemRandom.uuid(),
        createdAt: SystemClock.secondsSince1970(),
        token: host.token { host, result in done(Self.branched(result, host)) })
    }
    return made[0]
  }

  func rollBack(to name: SnapshotName) async throws(ManagementError) {
    try await operate { host, done in
      guard let slot = Self.find(name, host), let volume = host.pool.record(of: slot).origin else {
        return done(.failure(.snapshotNotFound(name, pool: host.pool.name)))
      }
      host.engine.rollBack(
        volume, to: host.pool.record(of: slot).id,
        token: host.token { host, result in
          done(result == .done ? .success(()) : .failure(Self.branchProblem(result, host)))
        })
    } as Void
  }

  static func find(_ name: SnapshotName, _ host: PoolHost) -> VolumeSlot? {
    host.pool.volume(named: name.description)
  }

  static func branched(
    _ result: ManagementResult, _ host: PoolHost
  ) -> Result<[VolumeDescription], ManagementError> {
    guard case .branched(let ids) = result else { return .failure(branchProblem(result, host)) }
    return .success(ids.compactMap { host.pool.volume($0).map(host.description(of:)) })
  }

  static func branchProblem(
    _ result: ManagementResult, _ host: PoolHost
  ) -> ManagementError {
    switch result {
    case .refused(let error): ManagementError(pool: host.pool.name, refusingBranch: error)
    case .failed(.shuttingDown): .serverStopping(pool: host.pool.name)
    case .failed(.readOnly): .poolReadOnly(host.pool.name, reason: host.status().stateReason)
    case .done, .created, .branched, .failed:
      ManagementError(
        .inputOutput, "whether the change is durable is not known", cause: "A device failed.",
        correction: "Look at 'lamina pool status'.",
        objects: [ManagementObject(.pool, host.pool.name)])
    }
  }
}
