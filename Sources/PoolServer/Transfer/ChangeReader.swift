import BlockExport
import PoolCore
import StorageUnits
import VolumeEngine

/// Asks the engine for what changed between two snapshots, page by page. One task uses it.
final class ChangeReader {
  private let thread: EngineThread
  private let target: VolumeID
  private let base: ChangeBase
  /// What was found and is not consumed yet, in ascending order; the first one may be a rest.
  private var ranges: [Range<UInt64>] = []
  /// Where the next page begins; nil: there is none.
  private var nextByte: UInt64? = 0

  init(thread: EngineThread, target: VolumeID, base: ChangeBase) {
    self.thread = thread
    self.target = target
    self.base = base
  }

  /// The next changed range, cut at `end`; nil if there is none before that. It is consumed.
  func next(before end: UInt64) async throws(ExportError) -> Range<UInt64>? {
    while ranges.isEmpty, let from = nextByte { try await lookOn(from) }
    guard let first = ranges.first, first.lowerBound < end else { return nil }
    guard first.upperBound > end else { return ranges.removeFirst() }
    ranges[0] = end..<first.upperBound
    return first.lowerBound..<end
  }

  private func lookOn(_ from: UInt64) async throws(ExportError) {
    let query = ChangeQuery(target: target, base: base, bytes: from..<UInt64.max)
    let result: Result<ChangePage, ExportError> = await withCheckedContinuation { continuation in
      let isTaken = thread.post { host in
        guard !host.isStopping else {
          return continuation.resume(returning: .failure(.shuttingDown))
        }
        host.engine.begin(ChangeScan(query) { continuation.resume(returning: $0) })
      }
      if !isTaken { continuation.resume(returning: .failure(.shuttingDown)) }
    }
    let page = try result.get()
    ranges = page.ranges.map { $0.offset..<$0.offset + $0.length }
    nextByte = page.nextByte
  }
}
