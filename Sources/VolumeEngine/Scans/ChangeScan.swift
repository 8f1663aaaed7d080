public import BlockExport
import DiskFormat
public import PoolCore
public import StorageUnits

/// What changes are counted from.
public enum ChangeBase: Hashable, Sendable {
  /// Everything that is stored is reported.
  case nothing
  case volume(VolumeID)
  /// As its snapshot if that is still there, else by births.
  case bookmark(RecordNumber)
}

/// What changed in a volume or snapshot since a base.
public struct ChangeQuery: Hashable, Sendable {
  public var target: VolumeID
  public var base: ChangeBase
  /// The bytes to look at, cut at the target's size.
  public var bytes: Range<UInt64>
  /// About so many ranges in one answer.
  public var rangesAtMost: Int
  /// About so many table nodes are looked at for one answer.
  public var nodesAtMost: Int

  public init(
    target: VolumeID, base: ChangeBase, bytes: Range<UInt64> = 0..<UInt64.max,
    rangesAtMost: Int = 4096, nodesAtMost: Int = 16384
  ) {
    self.target = target
    self.base = base
    self.bytes = bytes
    self.rangesAtMost = rangesAtMost
    self.nodesAtMost = nodesAtMost
  }
}

/// A piece of the answer.
public struct ChangePage: Hashable, Sendable {
  /// In ascending order.
  public var ranges: [ChangedRange]
  /// Where the next query goes on, in bytes; nil at the end.
  public var nextByte: UInt64?
  /// Table nodes that were looked at.
  public var nodesVisited: Int
}

/// Answers a `ChangeQuery`.
///
/// What two snapshots differ in is exact. A volume that is written to meanwhile is seen as it is
/// when the scan comes by: what was changed before the query is reported, what is changed during
/// it may be.
public final class ChangeScan: MapScan {
  private let query: ChangeQuery
  private let done: (Result<ChangePage, ExportError>) -> Void
  private var ranges: ChangedRanges
  private let start: VirtualExtent
  private var position: MapPosition
  private var nodes = 0
  private var isComplete = false

  public init(
    _ query: ChangeQuery, done: @escaping (Result<ChangePage, ExportError>) -> Void
  ) {
    self.query = query
    self.done = done
    ranges = ChangedRanges(within: query.bytes, atMost: query.rangesAtMost)
    start = VirtualExtent(containingByte: query.bytes.lowerBound)
    position = MapPosition(start)
  }

  public func step(_ pool: Pool, nodesAtMost: Int) -> MapScanStep {
    guard let target = pool.volume(query.target) else { return .failed(.volumeGone) }
    let bytes = query.bytes.clamped(to: 0..<pool.sizeBytes(of: target))
    ranges.bounds = bytes
    let end = VirtualExtent(index: ByteCount(bytes.upperBound).extentsRoundingUp)
    let share = min(nodesAtMost, max(1, query.nodesAtMost - nodes))
    let outcome: MapWalkOutcome
    switch pool.base(query.base, of: target) {
    case .gone: return .failed(.volumeGone)
    case .unknown: return .failed(.invalidRequest)
    case .map(let base):
      var visitor = ChangeVisitor(ranges)
      outcome = pool.walk(
        target, beside: base, from: position, to: end, nodesAtMost: share, nodes: &nodes,
        &visitor)
      ranges = visitor.ranges
    case .births(let bookmark):
      var visitor = BookmarkVisitor(ranges, since: bookmark)
      outcome = pool.walk(
        target, from: position, to: end, nodesAtMost: share, nodes: &nodes, &visitor)
      ranges = visitor.ranges
    }
    let step = next(outcome)
    if case .done = step, pool.hasOwed {
      let reached = isComplete ? bytes.upperBound : position.extent.firstByte
      let first = min(start.firstByte, reached)
      ranges.put(holes: pool.owedHoles(of: target), within: first..<reached)
    }
    return step
  }

  private func next(_ outcome: MapWalkOutcome) -> MapScanStep {
    switch outcome {
    case .done:
      isComplete = true
      return .done
    case .missing(let node, let position):
      self.position = position
      return .missing(node)
    case .paused(let position):
      self.position = position
      // The next query is told a byte only: it must begin behind where this one began.
      let isEnough = ranges.isFull || nodes >= query.nodesAtMost
      return isEnough && start < position.extent ? .done : .goOn
    }
  }

  public func ended(_ error: ExportError?) {
    if let error { return done(.failure(error)) }
    let next = max(position.extent.firstByte, query.bytes.lowerBound)
    done(
      .success(
        ChangePage(
          ranges: ranges.list, nextByte: isComplete ? nil : next, nodesVisited: nodes)))
  }
}

/// How the changes since a base are found.
enum FoundBase {
  /// By what the two maps do not share; nil: an empty map.
  case map(VolumeSlot?)
  /// By what is younger than the bookmark.
  case births(Bookmark)
  case gone
  /// The snapshot of the bookmark is gone, and the target's line does not pass through it.
  case unknown
}

extension Pool {
  func base(_ base: ChangeBase, of target: VolumeSlot) -> FoundBase {
    switch base {
    case .nothing: return .map(nil)
    case .volume(let id): return volume(id).map { .map($0) } ?? .gone
    case .bookmark(let id):
      guard let bookmark = bookmark(id) else { return .gone }
      if let snapshot = snapshot(of: bookmark) { return .map(snapshot) }
      return isOnLine(bookmark, of: target) ? .births(bookmark) : .unknown
    }
  }
}
