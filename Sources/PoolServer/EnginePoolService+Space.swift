import BlockExport
import DiskFormat
import Management
import PoolCore
import StorageUnits
import VolumeEngine

/// Who holds what: scans of maps in the background of the engine.
extension EnginePoolService {
  func estimateSpace(of query: SpaceQuery) async throws(ManagementError) -> SpaceEstimate {
    guard !query.names.isEmpty else {
      throw ManagementError(
        .invalidArgument, "no volume or snapshot is named",
        correction: "Name at least one VOLUME or VOLUME@SNAPSHOT.")
    }
    return try await operate { host, done in
      var slots: [VolumeSlot] = []
      for name in query.names {
        guard let slot = host.pool.volume(named: name) else {
          return done(.failure(Self.notFound(name, host)))
        }
        // Named twice, it is deleted once.
        if !slots.contains(slot) { slots.append(slot) }
      }
      let referenced = slots.reduce(UInt64(0)) {
        $0 + host.pool.record(of: $1).allocatedExtents * UInt64(StorageSizes.extentBytes)
      }
      let sharers = Self.sharers(of: slots, host)
      host.engine.begin(
        SpaceScan(slots.map { host.pool.record(of: $0).id }) { result in
          done(
            result.map {
              SpaceEstimate(
                names: query.names, referencedBytes: referenced, freedBytes: $0.freedBytes,
                freedDataBytes: $0.freedDataBytes, sharedWith: sharers)
            }.mapError { Self.scanProblem($0, host) })
        })
    }
  }

  func spaceUsage() async throws(ManagementError) -> SpaceUsage {
    // What was freed a moment ago is to be seen as free.
    try await checkpoint()
    let ids: [VolumeID] = try await ask { host in
      .success(host.pool.volumeIDs)
    }
    var holders: [SpaceUsage.Holder] = []
    for id in ids {
      if let holder = try await holder(id) { holders.append(holder) }
    }
    holders.sort { $0.name < $1.name }
    let found = holders
    return try await ask { host in
      let data = host.pool.dataUsage
      return .success(
        SpaceUsage(
          usedBytes: host.pool.usage.usedBytes, aheadBytes: data.ahead,
          reclaimableBytes: data.reclaimable, dataBytes: data.named,
          deletedMaps: host.pool.doomedCount, holders: found))
    }
  }

  /// Nil if it was deleted meanwhile.
  private func holder(_ id: VolumeID) async throws(ManagementError) -> SpaceUsage.Holder? {
    try await operate { host, done in
      host.engine.begin(
        SpaceScan([id]) { result in
          guard let slot = host.pool.volume(id) else { return done(.success(nil)) }
          let record = host.pool.record(of: slot)
          done(
            result.map {
              SpaceUsage.Holder(
                name: host.pool.shownName(of: slot), sizeBytes: record.sizeBytes,
                referencedBytes: record.allocatedExtents * UInt64(StorageSizes.extentBytes),
                exclusiveBytes: $0.freedDataBytes, inTrash: host.pool.isInTrash(slot) ? true : nil,
                owedBytes: host.pool.owes(slot) ? host.pool.owedBytes(of: slot) : nil)
            }.mapError { Self.scanProblem($0, host) })
        })
    }
  }

  /// Volumes and snapshots of the same origin.
  private static func sharers(of slots: [VolumeSlot], _ host: PoolHost) -> [String] {
    let families = Set(slots.map { host.pool.record(of: $0).family })
    return host.pool.volumeSlots
      .filter { families.contains(host.pool.record(of: $0).family) && !slots.contains($0) }
      .prefix(SpaceEstimate.sharersAtMost).map { host.pool.shownName(of: $0) }
  }

  private static func notFound(_ name: String, _ host: PoolHost) -> ManagementError {
    do throws(ManagementError) {
      if name.contains("@") {
        return .snapshotNotFound(try SnapshotName(name), pool: host.pool.name)
      }
      return .volumeNotFound(try VolumeName(name), pool: host.pool.name)
    } catch {
      return error
    }
  }

  private static func scanProblem(_ error: ExportError, _ host: PoolHost) -> ManagementError {
    switch error {
    case .shuttingDown: .serverStopping(pool: host.pool.name)
    case .volumeGone:
      ManagementError(
        .volumeNotFound, "one of them was deleted meanwhile",
        correction: "'lamina volume list \(host.pool.name)' shows what there is.",
        objects: [ManagementObject(.pool, host.pool.name)])
    default:
      ManagementError(
        .inputOutput, "a table of pool '\(host.pool.name)' cannot be read",
        correction: "Check it: lamina pool check \(host.pool.name)",
        objects: [ManagementObject(.pool, host.pool.name)])
    }
  }
}
