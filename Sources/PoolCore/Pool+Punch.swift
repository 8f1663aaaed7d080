import DiskFormat
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

  // MARK: After a start

  /// Remembers all usable space as not punched yet: after a stop that was not clean nobody knows.
  /// Whoever drives the pool takes `sweepStep`s, some time apart.
  public func beginSweep() {
    precondition(dataSpace.remembersFreed)
    dataSpace.beginSweep()
  }

  /// Some segments have not been swept yet.
  public var isSweeping: Bool { dataSpace.nextToSweep != nil }

  /// Hands the usable extents of one more segment over to `beginPunch`. A node that is missing is
  /// supplied, and the step taken again; or the segment is passed over with `skipSweepStep`.
  public func sweepStep() -> NodeLoad? {
    guard let segment = dataSpace.nextToSweep else { return nil }
    guard segments.entries[segment].segmentClass == .data else {
      dataSpace.skipSweep(of: segment)
      return nil
    }
    if let load = learn(segment) { return load }
    dataSpace.sweep(segment)
    return nil
  }

  public func skipSweepStep() {
    if let segment = dataSpace.nextToSweep { dataSpace.skipSweep(of: segment) }
  }

  /// What waits keeps its file space: somebody needs the space itself.
  public func forgetPunches() { dataSpace.forgetPunches() }
}
