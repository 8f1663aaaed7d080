import DiskFormat
import StorageUnits

/// Giving file space back: which usable extents still hold some, and which are being punched.
///
/// Only usable extents are punched: a durable image shows them as free and everybody who could have
/// looked them up has ended. From the decision to punch until the hole is there they are in
/// quarantine again, so nobody takes them:
///
///     punch                          write
///     extent 7 is usable
///                                    takes extent 7, writes to it, is answered
///     hole: the write is gone        (what would happen without)
extension DataSpace {
  /// Freed extents have become usable; their file space can be given back.
  func notePunchable(_ freed: FreedExtents) {
    let segment = Int(freed.segment)
    let state = state(segment)
    state.markPunchable(freed)
    guard !state.isQueuedForPunch else { return }
    state.isQueuedForPunch = true
    punchQueue.append(freed.segment)
  }

  // MARK: The sweep

  /// After a start without a clean stop nobody remembers which usable extents were punched: all are
  /// to be, segment by segment. Until its turn a segment does not become free.
  func beginSweep() {
    sweepQueue = (0..<table.count).filter {
      table.entries[$0].segmentClass == .data && usableCount(in: $0) > 0
    }.reversed().map(UInt32.init)
    for segment in sweepQueue {
      let state = state(Int(segment))
      state.awaitsSweep = true
      countIfEmpty(state)
    }
  }

  /// The segment whose turn it is; nil: the sweep is over.
  var nextToSweep: Int? { sweepQueue.last.map(Int.init) }

  /// Which extents of the segment are usable is known by now.
  func sweep(_ segment: Int) {
    guard let state = endSweep(of: segment) else { return }
    precondition(state.isKnown)
    state.markUsablePunchable()
    countIfEmpty(state)
    guard state.punchableCount > 0, !state.isQueuedForPunch else { return }
    state.isQueuedForPunch = true
    punchQueue.append(UInt32(segment))
  }

  /// It is not known, or not to be punched: what it holds stays until it is used and freed again.
  func skipSweep(of segment: Int) {
    if let state = endSweep(of: segment) { countIfEmpty(state) }
  }

  private func endSweep(of segment: Int) -> Segment? {
    precondition(nextToSweep == segment)
    sweepQueue.removeLast()
    guard let state = segments[segment], state.awaitsSweep else { return nil }
    state.awaitsSweep = false
    return state
  }

  /// Some extents wait to be punched. (Queued segments without any are forgotten by `beginPunch`.)
  var hasPunchable: Bool { !punchQueue.isEmpty }

  /// Takes the next neighbouring extents to punch, all of a segment if it is empty; they are in
  /// quarantine until `endPunch`.
  func beginPunch() -> (first: PoolExtent, count: Int)? {
    while let segment = punchQueue.last {
      if let state = segments[Int(segment)], let run = nextRun(state) {
        return takeForPunch(Int(segment), state, run)
      }
      segments[Int(segment)]?.isQueuedForPunch = false
      punchQueue.removeLast()
    }
    return nil
  }

  private func nextRun(_ state: Segment) -> Range<Int>? {
    if state.punchableCount == 0 { return nil }
    // What was reserved ahead in an empty segment goes too.
    if state.usableCount == table.extents { return 0..<table.extents }
    guard let first = (0..<table.extents).first(where: { state.isPunchable($0) }) else {
      preconditionFailure("extents to punch were counted and are not there")
    }
    var end = first
    while end < table.extents, state.isPunchable(end) { end += 1 }
    return first..<end
  }

  private func takeForPunch(
    _ segment: Int, _ state: Segment, _ run: Range<Int>
  ) -> (first: PoolExtent, count: Int) {
    var freed = FreedExtents(segment: UInt32(segment))
    for index in run {
      freed.bits[index >> 6] |= 1 << UInt64(index & 63)
      state.setUsable(index, false)
    }
    state.quarantine(freed)
    quarantinedCount += run.count
    setUsableCount(segment, state.usableCount - run.count)
    countIfEmpty(state)
    let first = table.start(of: segment).extent.index + UInt64(run.lowerBound)
    return (PoolExtent(index: first), run.count)
  }

  /// The hole is there, or could not be made: the extents are usable as before.
  func endPunch(first: PoolExtent, count: Int) {
    let segment = table.segment(of: first.address)
    let state = state(segment)
    var freed = FreedExtents(segment: UInt32(segment))
    let start = Int(first.index & UInt64(table.extents - 1))
    for index in start..<start + count { freed.bits[index >> 6] |= 1 << UInt64(index & 63) }
    quarantinedCount -= state.release(freed)
    setUsableCount(segment, state.usableCount + count)
  }

  /// Space is short, or the device cannot give any back: what waits keeps its file space.
  func forgetPunches() {
    while let segment = nextToSweep { skipSweep(of: segment) }
    for segment in punchQueue {
      guard let state = segments[Int(segment)] else { continue }
      for index in 0..<table.extents { state.forgetPunch(index) }
      state.isQueuedForPunch = false
      countIfEmpty(state)
    }
    punchQueue = []
  }
}
