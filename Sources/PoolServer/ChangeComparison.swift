import BlockExport
import Management
import StorageUnits
import StreamFormat
import VolumeEngine

/// Leaves of a list of changes only the blocks whose bytes differ: a block that was written anew
/// with what it had, or was discarded where only zeros were, is no change then. One task uses it.
///
/// Costs a read of both sides of what the maps say has changed; where the base is a hole, or both
/// are, nothing is read from a device.
struct ChangeComparison {
  /// An answer compares about so many bytes, so that it comes in time and progress can be shown.
  private static let bytesAtMost: UInt64 = 256 << 20
  private static let windowBytes = UInt64(ExportLimits.windowBytes)
  private static let blockBytes = UInt64(StorageSizes.blockBytes)

  private let target: VolumeAccess
  private let base: VolumeAccess
  private let baseSizeBytes: UInt64
  private let targetBuffer = TransferBuffer(byteCount: ExportLimits.windowBytes)
  private let baseBuffer = TransferBuffer(byteCount: ExportLimits.windowBytes)
  private var found: [ChangeRange] = []
  private var comparedBytes: UInt64 = 0

  init(target: VolumeAccess, base: VolumeAccess, baseSizeBytes: UInt64) {
    self.target = target
    self.base = base
    self.baseSizeBytes = baseSizeBytes
  }

  /// The list without what is equal. It may end earlier, and then says where to go on.
  mutating func reduce(_ list: ChangeList) async throws(ExportError) -> ChangeList {
    var reduced = list
    for range in list.ranges {
      if let stop = try await compare(range) {
        reduced.nextOffsetBytes = stop
        break
      }
    }
    reduced.ranges = found
    return reduced
  }

  /// Where it stopped, if there was too much.
  private mutating func compare(_ range: ChangeRange) async throws(ExportError) -> UInt64? {
    let end = range.offsetBytes + range.lengthBytes
    var at = range.offsetBytes
    while at < end {
      guard comparedBytes < Self.bytesAtMost else { return at }
      if range.kind == .hole {
        at = try await skipHolesOfBase(from: at, to: end)
        guard at < end else { break }
      }
      let stop = min(end, (at / Self.windowBytes + 1) * Self.windowBytes)
      try await compareWindow(at..<stop, range.kind)
      comparedBytes += stop - at
      at = stop
    }
    return nil
  }

  private func skipHolesOfBase(
    from start: UInt64, to end: UInt64
  ) async throws(ExportError) -> UInt64 {
    let stop = min(end, baseSizeBytes)
    var at = start
    while at < stop {
      for extent in try await base.blockStatus(at, stop - at) {
        guard extent.readsAsZeros else { return at }
        at += extent.length
      }
    }
    return end
  }

  private mutating func compareWindow(
    _ range: Range<UInt64>, _ kind: ChangeRange.Kind
  ) async throws(ExportError) {
    let start = range.lowerBound / Self.blockBytes * Self.blockBytes
    async let new = Self.fill(
      targetBuffer, from: target, start, to: range.upperBound, isHole: kind == .hole)
    async let old = Self.fill(
      baseBuffer, from: base, start, to: min(range.upperBound, baseSizeBytes), isHole: false)
    for error in await [new, old] { if let error { throw error } }
    var at = range.lowerBound
    while at < range.upperBound {
      let end = min(range.upperBound, (at / Self.blockBytes + 1) * Self.blockBytes)
      let part = Int(at - start)..<Int(end - start)
      let differs = unsafe !targetBuffer.bytes(part).elementsEqual(baseBuffer.bytes(part))
      if differs { add(at..<end, kind) }
      at = end
    }
  }

  /// Reads up to `end`; what the buffer has behind it is zero.
  private static func fill(
    _ buffer: TransferBuffer, from access: VolumeAccess, _ start: UInt64, to end: UInt64,
    isHole: Bool
  ) async -> ExportError? {
    buffer.clear()
    guard !isHole, start < end else { return nil }
    return await access.read(start, end - start, into: buffer)
  }

  private mutating func add(_ range: Range<UInt64>, _ kind: ChangeRange.Kind) {
    if let last = found.last, last.kind == kind,
      last.offsetBytes + last.lengthBytes == range.lowerBound
    {
      found[found.count - 1].lengthBytes += UInt64(range.count)
    } else {
      found.append(
        ChangeRange(
          offsetBytes: range.lowerBound, lengthBytes: UInt64(range.count), kind: kind))
    }
  }
}
