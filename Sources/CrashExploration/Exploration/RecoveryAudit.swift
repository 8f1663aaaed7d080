import DiskFormat
import DiskSimulation
import PoolCore
import PoolInspection
import StorageUnits
import VolumeEngine

/// What must be true of every pool that has recovered, whatever its volumes hold.
enum RecoveryAudit {
  /// A recount agrees with the pool, in what is used, free and in quarantine too.
  static func problems(of server: SimulatedServer) -> [String] {
    let report = PoolInspector.inspect(devices: server.disks.devices)
    let findings = report.findings.filter { $0.severity > .notice }
    if !findings.isEmpty {
      return findings.prefix(5).map { "after recovery: \($0.problem) at \($0.place)" }
    }
    // What a recount finds free is free, or on its way back; and nothing else is. A node has two
    // places where there are two devices.
    let usage = server.pool.usage
    let places = UInt64(min(server.disks.devices.count, 2))
    let counted =
      report.totals.freeExtents * UInt64(StorageSizes.extentBytes)
      + UInt64(report.totals.freeSegments) * UInt64(4096) << UInt64(server.pool.segmentShift)
      + report.totals.freeNodes * 4096 * places
    if usage.freeBytes + usage.reclaimableBytes != counted {
      return [
        "free \(usage.freeBytes), on its way back \(usage.reclaimableBytes), "
          + "by a recount free \(counted)"
      ]
    }
    return []
  }

  /// Recovering once more gives the same pool; what lies in the trash can be restored, or the trash
  /// be emptied; then every volume can be deleted, the pool stopped, and nothing is left in use.
  static func afterlife(
    of server: SimulatedServer, as first: RecoveredPool, seed: UInt64, settings: ServerSettings
  ) -> [String] {
    let media = server.media()
    let contents = media.devices.map(\.visibleContents)
    do {
      let again = try SimulatedServer(media, seed: seed, settings: settings)
      var second = RecoveredPool()
      second.take(again, crashed: contents)
      if second.volumes != first.volumes { return ["a second recovery gives another pool"] }
      let problems = endTrash(of: again, second, contents, isRestored: seed / 2 % 2 == 0)
      guard problems.isEmpty else { return problems }
      let refusals = deleteAll(of: again)
      guard refusals.isEmpty else { return refusals }
      guard again.stop() else { return ["the stop failed"] }
      let report = PoolInspector.inspect(devices: again.disks.devices)
      if report.totals.usedExtents != 0 {
        return ["\(report.totals.usedExtents) extents are in use by nobody"]
      }
      return report.findings.prefix(5).map { "after a stop: \($0.problem) at \($0.place)" }
    } catch { return ["cannot be opened a second time: \(error)"] }
  }

  /// Takes everything out of the trash, and looks whether it is what it was; or empties it. What
  /// was being emptied cannot be restored, and is emptied.
  private static func endTrash(
    of server: SimulatedServer, _ before: RecoveredPool, _ contents: [SparseBytes],
    isRestored: Bool
  ) -> [String] {
    guard server.pool.hasTrash else { return [] }
    // A volume comes before its snapshots.
    let items = server.pool.trash.sorted { $0.volume.number < $1.volume.number }
    var problems: [String] = []
    if isRestored {
      for item in items {
        switch server.manage({
          $0.restoreFromTrash(item.volume, as: "restored\(item.volume.number)", token: $1)
        }) {
        case .done: break
        case .refused(.notInTrash), .refused(.volumeInTrash): break
        case let result: problems.append("a restore ended with \(result)")
        }
      }
      var after = RecoveredPool()
      after.take(server, crashed: contents)
      problems += after.problems
      if after.volumes.map(\.mapped) != before.volumes.map(\.mapped) {
        problems.append("what was restored is not what was deleted")
      }
    }
    let left = server.pool.trash.map(\.volume)
    let result = server.manage { $0.emptyTrash(left, token: $1) }
    if result != .done { problems.append("emptying the trash ended with \(result)") }
    if server.pool.hasTrash { problems.append("the trash is not empty") }
    return problems
  }

  private static func deleteAll(of server: SimulatedServer) -> [String] {
    var problems: [String] = []
    func expect(_ what: String, _ issue: (VolumeEngine, UInt64) -> Void) {
      let result = server.manage(issue)
      if result != .done { problems.append("\(what) ended with \(result)") }
    }
    let pool = server.pool
    for hold in pool.holds() {
      expect("a release") { $0.releaseHold(on: hold.volume, tag: hold.tag, token: $1) }
    }
    let records = pool.volumeIDs.compactMap { pool.volume($0) }.map { pool.record(of: $0) }
    for record in records where record.isReceiving && record.lineage != .zero {
      expect("undoing a receive") { $0.undoReceive(record.id, token: $1) }
    }
    // A volume goes after its snapshots.
    for record in records.filter({ $0.origin != nil }) + records.filter({ $0.origin == nil }) {
      expect("a delete") { $0.deleteVolume(record.id, token: $1) }
    }
    return problems
  }
}
