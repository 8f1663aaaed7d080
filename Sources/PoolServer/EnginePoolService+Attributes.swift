import DiskFormat
import Management
import PoolCore
import VolumeEngine

extension EnginePoolService {
  func resizeVolume(
    named name: VolumeName, to sizeBytes: UInt64, shrink: Bool
  ) async throws(ManagementError) -> VolumeDescription {
    try await change(name) { host, slot, token in
      host.engine.resizeVolume(
        host.pool.record(of: slot).id, to: sizeBytes, allowsShrink: shrink, token: token)
    }
  }

  func renameVolume(
    named name: VolumeName, to newName: VolumeName
  ) async throws(ManagementError) -> VolumeDescription {
    try await change(name) { host, slot, token in
      host.engine.renameVolume(host.pool.record(of: slot).id, to: newName.text, token: token)
    }
  }

  func setFullPolicy(
    of name: VolumeName, to policy: FullPolicy
  ) async throws(ManagementError) -> VolumeDescription {
    try await change(name) { host, slot, token in
      host.engine.setFullPolicy(
        host.pool.record(of: slot).id, to: policy.stored, token: token)
    }
  }

  private func change(
    _ name: VolumeName, _ begin: @escaping @Sendable (PoolHost, VolumeSlot, UInt64) -> Void
  ) async throws(ManagementError) -> VolumeDescription {
    try await operate { host, done in
      guard let slot = host.pool.volume(named: name.text) else {
        return done(.failure(.volumeNotFound(name, pool: host.pool.name)))
      }
      let id = host.pool.record(of: slot).id
      let token = host.token { host, result in
        if result == .done, let slot = host.pool.volume(id) {
          done(.success(host.description(of: slot)))
        } else {
          done(.failure(Self.problem(result, name, host)))
        }
      }
      begin(host, slot, token)
    }
  }

  func renameSnapshot(
    _ name: SnapshotName, to newName: SnapshotName
  ) async throws(ManagementError) -> VolumeDescription {
    guard name.volume == newName.volume else {
      throw ManagementError(
        .invalidArgument, "a snapshot stays with its volume",
        correction: "Name it \(name.volume)@\(newName.snapshot).",
        objects: [ManagementObject(.snapshot, newName.description)])
    }
    return try await operate { host, done in
      guard let slot = Self.find(name, host) else {
        return done(.failure(.snapshotNotFound(name, pool: host.pool.name)))
      }
      let id = host.pool.record(of: slot).id
      host.engine.renameVolume(
        id, to: newName.snapshot,
        token: host.token { host, result in
          if result == .done, let slot = host.pool.volume(id) {
            done(.success(host.description(of: slot)))
          } else {
            done(.failure(Self.branchProblem(result, host)))
          }
        })
    }
  }
}
