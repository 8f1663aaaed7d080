import BlockExport
import StorageUnits

/// Memory for one read or write, aligned to 4096 bytes.
@safe final class TransferBuffer: @unchecked Sendable {
  // Sendable: it goes from the task that made it to the engine and back, one user at a time.
  let base: UnsafeMutableRawPointer
  let byteCount: Int

  init(byteCount: Int) {
    self.byteCount = (byteCount + 4095) / 4096 * 4096
    unsafe base = .allocate(byteCount: self.byteCount, alignment: StorageSizes.blockBytes)
  }

  deinit { unsafe base.deallocate() }

  func bytes(_ range: Range<Int>) -> UnsafeRawBufferPointer {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
    return unsafe UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count)
  }

  func clear() { unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount) }

  func fill(_ bytes: [UInt8]) {
    precondition(bytes.count <= byteCount)
    unsafe bytes.withUnsafeBytes {
      unsafe base.copyMemory(from: $0.baseAddress ?? .init(base), byteCount: $0.count)
    }
  }
}

/// Reads and writes one volume through the engine, as a host would, from any task.
struct VolumeAccess: Sendable {
  let thread: EngineThread
  let volume: VolumeID

  /// Fills the start of the buffer with `length` bytes from `offset` on, a multiple of 4096; at
  /// most 1 MiB, whole blocks or up to the end of the volume.
  func read(_ offset: UInt64, _ length: UInt64, into buffer: TransferBuffer) async -> ExportError? {
    await perform(.read, offset, length, buffer).error
  }

  /// Writes the first `length` bytes of the buffer, as `read`.
  func write(_ offset: UInt64, _ length: UInt64, from buffer: TransferBuffer) async -> ExportError?
  {
    await perform(.write, offset, length, buffer).error
  }

  /// Makes the range read as zeros and gives its space back.
  func writeZeroes(_ offset: UInt64, _ length: UInt64) async -> ExportError? {
    await perform(.writeZeroes, offset, length, nil).error
  }

  /// Returns when everything that was written before is durable.
  func flush() async -> ExportError? { await perform(.flush, 0, 0, nil).error }

  /// The state of the volume from `offset` on: as much of the range as one answer holds.
  func blockStatus(
    _ offset: UInt64, _ length: UInt64
  ) async throws(ExportError) -> [BlockStatusExtent] {
    let (error, extents) = await perform(.blockStatus, offset, length, nil)
    if let error { throw error }
    return extents
  }

  private func perform(
    _ operation: ExportRequest.Operation, _ offset: UInt64, _ length: UInt64,
    _ buffer: TransferBuffer?
  ) async -> (error: ExportError?, extents: [BlockStatusExtent]) {
    await withCheckedContinuation { continuation in
      let isTaken = thread.post { [volume] host in
        guard !host.isStopping else {
          return continuation.resume(returning: (.shuttingDown, []))
        }
        let request = unsafe ExportRequest(
          operation, volume: volume, offset: offset, length: length, buffer: buffer?.base, token: 0)
        // The closure keeps the buffer until the answer.
        host.local.add(request) { [buffer] answer, extents in
          withExtendedLifetime(buffer) {}
          continuation.resume(returning: (answer.error, extents))
        }
      }
      if !isTaken { continuation.resume(returning: (.shuttingDown, [])) }
    }
  }
}
