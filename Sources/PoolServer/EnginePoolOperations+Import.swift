import DiskFormat
package import Management
import StorageUnits

/// Pools that come from elsewhere, and go there.
extension EnginePoolOperations {
  package func scan(_ paths: [String]) async throws(ManagementError) -> PoolScan {
    try PoolScanner.scan(paths)
  }

  package func importPool(
    _ order: PoolImport, in state: StateFolder
  ) async throws(ManagementError) -> PoolStatus {
    let pool = try Self.onlyPool(try PoolScanner.scan(order.paths))
    let ownName = try PoolName(pool.name)
    let name = order.newName ?? ownName
    let earlier = try Self.earlierRecord(of: pool, as: name, in: state)
    let record = PoolRecord(
      name: name, uuid: pool.uuid, cacheMode: order.cacheMode,
      devices: pool.devices.map {
        PoolRecord.Device(
          path: $0.path, uuid: $0.uuid, index: $0.index, sizeBytes: $0.sizeBytes)
      })
    if earlier == nil { try state.add(record) } else { try state.update(record) }
    do throws(ManagementError) {
      // Recovers it, and gives it the name if that is another.
      return try await openedStatus(of: name, in: state, renames: order.newName != nil)
    } catch {
      if let earlier { try state.update(earlier) } else { try state.remove(name) }
      throw error
    }
  }

  package func exportPool(
    _ pool: PoolName, in state: StateFolder
  ) async throws(ManagementError) -> PoolStatus {
    let status = try await openedStatus(of: pool, in: state)
    try state.remove(pool)
    return status
  }

  /// The pool that the paths hold, if they hold one and all of it.
  private static func onlyPool(_ scan: PoolScan) throws(ManagementError) -> ScannedPool {
    guard let pool = scan.pools.first else {
      throw ManagementError(
        .deviceForeign, "no pool was found",
        details: scan.others.map(\.reason),
        correction: "Name the devices of the pool, or a folder that holds them.")
    }
    guard scan.pools.count == 1 else {
      throw ManagementError(
        .deviceForeign, "more than one pool was found",
        details: scan.pools.map { pool in
          "\(pool.name) (\(pool.uuid)): " + pool.devices.map(\.path).joined(separator: ", ")
        },
        correction: "Name the devices of one of them only.",
        objects: scan.pools.map { ManagementObject(.pool, $0.name) })
    }
    let object = ManagementObject(.pool, pool.name)
    switch pool.state {
    case .complete: break
    case .incomplete:
      throw ManagementError(
        .deviceMissing, "pool '\(pool.name)' is not complete", cause: pool.problem,
        details: pool.missingDevices.map {
          "Device \($0.index) has \($0.sizeBytes) bytes and the UUID \($0.uuid)."
        },
        correction: "Name the paths of these, too.", objects: [object])
    case .ambiguous:
      throw ManagementError(
        .deviceForeign, "pool '\(pool.name)' was found twice in part", cause: pool.problem,
        details: pool.devices.map {
          "\($0.path): device \($0.index), superblock \($0.superblockSequence), last opened by"
            + " \($0.openedByHost) at \($0.openedAt)"
        },
        correction: "The one with the smaller superblock is an older copy. Name only the devices"
          + " that you mean.", objects: [object])
    case .inconsistent:
      throw ManagementError(
        .deviceForeign, "the devices of pool '\(pool.name)' do not fit each other",
        cause: pool.problem, correction: "'lamina pool scan' shows what is on them.",
        objects: [object])
    }
    return pool
  }

  /// What the state folder already says of this very pool; another one of the name is refused.
  private static func earlierRecord(
    of pool: ScannedPool, as name: PoolName, in state: StateFolder
  ) throws(ManagementError) -> PoolRecord? {
    for other in try state.pools() where other != name {
      guard try state.record(of: other).uuid == pool.uuid else { continue }
      throw ManagementError(
        .poolExists, "the pool is known here as '\(other)'",
        correction: "To give it another name: lamina pool export \(other), then import it.",
        objects: [ManagementObject(.pool, other.text)])
    }
    let known: PoolRecord
    do throws(ManagementError) {
      known = try state.record(of: name)
    } catch {
      guard error.code == .poolNotFound else { throw error }
      return nil
    }
    guard known.uuid == pool.uuid else {
      throw ManagementError(
        .poolExists, "there is already another pool '\(name)' in \(state.home)",
        cause: "It is \(known.uuid), the one on the devices is \(pool.uuid).",
        correction: "Give this one another name with --rename.",
        objects: [ManagementObject(.pool, name.text)])
    }
    return known
  }
}
