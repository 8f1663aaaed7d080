import BlockExport
import DiskFormat
import Management
import NBDTarget
import PoolCore
import StorageUnits
import VolumeEngine

/// The metrics of a served pool, as `GET /metrics` answers them (`Docs/Metrics.md`).
struct PoolMetrics {
  private var out = PrometheusText()
  private let host: PoolHost
  private let status: PoolStatus

  static func text(of host: PoolHost) -> String {
    var metrics = PoolMetrics(host)
    metrics.addPool()
    metrics.addDevices()
    metrics.addEngine()
    if let nbd = host.nbdStatistics { metrics.addConnections(nbd) }
    metrics.addVolumes()
    metrics.addOperations()
    return metrics.out.text
  }

  private init(_ host: PoolHost) {
    self.host = host
    status = host.status()
  }

  private mutating func addPool() {
    out.metric("lamina_pool_info", .gauge, "The pool that is served.")
    out.sample(
      "lamina_pool_info", ["pool": status.name, "uuid": status.uuid.description], 1)
    out.single(
      "lamina_pool_read_only", .gauge, "1 after a device failed to make data durable.",
      status.state == .readOnly ? 1 : 0)
    out.single("lamina_pool_size_bytes", .gauge, "All devices together.", status.sizeBytes)
    out.single(
      "lamina_pool_used_bytes", .gauge, "Everything that is taken, tables included.",
      status.usedBytes)
    out.single("lamina_pool_free_bytes", .gauge, "What is not taken.", status.freeBytes)
    out.single(
      "lamina_pool_metadata_bytes", .gauge, "The part of the used bytes for tables.",
      status.metadataBytes)
    out.single(
      "lamina_pool_reclaimable_bytes", .gauge,
      "The part of the used bytes that the next checkpoint frees.", status.reclaimableBytes)
    out.single(
      "lamina_pool_trash_bytes", .gauge, "Held by what is in the trash.", status.trashBytes)
    out.single(
      "lamina_pool_pending_drops", .gauge,
      "Deleted trees whose space still comes back.", UInt64(status.pendingDropCount))
    out.single("lamina_pool_volumes", .gauge, "Volumes.", UInt64(status.volumeCount))
  }

  private mutating func addDevices() {
    let devices = status.devices
    func each(
      _ name: String, _ kind: PrometheusText.Kind, _ help: String,
      _ value: (DeviceStatus) -> UInt64
    ) {
      out.metric(name, kind, help)
      for device in devices {
        out.sample(
          name, ["device": "\(device.index)", "path": device.path], value(device))
      }
    }
    each("lamina_device_size_bytes", .gauge, "The size of a device.") { $0.sizeBytes }
    each("lamina_device_used_bytes", .gauge, "What is taken on a device.") { $0.usedBytes }
    each("lamina_device_data_reads_total", .counter, "Reads of data.") { $0.dataReads }
    each("lamina_device_data_writes_total", .counter, "Writes of data.") { $0.dataWrites }
    each("lamina_device_node_reads_total", .counter, "Reads of table nodes.") { $0.nodeReads }
    each("lamina_device_node_writes_total", .counter, "Writes of tables.") { $0.nodeWrites }
    each("lamina_device_flushes_total", .counter, "Cache flushes (barriers).") { $0.flushes }
  }

  private mutating func addEngine() {
    let engine = host.engine.statistics
    out.single(
      "lamina_journal_rounds_total", .counter, "Flush rounds that ended well.", engine.rounds)
    out.single(
      "lamina_checkpoints_total", .counter, "Checkpoints that ended well.", engine.checkpoints)
    out.single(
      "lamina_parked_requests", .gauge, "Requests that wait for space.",
      UInt64(engine.parkedRequests))
    out.single(
      "lamina_merges_total", .counter, "Writes that merged two older layers.", engine.merges)
    out.single(
      "lamina_zero_blocks_total", .counter,
      "Blocks of 4 KiB of zeros that were written where nothing was, and took no space.",
      engine.zeroBlocks)
    out.single(
      "lamina_punched_bytes_total", .counter,
      "Freed space that was given back to the files and devices underneath.",
      engine.punchedBytes)
  }

