import BlockExport
import BlockIO
import DiskFormat
import PoolCore
import StorageUnits

/// Admission and back-pressure: what a mutation needs before it may start, and how it waits.
extension VolumeEngine {
  /// How often a part waits for a checkpoint to free space before it is told that there is none.
  static var spaceTriesAtMost: UInt8 { 3 }
  /// Records that the engine and the pool may make between two checks.
  static var recordMargin: Int { 8 }
  /// Checkpoints whose freed space may wait for grace at once; a further one waits.
  static var freedSpaceAtMost: Int { 16 }

  // MARK: Records

  /// Whether a change that makes a record may start. False: the part waits or has ended.
  func admitRecord(_ p: PartIndex, tier: SpaceTier) -> Bool {
    guard hasRecordRoom(p) else { return false }
    if !slots[p].wasDelayed, pressure >= 0.75 {
      slots[p].wasDelayed = true
      delay(p)
      return false
    }
    switch pool.prepareMap(slots[p].volume, slots[p].extent, tier: tier) {
    case .ready: return true
    case .missing(let node): waitForNode(node, p)
    case .mustWaitForCheckpoint: waitForCheckpoint(p)
    case .noSpace: waitForSpace(p)
    }
    return false
  }

  /// Whether the record buffer and the journal take one more record. False: the part waits.
  func hasRecordRoom(_ p: PartIndex) -> Bool {
    if !hasBufferRoom {
      slots.append(p, to: &round.roomWaiters)
      return false
    }
    if !hasJournalRoom {
      waitForCheckpoint(p)
      return false
    }
    return true
  }

  /// A round empties the buffer.
  var hasBufferRoom: Bool { pool.records.hasRoom(forRecords: Self.recordMargin) }

  /// Everything that is applied can be journalled before the next checkpoint completes.
  var hasJournalRoom: Bool {
    let bytes = pool.records.byteCount + Self.recordMargin * RecordFormat.maximumBytes
    // One block more than the batch: the round after it starts a block of its own.
    return JournalRing.blocksAtMost(forRecordBytes: bytes) + 1 <= journal.freeBlocks
  }

  /// How near the pool is to the bound that is next: a checkpoint starts at a half, mutations are
  /// delayed from three quarters.
  var pressure: Double { max(pool.checkpointPressure, journal.fill) }

  /// Records have been applied: they are copied to the tail before any answer, and journalled in
  /// time.
  ///
  /// This is where the answer to a mutation becomes legal in the sense of a volatile cache: a copy
  /// of each record outlives the process (design §4 rule 9), those that the pool makes by itself
  /// included, for the tail has no gaps.
  func noteRecords() {
    if pool.records.recordCount == 0 { return }
    if oldestRecordTime == nil { oldestRecordTime = now }
    guard let tail else { return }
    let isComplete = tail.copyNew(from: pool.records)
    precondition(isComplete, "the tail takes whatever the record buffer takes")
  }

  // MARK: Delay

  private func delay(_ p: PartIndex) {
    if delayed.isEmpty { delayedUntil = after(delayStep) }
    slots.append(p, to: &delayed)
  }

  private func after(_ nanoseconds: UInt64) -> MonotonicTime {
    MonotonicTime(nanoseconds: now.nanoseconds + nanoseconds)
  }

  /// From nothing at three quarters to the longest delay at the bound.
  private var delayStep: UInt64 {
    let excess = min(max((pressure - 0.75) * 4, 0), 1)
    return UInt64(excess * excess * Double(configuration.longestDelayMicroseconds) * 1000)
  }

  func wakeDelayed() {
    while !delayed.isEmpty, delayedUntil <= now, let p = slots.popFirst(&delayed) {
      slots.append(p, to: &ready)
      delayedUntil = MonotonicTime(nanoseconds: delayedUntil.nanoseconds + delayStep)
    }
  }

  // MARK: Waiting for a checkpoint

