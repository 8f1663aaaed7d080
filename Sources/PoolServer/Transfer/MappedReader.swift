import BlockExport
import StreamFormat

/// Reads everything that a volume has mapped, in ascending order and a few windows ahead. Holes are
/// found in the map and never read.
///
/// One task uses it.
final class MappedReader {
  /// Bytes of the volume that were read at once.
  struct Window: Sendable {
    /// Where in the volume the buffer begins.
    var offset: UInt64
    /// What of it is mapped, in ascending order; byte ranges of the volume, of whole blocks.
    var runs: [Range<UInt64>]
    var buffer: TransferBuffer

    var end: UInt64 { runs.last?.upperBound ?? offset }

    func bytes(_ range: Range<UInt64>) -> UnsafeRawBufferPointer {
      unsafe buffer.bytes(Int(range.lowerBound - offset)..<Int(range.upperBound - offset))
    }
  }

  private struct Reading {
    var window: Window
    var task: Task<ExportError?, Never>
  }

  private static let windowBytes = UInt64(ExportLimits.windowBytes)
  private static let depth = 4

  private let access: VolumeAccess
  private let sizeBytes: UInt64
  /// Mapped runs that are not read yet, and from where on the map was not looked at.
  private var runs: [Range<UInt64>] = []
  private var cursor: UInt64 = 0
  private var readings: [Reading] = []

  init(_ access: VolumeAccess, sizeBytes: UInt64) {
    self.access = access
    self.sizeBytes = sizeBytes
  }

  /// The next window, nil at the end.
  func next() async throws(ExportError) -> Window? {
    while readings.count < Self.depth, let window = try await nextWindow() {
      let access = access
      let task = Task {
        await access.read(window.offset, window.end - window.offset, into: window.buffer)
      }
      readings.append(Reading(window: window, task: task))
    }
    guard !readings.isEmpty else { return nil }
    let reading = readings.removeFirst()
    if let error = await reading.task.value { throw error }
    return reading.window
  }

  /// The mapped runs of the next MiB of the volume in which there are any.
  private func nextWindow() async throws(ExportError) -> Window? {
    while runs.isEmpty && cursor < sizeBytes { try await lookOn() }
    guard let first = runs.first else { return nil }
    let end = (first.lowerBound / Self.windowBytes + 1) * Self.windowBytes
    var taken: [Range<UInt64>] = []
    var count = 0
    while count < runs.count, runs[count].lowerBound < end {
      if runs[count].upperBound > end {
        taken.append(runs[count].lowerBound..<end)
        runs[count] = end..<runs[count].upperBound
        break
      }
      taken.append(runs[count])
      count += 1
    }
    runs.removeFirst(count)
    let length = (taken.last?.upperBound ?? end) - first.lowerBound
    return Window(
      offset: first.lowerBound, runs: taken, buffer: TransferBuffer(byteCount: Int(length)))
  }

  private func lookOn() async throws(ExportError) {
    let extents = try await access.blockStatus(cursor, sizeBytes - cursor)
    for extent in extents {
      if !extent.readsAsZeros { runs.append(cursor..<cursor + extent.length) }
      cursor += extent.length
    }
  }
}

extension VolumeAccess {
  /// The digest of the volume as it is now; reads all that it has mapped.
  func digest(sizeBytes: UInt64) async throws(ExportError) -> VolumeDigest {
    let hash = VolumeHash()
    let reader = MappedReader(self, sizeBytes: sizeBytes)
    while let window = try await reader.next() {
      for run in window.runs { unsafe hash.add(offset: run.lowerBound, window.bytes(run)) }
    }
    return hash.finish(sizeBytes: sizeBytes)
  }
}