  private mutating func addConnections(_ nbd: NBDStatistics) {
    out.single(
      "lamina_nbd_connections", .gauge, "Connections that are open.", UInt64(nbd.connections))
    out.single(
      "lamina_nbd_connections_total", .counter, "Connections that were accepted.",
      nbd.connectionsTotal)
    out.single(
      "lamina_nbd_connections_refused_total", .counter,
      "Connections that were turned away because there were too many.", nbd.connectionsRefused)
    out.single(
      "lamina_nbd_connections_dropped_total", .counter,
      "Connections that the server ended: a broken protocol, or a deadline.",
      nbd.connectionsDropped)
  }

  // MARK: Volumes

  /// Volumes and snapshots, by the names of their exports.
  private var contents: [(name: String, slot: VolumeSlot)] {
    host.pool.volumeSlots.map { (host.pool.shownName(of: $0), $0) }.sorted { $0.name < $1.name }
  }

  private mutating func addVolumes() {
    let volumes = contents.filter { host.pool.record(of: $0.slot).origin == nil }
    out.metric("lamina_volume_size_bytes", .gauge, "The virtual size of a volume.")
    for volume in volumes {
      out.sample(
        "lamina_volume_size_bytes", ["volume": volume.name],
        host.pool.record(of: volume.slot).sizeBytes)
    }
    out.metric(
      "lamina_volume_mapped_bytes", .gauge,
      "What a volume has written, whether it shares it or not.")
    for volume in volumes {
      out.sample(
        "lamina_volume_mapped_bytes", ["volume": volume.name],
        host.pool.record(of: volume.slot).mappedBlocks * UInt64(StorageSizes.blockBytes))
    }
  }

  /// Only of what was asked for anything since the start.
  private mutating func addOperations() {
    let asked = contents.map { ($0.name, host.engine.operations(of: $0.slot)) }
      .filter { !$0.1.isEmpty }
    func each(_ name: String, _ help: String, _ value: (OperationStatistics) -> UInt64) {
      out.metric(name, .counter, help)
      for (volume, operations) in asked {
        for operation in operations {
          out.sample(name, Self.labels(volume, operation), value(operation))
        }
      }
    }
    each("lamina_volume_requests_total", "Requests that were answered.") { $0.requests }
    each("lamina_volume_errors_total", "Requests that were answered with an error.") { $0.errors }
    each("lamina_volume_bytes_total", "Bytes of their ranges.") { $0.bytes }
    out.metric(
      "lamina_volume_latency_seconds", .histogram, "From the arrival of a request to its answer.")
    for (volume, operations) in asked {
      for operation in operations { addLatencies(volume, operation) }
    }
  }

  private mutating func addLatencies(_ volume: String, _ operation: OperationStatistics) {
    let name = "lamina_volume_latency_seconds"
    let word = Self.word(operation.operation)
    var sum: UInt64 = 0
    for (index, bound) in OperationStatistics.latencyBounds.enumerated() {
      sum += operation.latencies[index]
      out.sample(
        name + "_bucket",
        [
          "volume": volume, "operation": word,
          "le": PrometheusText.seconds(microseconds: bound),
        ], sum)
    }
    out.sample(
      name + "_bucket", ["volume": volume, "operation": word, "le": "+Inf"],
      operation.requests)
    out.sample(
      name + "_sum", Self.labels(volume, operation),
      PrometheusText.seconds(microseconds: operation.microseconds))
    out.sample(name + "_count", Self.labels(volume, operation), operation.requests)
  }

  private static func labels(
    _ volume: String, _ operation: OperationStatistics
  ) -> KeyValuePairs<String, String> {
    ["volume": volume, "operation": word(operation.operation)]
  }

  private static func word(_ operation: ExportRequest.Operation) -> String {
    switch operation {
    case .read: "read"
    case .write: "write"
    case .flush: "flush"
    case .discard: "discard"
    case .writeZeroes: "write_zeroes"
    case .blockStatus: "block_status"
    }
  }
}
