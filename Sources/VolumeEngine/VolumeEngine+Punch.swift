import BlockIO
import DiskFormat
import PoolCore
import StorageUnits

/// Gives the file space of freed extents back (design §4 rule 4c): in the background, a few holes
/// at a time, after a pause, so that what hosts take again at once keeps its place.
extension VolumeEngine {
  /// When the next hole may be made, nil if there is none to make or enough are in the making.
  var punchDeadline: MonotonicTime? {
    guard pool.hasSpaceToPunch, canPunch, punches.contains(where: { $0 == nil }) else { return nil }
    return isStopping ? now : punchDue
  }

  private var canPunch: Bool {
    !isReadOnly && ioSlots.freeCount > Self.backgroundReserve
      && (!isStopping || isPunchingAtStop)
  }

  // MARK: After a start

  /// Gives back, in the background and gently, the file space of everything that is free: after a
  /// stop that was not clean nobody knows what of it was given back already. Call `turn`
  /// afterwards.
  public func sweepFreeSpace() {
    guard configuration.punchesFreedSpace else { return }
    pool.beginSweep()
    sweepDue = now.adding(milliseconds: configuration.sweepMilliseconds)
  }

  /// When the next segment is swept: one at a time, when what the one before gave is punched.
  var sweepDeadline: MonotonicTime? {
    guard pool.isSweeping, !isSweepLoading, !isReadOnly, !isStopping, !pool.hasSpaceToPunch else {
      return nil
    }
    return sweepDue
  }

  func stepSweep() {
    guard let due = sweepDeadline, due <= now else { return }
    if let node = pool.sweepStep() { return waitForNodeInSweep(node) }
    sweepDue = now.adding(milliseconds: configuration.sweepMilliseconds)
  }

  func stepPunches() {
    // Whoever waits for space needs it now.
    if !parked.isEmpty && (pool.hasSpaceToPunch || pool.isSweeping) {
      pool.forgetPunches()
      spaceMayHaveCome()
      return
    }
    guard pool.hasSpaceToPunch else {
      punchDue = nil
      return
    }
    let due = punchDue ?? now.adding(milliseconds: configuration.punchDelayMilliseconds)
    punchDue = due
    guard due <= now || isStopping else { return }
    while canPunch, let index = punches.firstIndex(where: { $0 == nil }) {
      guard let run = pool.beginPunch() else { return }
      punch(run, index)
    }
  }

  private func punch(_ run: PunchedRun, _ index: Int) {
    punches[index] = run
    // Space that was reserved ahead may go with it; the next write there reserves it again.
    grownSegments.remove(run.first.block >> UInt64(pool.segmentShift))
    unsafe emit(
      .punchHole, .punch, at: pool.place(of: run.first),
      length: run.extentCount * StorageSizes.extentBytes, buffer: nil, first: Int32(index))
  }

  /// A hole that could not be made costs file space and nothing else.
  func punchEnded(_ command: IOSlot, failed: Bool) {
    let index = Int(command.first)
    guard let run = punches[index] else { preconditionFailure("no such hole in the making") }
    punches[index] = nil
    if !failed { counters.punchedBytes += UInt64(run.extentCount * StorageSizes.extentBytes) }
    pool.endPunch(run)
    spaceMayHaveCome()
  }

  /// A stop gives back what was freed, for a while; what is left keeps its file space until it is
  /// used and freed again.
  var isPunchingAtStop: Bool {
    guard let until = stopPunchesUntil else { return false }
    return now < until
  }
}
