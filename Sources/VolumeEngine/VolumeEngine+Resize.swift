import BlockExport
import BlockIO
import DiskFormat
import PoolCore
public import StorageUnits

/// A size that is asked for.
struct ResizeOrder {
  var volume: VolumeID
  var sizeBytes: UInt64
  /// What lies beyond a smaller size may go.
  var allowsShrink: Bool
  /// For a stream that is being received into the volume, and only then.
  var isForStream = false
}

/// A volume being made smaller:
///
///     draining ─▶ counting ─▶ rewriting (─▶ copying) ─▶ applying
///
/// From `counting` on, mutations from the last extent that stays onwards are held; those before it
/// go on. What is counted does not change any more, so the one record at the end says what it cuts
/// off, and the hosts have waited for one drain.
struct ResizeRun {
  enum Phase {
    /// All mutations are held until no decision is in force.
    case draining
    /// The map beyond the new end is gone through: its nodes are read, nothing is changed.
    case counting
    /// Where the size ends inside a block that is mapped: the extent's blocks are copied to a fresh
    /// one, with zeros behind the end.
    case rewriting
    /// They are read, and are to be written.
    case copying
    case applying
  }

  var phase = Phase.draining
  var next = VirtualExtent(index: 0)
  var cut = Pool.CutOff()
  /// What is rewritten, and where to.
  var entry = MapEntry.none
  var target: PoolAddress?
  var bounce = BounceIndex.none
  var epoch: UInt64 = 0
  var pendingCommands = 0
  var hasFailed = false
}

extension VolumeEngine {
  /// Gives a volume another size, while it is in use. A smaller one needs `allowsShrink`, for what
  /// lies beyond is lost; requests that reach beyond it end with `outOfRange`. Answered with `done`
  /// once it is durable. Call `turn` afterwards.
  public func resizeVolume(
    _ id: VolumeID, to sizeBytes: UInt64, allowsShrink: Bool, token: UInt64
  ) {
    let order = ResizeOrder(volume: id, sizeBytes: sizeBytes, allowsShrink: allowsShrink)
    managementQueue.append(.resize(order, token: token))
  }

  /// Gives a volume that is being received the size that it has in the stream. What lies beyond a
  /// smaller one goes, and comes back if the stream ends early. As `resizeVolume` otherwise.
  public func resizeReceivedVolume(_ id: VolumeID, to sizeBytes: UInt64, token: UInt64) {
    let order = ResizeOrder(
      volume: id, sizeBytes: sizeBytes, allowsShrink: true, isForStream: true)
    managementQueue.append(.resize(order, token: token))
  }

  func stepResize(_ order: ResizeOrder, _ token: UInt64) -> Bool {
    if let run = resizing, run.pendingCommands > 0 || isManagementLoading { return false }
    guard let slot = pool.volume(order.volume), !isGoing(slot) else {
      return refuseResize(token, .noSuchVolume("\(order.volume.number)"))
    }
    if isReadOnly { return refuseResize(token, .readOnly) }
    if isStopping || managementLoadFailed || resizing?.hasFailed == true {
      let error: ExportError = isStopping ? .shuttingDown : .inputOutput
      endResize()
      return fail(token, error)
    }
    do throws(PoolError) {
      guard pool.record(of: slot).isReceiving == order.isForStream else {
        throw .isBeingReceived(pool.shownName(of: slot))
      }
      try pool.checkResize(slot, to: order.sizeBytes)
      let old = pool.sizeBytes(of: slot)
      if order.sizeBytes >= old { return try grow(slot, order, token) }
      guard order.allowsShrink else {
        throw .wouldCutOff(pool.shownName(of: slot), new: order.sizeBytes, old: old)
      }
      return try stepShrink(slot, order, token)
    } catch { return refuseResize(token, error) }
  }

  private func refuseResize(_ token: UInt64, _ error: PoolError) -> Bool {
    guard refuse(token, error) else { return false }
    endResize()
    return true
  }

  /// Nobody needs to wait: a request that has begun is judged by the size as it is when it goes on.
  private func grow(
    _ slot: VolumeSlot, _ order: ResizeOrder, _ token: UInt64
  ) throws(PoolError) -> Bool {
    guard hasManagementRoom else { return false }
    _ = try pool.prepareResize(slot, to: order.sizeBytes)
    pool.applyResize(slot, to: order.sizeBytes, cut: Pool.CutOff())
    return resized(token)
  }

  private func resized(_ token: UInt64) -> Bool {
    noteRecords()
    resizing?.target = nil
    endResize()
    joinRound(ManagementAnswer(token: token, result: .done))
    return true
  }

  private func endResize() {
    managementLoadFailed = false
    guard let run = resizing else { return }
    resizing = nil
    if let target = run.target { pool.giveBack(target) }
    if !run.bounce.isNone { bounces.freeExtent(run.bounce) }
    if run.epoch != 0 { grace.leave(run.epoch) }
    releaseHeld()
    spaceMayHaveCome()
  }

  // MARK: Shrinking