  func waitForCheckpoint(_ p: PartIndex) {
    checkpointing.isWanted = true
    slots.append(p, to: &checkpointWaiters)
  }

  // MARK: Waiting for space

  /// There is no space for the part. It waits while there is reason to expect some, then by the
  /// volume's policy; in the end it is told. It holds nothing meanwhile.
  func waitForSpace(_ p: PartIndex) {
    let r = slots[p].request
    if isStopping { return finishPart(p, .shuttingDown) }
    if slots[r].lacksSpaceSince == nil {
      slots[r].lacksSpaceSince = now
      pool.giveBackRuns()
      pool.letImageGo()
      slots.append(p, to: &ready)
      return
    }
    // The trash is emptied, one item after the other, before anybody is told that there is none.
    if pool.hasTrash || spaceIsOnItsWay && slots[p].spaceTries < Self.spaceTriesAtMost {
      if !pool.hasTrash { slots[p].spaceTries += 1 }
      checkpointing.isWanted = true
      return park(p)
    }
    // Write-zeroes waits like a write; a discard is done later, since hosts wait for it badly.
    if slots[r].request.operation == .discard { return owe(p) }
    guard let deadline = spaceDeadline(r), now < deadline else { return finishPart(p, .noSpace) }
    parkDeadline = min(parkDeadline, deadline)
    park(p)
  }

  private func park(_ p: PartIndex) {
    let r = slots[p].request
    if !slots[r].isParked {
      guard parkedRequests < configuration.parkedRequests else {
        return slots[r].request.operation == .discard ? owe(p) : finishPart(p, .noSpace)
      }
      slots[r].isParked = true
      parkedRequests += 1
    }
    slots.append(p, to: &parked)
  }

  /// Something that is under way, or that only needs a checkpoint, will free space.
  var spaceIsOnItsWay: Bool {
    !freedSpace.isEmpty || punches.contains { $0 != nil } || checkpointing.isRunning
      || pool.reclaimableByCheckpoint
      || pool.hasDoomed && !dropsFailed
  }

  /// Until when a request may wait, nil for not at all.
  private func spaceDeadline(_ r: RequestIndex) -> MonotonicTime? {
    guard let since = slots[r].lacksSpaceSince else { return nil }
    switch pool.record(of: slots[r].volume).fullPolicy {
    case .error: return nil
    case .wait(let seconds):
      return seconds == .max ? .distantFuture : since.adding(milliseconds: UInt64(seconds) * 1000)
    }
  }

  /// Parks are judged anew: space may have come.
  func spaceMayHaveCome() {
    owedWork.lacksSpace = false
    guard !parked.isEmpty else { return }
    var list = parked
    parked = PartList()
    parkDeadline = .distantFuture
    while let p = slots.popFirst(&list) {
      let r = slots[p].request
      if slots[r].isParked {
        slots[r].isParked = false
        parkedRequests -= 1
      }
      slots.append(p, to: &ready)
    }
  }

  func expireParked() {
    if parkDeadline <= now { spaceMayHaveCome() }
  }

  /// Space that a checkpoint freed is usable when everybody who could have looked it up has ended.
  func releaseFreedSpace() {
    var released = false
    while let first = freedSpace.first, grace.hasEnded(first.epoch) {
      freedSpace.removeFirst()
      pool.release(first.space)
      released = true
    }
    if released { spaceMayHaveCome() }
  }

  // MARK: File space

  /// Reserves the file space of a segment that is written for the first time since the start.
  func growAhead(_ address: PoolAddress) {
    guard configuration.growsAhead, ioSlots.freeCount > Self.backgroundReserve else { return }
    let segment = address.block >> UInt64(pool.segmentShift)
    guard grownSegments.insert(segment).inserted else { return }
    let start = PoolAddress(block: segment << UInt64(pool.segmentShift))
    let place = pool.places(of: start).first
    unsafe emit(
      .reserveSpace, .reserve, at: place,
      length: StorageSizes.blockBytes << Int(pool.segmentShift), buffer: nil)
  }
}
