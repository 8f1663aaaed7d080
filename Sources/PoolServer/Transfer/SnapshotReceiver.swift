import BlockExport
import Management
import StorageUnits
import StreamFormat

/// The volume into which a stream is received, and what becomes of it.
struct ReceiveTarget: Sendable {
  var volume: VolumeID
  /// It was made for the stream, and is deleted if that ends early.
  var isNew: Bool
}

/// Receives one stream: writes what it holds, reads back what the volume then has, and makes the
/// snapshot. One task uses it.
final class SnapshotReceiver {
  /// Writes that are under way, at the most.
  private static let writesAtMost = 64
  private static let bytesAtMost: UInt64 = 8 << 20

  private struct Write {
    var byteCount: UInt64
    var task: Task<ExportError?, Never>
  }

  private let service: EnginePoolService
  private let order: ReceiveOrder
  private var decoder = StreamDecoder()
  private var header: StreamHeader?
  private(set) var target: ReceiveTarget?
  private var writes: [Write] = []
  private var bytesUnderWay: UInt64 = 0

  init(_ service: EnginePoolService, _ order: ReceiveOrder) {
    self.service = service
    self.order = order
  }

  /// Throws whatever keeps the stream from being received wholly; call `undo` then.
  func run(from source: any ByteSource) async throws(ManagementError) -> VolumeDescription {
    var digest: VolumeDigest?
    while let bytes = try await source.next() {
      decoder.append(bytes)
      while let event = try nextEvent() {
        if case .end(let sent) = event { digest = sent } else { try await take(event) }
      }
    }
    do throws(StreamError) { try decoder.finish() } catch { throw ManagementError(stream: error) }
    guard let digest, let header, let target else {
      throw ManagementError(stream: .truncated(at: decoder.position))
    }
    try await waitForWrites(downTo: 0)
    try await verify(digest, header)
    let made = try await service.endReceive(header, into: target)
    self.target = nil
    return made
  }

  /// Leaves nothing of it behind; if that cannot be done now (the server stops, a device failed),
  /// the next start does it.
  func undo() async {
    while !writes.isEmpty { _ = await writes.removeFirst().task.value }
    if let target { await service.undoReceive(target) }
    target = nil
  }

  private func nextEvent() throws(ManagementError) -> StreamEvent? {
    do throws(StreamError) {
      return try decoder.next()
    } catch { throw ManagementError(stream: error) }
  }

  private func take(_ event: StreamEvent) async throws(ManagementError) {
    switch event {
    case .header(let header):
      self.header = header
      target = try await service.beginReceive(header, order)
    case .data(let offset, let bytes):
      let access = try access
      let buffer = TransferBuffer(byteCount: bytes.count)
      buffer.fill(bytes)
      let length = UInt64(bytes.count)
      try await begin(length) { await access.write(offset, length, from: buffer) }
    case .zeros(let offset, let length):
      let access = try access
      try await begin(0) { await access.writeZeroes(offset, length) }
    case .end: preconditionFailure("the end is not written anywhere")
    }
  }

  private var access: VolumeAccess {
    get throws(ManagementError) {
      guard let target else { throw ManagementError(stream: .notAStream) }
      return VolumeAccess(thread: service.thread, volume: target.volume)
    }
  }

  private func begin(
    _ byteCount: UInt64, _ body: @escaping @Sendable () async -> ExportError?
  ) async throws(ManagementError) {
    try await waitForWrites(downTo: Self.writesAtMost - 1)
    bytesUnderWay += byteCount
    writes.append(Write(byteCount: byteCount, task: Task { await body() }))
  }

  private func waitForWrites(downTo count: Int) async throws(ManagementError) {
    while writes.count > count || bytesUnderWay > Self.bytesAtMost {
      let write = writes.removeFirst()
      bytesUnderWay -= write.byteCount
      if let error = await write.task.value { throw problem(error) }
    }
  }

  /// Reads back what the volume now has. What is in the devices' caches may still be lost; the
  /// round that makes the snapshot durable covers it.
  private func verify(
    _ sent: VolumeDigest, _ header: StreamHeader
  ) async throws(ManagementError) {
    let access = try access
    let received: VolumeDigest
    do throws(ExportError) {
      received = try await access.digest(sizeBytes: header.sizeBytes)
    } catch { throw problem(error) }
    guard received == sent else {
      throw ManagementError(
        .streamDamaged, "what was received is not what was sent",
        cause: "The sender's volume has the SHA-256 \(sent), the received one \(received).",
        correction: "Send it again; if that does not help, check both pools with"
          + " 'lamina pool check'.")
    }
  }

  private func problem(_ error: ExportError) -> ManagementError {
    ManagementError(transfer: error, of: order.volume.text, pool: service.thread.poolName)
  }
}
