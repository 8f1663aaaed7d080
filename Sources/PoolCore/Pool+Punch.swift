public import StorageUnits

/// Neighbouring free extents whose file space is being given back.
@frozen public struct PunchedRun: Hashable, Sendable {
  public var first: PoolAddress
  public var extentCount: Int
}

/// Freed space goes back to the files underneath (design §4 rule 4c). Whoever drives the pool asks
/// for runs, makes holes of them off its hot path, and reports back; until then nobody gets them.
extension Pool {
  /// Remember what is freed from now on until it was punched. Off for a new pool: a driver that
  /// never punches would keep segments from becoming free.
  public var punchesFreedSpace: Bool {
    get { dataSpace.remembersFreed }
    set { dataSpace.remembersFreed = newValue }
  }

  /// Freed extents may wait to be punched.
  public var hasSpaceToPunch: Bool { dataSpace.hasPunchable }

  /// The next run to punch, within one segment; `endPunch` follows exactly once.
  public func beginPunch() -> PunchedRun? {
    guard let (first, count) = dataSpace.beginPunch() else { return nil }
    return PunchedRun(first: first.address, extentCount: count)
  }

  /// The run was punched, or could not be: it may be taken.
  public func endPunch(_ run: PunchedRun) {
    dataSpace.endPunch(first: run.first.extent, count: run.extentCount)
  }

  /// What waits keeps its file space: somebody needs the space itself.
  public func forgetPunches() { dataSpace.forgetPunches() }
}