  private func stepShrink(
    _ slot: VolumeSlot, _ order: ResizeOrder, _ token: UInt64
  ) throws(PoolError) -> Bool {
    let last = Pool.lastExtent(ofSize: order.sizeBytes)
    if resizing == nil {
      resizing = ResizeRun()
      noteVolume(slot, order.volume)
      volumes[slot.index].heldFrom = 0
    }
    guard let run = resizing else { return false }
    switch run.phase {
    case .draining:
      guard volumes[slot.index].decisions == 0 else { return false }
      releaseHeld()
      volumes[slot.index].heldFrom = last.index
      resizing?.next = VirtualExtent(index: last.index + 1)
      resizing?.phase = .counting
      return try stepShrink(slot, order, token)
    case .counting:
      guard count(slot) else { return false }
      resizing?.phase = .rewriting
      return try stepShrink(slot, order, token)
    case .rewriting:
      guard try beginRewrite(slot, order.sizeBytes) else { return false }
      resizing?.phase = .applying
      return try stepShrink(slot, order, token)
    case .copying:
      guard hasCommandSlots else { return false }
      writeRewritten(order.sizeBytes)
      resizing?.phase = .applying
      return false
    case .applying:
      guard hasManagementRoom else { return false }
      if let node = try pool.prepareResize(slot, to: order.sizeBytes) {
        waitForNodeInManagement(node)
        return false
      }
      pool.applyResize(slot, to: order.sizeBytes, cut: run.cut, rewritten: run.target)
      return resized(token)
    }
  }

  /// The next turn goes on counting.
  var isCountingForResize: Bool {
    resizing?.phase == .counting && !isManagementLoading && !managementLoadFailed
  }

  /// Adds up what is mapped beyond the end, a bounded part of it. True: that was all.
  private func count(_ slot: VolumeSlot) -> Bool {
    let end = VirtualExtent(index: ByteCount(pool.sizeBytes(of: slot)).extentsRoundingUp)
    for _ in 0..<configuration.extentsPerStep * 16 {
      guard let from = resizing?.next else { return false }
      switch pool.nextMapped(slot, from: from, before: end) {
      case .nothing: return true
      case .missing(let node):
        waitForNodeInManagement(node)
        return false
      case .extent(let extent, let entry):
        resizing?.cut.add(entry)
        resizing?.next = VirtualExtent(index: extent.index + 1)
      }
    }
    return false
  }

  // MARK: The last block

  /// Makes sure that zeros lie behind the end inside the last block. True: they do already.
  ///
  /// The block is not written in place: until the record, the volume has its old size and content.
  private func beginRewrite(
    _ slot: VolumeSlot, _ sizeBytes: UInt64
  ) throws(PoolError) -> Bool {
    let tail = Int(sizeBytes % UInt64(StorageSizes.blockBytes))
    if tail == 0 { return true }
    let last = Pool.lastExtent(ofSize: sizeBytes)
    let entry: MapEntry
    switch pool.lookup(slot, last) {
    case .missing(let node):
      waitForNodeInManagement(node)
      return false
    case .entry(let found): entry = found
    }
    let stays = Pool.lastBlocks(ofSize: sizeBytes)
    guard entry.mask.contains(stays.count - 1) else { return true }
    guard hasManagementRoom, hasCommandSlots, bounces.hasFreeExtent else { return false }
    guard let target = try takeForRewrite(slot, last) else { return false }
    resizing?.target = target
    readForRewrite(entry, stays)
    resizing?.phase = .copying
    return false
  }

  private func takeForRewrite(
    _ slot: VolumeSlot, _ last: VirtualExtent
  ) throws(PoolError) -> PoolAddress? {
    switch pool.prepareMap(slot, last, tier: .reclaim) {
    case .ready: break
    case .missing(let node):
      waitForNodeInManagement(node)
      return nil
    case .noSpace(let shortage): throw .noSpace(shortage)
    case .mustWaitForCheckpoint: throw .mustWaitForCheckpoint
    }
    let taken = pool.takeExtent(for: slot, at: last)
    noteRecords()
    switch taken {
    case .extent(let address): return address
    case .missing(let node):
      waitForNodeInManagement(node)
      return nil
    case .noSpace(let shortage): throw .noSpace(shortage)
    }
  }

  private func readForRewrite(_ entry: MapEntry, _ stays: BlockMask) {
    guard let bounce = bounces.takeExtent() else { preconditionFailure("looked for before") }
    resizing?.bounce = bounce
    resizing?.epoch = grace.enter()
    resizing?.entry = entry
    let memory = unsafe bounces.memory(bounce)
    for layer in [entry.upper, entry.lower] {
      forEachRun(of: layer.mask & stays) { first, count in
        resizing?.pendingCommands += 1
        unsafe emit(
          .read, .resizeRead, at: pool.place(of: layer.address(ofBlock: first)),
          length: count * StorageSizes.blockBytes,
          buffer: memory + first * StorageSizes.blockBytes)
      }
    }
  }

  private func writeRewritten(_ sizeBytes: UInt64) {
    guard let run = resizing, let target = run.target else { return }
    let stays = Pool.lastBlocks(ofSize: sizeBytes)
    let all = run.entry.mask & stays
    let memory = unsafe bounces.memory(run.bounce)
    let end = (stays.count - 1) * StorageSizes.blockBytes
    let tail = Int(sizeBytes % UInt64(StorageSizes.blockBytes))
    unsafe (memory + end + tail).initializeMemory(
      as: UInt8.self, repeating: 0, count: StorageSizes.blockBytes - tail)
    unsafe zero(BlockMask(first: all.first, count: all.span) - all, at: memory)
    resizing?.pendingCommands += 1
    unsafe emit(
      .write, .resizeWrite, at: pool.place(of: target.advanced(byBlocks: all.first)),
      length: all.span * StorageSizes.blockBytes,
      buffer: memory + all.first * StorageSizes.blockBytes)
  }

  func resizeCommandEnded(failed: Bool) {
    resizing?.pendingCommands -= 1
    if failed { resizing?.hasFailed = true }
  }
}
