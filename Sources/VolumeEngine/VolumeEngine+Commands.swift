import BlockExport
import BlockIO
import DiskFormat
import PoolCore
import StorageUnits

/// A device command in the making: pieces that are neighbours on the device and in memory become
/// one command.
@safe struct CommandRun {
  var purpose: IOPurpose
  var device: DeviceIndex
  /// On the device, in 4 KiB units.
  var block: UInt64
  var blockCount: Int
  var buffer: UnsafeMutableRawPointer
  var firstPart: PartIndex
  var lastPart: PartIndex
}

extension VolumeEngine {
  /// Command slots that a part must find free before it starts: its pieces, at the worst.
  static var commandReserve: Int { 2 * StorageSizes.blocksPerExtent + 4 }
  /// Command slots that hosts leave to rounds, checkpoints and node loads.
  static var backgroundReserve: Int { 128 }

  var hasResources: Bool {
    ioSlots.freeCount >= Self.commandReserve + Self.backgroundReserve && loader.hasFree
      && bounces.hasFreeExtent
  }

  var hasCommandSlots: Bool {
    ioSlots.freeCount >= Self.commandReserve + Self.backgroundReserve
  }

  /// Reads or writes `blockCount` blocks at `address` for a part. The command is emitted when the
  /// next piece does not continue it, or by `flushRun` at the end of the entry point.
  func addPiece(
    _ purpose: IOPurpose, of p: PartIndex, address: PoolAddress, blockCount: Int,
    buffer: UnsafeMutableRawPointer
  ) {
    let place = pool.place(of: address)
    if var run = pendingRun, run.purpose == purpose, run.device == place.device,
      run.block + UInt64(run.blockCount) == place.block,
      unsafe run.buffer + run.blockCount * StorageSizes.blockBytes == buffer,
      run.lastPart == p || run.lastPart.raw + 1 == p.raw
    {
      run.blockCount += blockCount
      if run.lastPart != p {
        run.lastPart = p
        slots[p].pendingCommands += 1
      }
      pendingRun = run
      return
    }
    flushRun()
    pendingRun = unsafe CommandRun(
      purpose: purpose, device: place.device, block: place.block, blockCount: blockCount,
      buffer: buffer, firstPart: p, lastPart: p)
    slots[p].pendingCommands += 1
  }

  /// Emits the command in the making, if there is one.
  func flushRun() {
    guard let run = pendingRun else { return }
    pendingRun = nil
    let token = ioSlots.take(
      run.purpose, device: run.device, first: run.firstPart.raw, last: run.lastPart.raw)
    counters.count(run.purpose, on: run.device)
    commands.append(
      unsafe IOCommand(
        run.purpose == .partRead ? .read : .write, device: run.device,
        offset: DeviceByteOffset(run.block << 12),
        length: run.blockCount * StorageSizes.blockBytes, buffer: run.buffer, token: token))
  }

  /// Emits a command of the engine's own.
  func emit(
    _ operation: IOCommand.Operation, _ purpose: IOPurpose, at place: DevicePlace, length: Int,
    buffer: UnsafeMutableRawPointer?, first: Int32 = 0
  ) {
    let token = ioSlots.take(purpose, device: place.device, first: first)
    counters.count(purpose, on: place.device)
    commands.append(
      unsafe IOCommand(
        operation, device: place.device, offset: place.byteOffset, length: length,
        buffer: buffer, token: token))
  }

  /// Emits a barrier with the sample that decides what it has made durable.
  func emitBarrier(_ purpose: IOPurpose, on device: DeviceIndex) {
    let token = ioSlots.take(purpose, device: device, sample: barriers.sample(device))
    counters.count(purpose, on: device)
    unsafe commands.append(
      IOCommand(
        .flush, device: device, offset: DeviceByteOffset(0 as UInt64), length: 0, buffer: nil,
        token: token))
  }

  // MARK: Completions of parts

  /// A device that has no space underneath says so to the host: the pool goes on.
  func partCommandEnded(_ command: IOSlot, _ completion: IOCompletion) {
    let error: ExportError? =
      completion.errno == 0 ? nil : completion.lacksSpace ? .noSpace : .inputOutput
    for raw in command.first...command.last {
      let p = PartIndex(raw: raw)
      precondition(slots[p].pendingCommands > 0)
      slots[p].pendingCommands -= 1
      if let error, slots[p].deviceError == nil { slots[p].deviceError = error }
      if slots[p].pendingCommands == 0 { partCommandsEnded(p) }
    }
  }

  private func partCommandsEnded(_ p: PartIndex) {
    switch slots[p].kind {
    case .read: readCommandsEnded(p)
    case .write, .zeroEdge: writeCommandsEnded(p)
    case .provisionWalk: provisionCommandsEnded(p)
    case .clearWalk, .statusWalk: preconditionFailure("walks that only clear have no commands")
    }
  }

  // MARK: Stepping

  /// Steps parts that can go on, as many as one turn may.
  func runReady() {
    if !resourceWaiters.isEmpty && hasResources {
      slots.append(all: &resourceWaiters, to: &ready)
    }
    var budget = configuration.stepsPerTurn
    while budget > 0, let p = slots.popFirst(&ready) {
      budget -= 1
      step(p)
    }
  }

  func step(_ p: PartIndex) {
    switch slots[p].kind {
    case .read: stepRead(p)
    case .write, .zeroEdge: stepWrite(p)
    case .clearWalk: stepClearWalk(p)
    case .provisionWalk: stepProvisionWalk(p)
    case .statusWalk: stepStatusWalk(p)
    }
  }

  /// The part waits for a command slot, a bounce extent or a place for a node load.
  func waitForResources(_ p: PartIndex) { slots.append(p, to: &resourceWaiters) }

  /// A part has ended. The last one of a request ends the request.
  func finishPart(_ p: PartIndex, _ error: ExportError?) {
    leaveGrace(p)
    leaveLock(p)
    let r = slots[p].request
    if let error, slots[r].error == nil { slots[r].error = error }
    slots[r].openParts -= 1
    guard slots[r].openParts == 0 else { return }
    if slots[r].request.operation == .writeZeroes && !slots[r].isWalking && slots[r].error == nil {
      startZeroWalk(r)
    } else {
      finishRequest(r)
    }
  }

  // MARK: Grace and locks

  /// A new decision for the part's extent, without holders.
  func beginDecision(_ p: PartIndex, shareEpoch: ShareEpoch) -> LockIndex {
    volumes[slots[p].volume.index].decisions += 1
    return locks.create(slots[p].volume, slots[p].extent, shareEpoch: shareEpoch)
  }

  func leaveGrace(_ p: PartIndex) {
    let epoch = slots[p].epoch
    guard epoch != 0 else { return }
    slots[p].epoch = 0
    grace.leave(epoch)
  }

  /// Leaves the lock. The last holder ends the decision: a fresh extent that no record named is
  /// given back, and whoever waited is judged anew, in order.
  func leaveLock(_ p: PartIndex) {
    let l = slots[p].lock
    guard !l.isNone else { return }
    slots[p].lock = .none
    guard locks.leave(l) else { return }
    var lock = locks.remove(l)
    volumes[lock.volume.index].decisions -= 1
    if !lock.freshExtent.isNone && !lock.isFreshNamed {
      pool.giveBack(lock.freshExtent)
      spaceMayHaveCome()
    }
    slots.append(all: &lock.waiters, to: &ready)
  }
}
