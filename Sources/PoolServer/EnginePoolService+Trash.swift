import DiskFormat
import Management
import PoolCore
import StorageUnits
import VolumeEngine

extension EnginePoolService {
  func listTrash() async throws(ManagementError) -> [TrashItem] {
    try await ask { host in
      .success(
        host.pool.trash.map { item in
          TrashItem(
            name: item.name, id: item.volume.number, sizeBytes: item.sizeBytes,
            allocatedBytes: item.allocatedExtents * UInt64(StorageSizes.extentBytes),
            snapshotCount: item.snapshotCount,
            trashedAt: Timestamp(secondsSince1970: Int64(item.trashedAt)),
            expiresAt: Timestamp(secondsSince1970: Int64(item.expiresAt)))
        })
    }
  }

  func restoreFromTrash(
    _ name: ContentName, _ specification: RestoreSpecification
  ) async throws(ManagementError) -> VolumeDescription {
    let newName = try Self.ownName(specification.name, of: name)
    return try await operate { host, done in
      let items = host.pool.trash.filter { item in
        item.name == name.description
          && (specification.id == nil || specification.id == item.volume.number)
      }
      guard let item = items.last else {
        return done(.failure(.trashItemNotFound(name, pool: host.pool.name)))
      }
      host.engine.restoreFromTrash(
        item.volume, as: newName,
        token: host.token { host, result in
          if result == .done, let slot = host.pool.volume(item.volume) {
            done(.success(host.description(of: slot)))
          } else {
            done(.failure(Self.branchProblem(result, host)))
          }
        })
    }
  }

  /// A snapshot stays with its volume.
  private static func ownName(
    _ new: ContentName?, of old: ContentName
  ) throws(ManagementError) -> String? {
    switch (old, new) {
    case (_, nil): return nil
    case (.volume, .volume(let name)?): return name.text
    case (.snapshot(let from), .snapshot(let to)?) where from.volume == to.volume:
      return to.snapshot
    case (_, let name?):
      throw ManagementError(
        .invalidArgument, "'\(old)' cannot be restored as '\(name)'",
        cause: "A volume stays a volume, and a snapshot stays with its volume.",
        correction: "Name a volume as VOLUME, a snapshot as its old volume's VOLUME@SNAPSHOT.",
        objects: [ManagementObject(.volume, name.description)])
    }
  }

  func emptyTrash(_ name: ContentName?) async throws(ManagementError) {
    try await operate { host, done in
      let items = host.pool.trash.filter { name == nil || $0.name == name?.description }
      if let name, items.isEmpty {
        return done(.failure(.trashItemNotFound(name, pool: host.pool.name)))
      }
      host.engine.emptyTrash(
        items.map(\.volume),
        token: host.token { host, result in
          done(result == .done ? .success(()) : .failure(Self.branchProblem(result, host)))
        })
    } as Void
  }

  func change(_ change: PoolChange) async throws(ManagementError) -> PoolStatus {
    try await operate { host, done in
      host.engine.setTrashExpiry(
        seconds: change.trashExpirySeconds,
        token: host.token { host, result in
          done(
            result == .done
              ? .success(host.status()) : .failure(Self.branchProblem(result, host)))
        })
    }
  }
}

extension ManagementError {
  static func trashItemNotFound(_ name: ContentName, pool: String) -> ManagementError {
    ManagementError(
      .trashItemNotFound, "there is no '\(name)' in the trash of pool '\(pool)'",
      correction: "'lamina trash list \(pool)' shows what there is.",
      objects: [ManagementObject(.volume, "\(pool)/\(name)")])
  }
}
