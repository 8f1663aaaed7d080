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

  /// Recovering once more gives the same pool; then every volume can be deleted, the pool stopped,
  /// and nothing is left in use.
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
      // A volume goes after its snapshots.
      let snapshots = second.volumes.filter { $0.name.contains("@") }
      let others = second.volumes.filter { !$0.name.contains("@") }
      for volume in snapshots + others {
        again.engine.deleteVolume(volume.id, token: volume.id.number)
      }
      var refusals: [String] = []
      again.managementAnswered = {
        if $0.result != .done { refusals.append("a delete ended with \($0.result)") }
      }
      again.settle()
      guard refusals.isEmpty else { return refusals }
      guard again.stop() else { return ["the stop failed"] }
      let report = PoolInspector.inspect(devices: again.disks.devices)
      if report.totals.usedExtents != 0 {
        return ["\(report.totals.usedExtents) extents are in use by nobody"]
      }
      return report.findings.prefix(5).map { "after a stop: \($0.problem) at \($0.place)" }
    } catch { return second(error) }
  }

  private static func second(_ error: any Error) -> [String] {
    ["cannot be opened a second time: \(error)"]
  }
}
