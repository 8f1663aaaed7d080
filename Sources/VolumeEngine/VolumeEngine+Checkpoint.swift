import BlockExport
import BlockIO
import DiskFormat
import PoolCore
import StorageUnits

/// Checkpoints (design §4 rule 6). Hosts and rounds go on meanwhile.
extension VolumeEngine {
  /// Pieces of the image that one turn asks for.
  private static var piecesPerTurn: Int { 1 }

  /// There is work of the background that needs no completion first.
  var hasBackgroundWork: Bool {
    if isReadOnly || isBackgroundLoading { return false }
    switch checkpointing.phase {
    case .idle: if canBeginCheckpoint { return true }
    case .image:
      if !checkpointing.isImageComplete && checkpointing.freeStaging != nil { return true }
    case .imageBarrier, .superblocks, .superblockBarrier: break
    }
    return canDrop || canUnshare || canWorkOffOwed
  }

  private var canBeginCheckpoint: Bool {
    guard freedSpace.count < Self.freedSpaceAtMost, !isReadOnly else { return false }
    if imagePin?.isFrozen == true { return false }
    guard hasBufferRoom else { return false }
    if checkpointing.isWanted || pressure >= 0.5 { return true }
    return (!parked.isEmpty || owedWork.lacksSpace) && pool.reclaimableByCheckpoint
      && checkpointing.completedRecord < pool.lastRecord
  }

  /// When a checkpoint is due for the space that it brings back.
  var reclaimDeadline: MonotonicTime? {
    guard !isReadOnly, !checkpointing.isRunning else { return nil }
    return reclaimableSince?.adding(milliseconds: configuration.reclaimDelayMilliseconds)
  }

  /// Space that was given up comes back although nobody waits for it; while deleted trees are being
  /// dropped there will be more, so one checkpoint does for all.
  func stepReclaim() {
    guard !isReadOnly, !checkpointing.isRunning else { return }
    if pool.hasDoomed || !pool.hasReleasedData {
      reclaimableSince = nil
      return
    }
    let since = reclaimableSince ?? now
    reclaimableSince = since
    guard since.adding(milliseconds: configuration.reclaimDelayMilliseconds) <= now else { return }
    reclaimableSince = nil
    checkpointing.isWanted = true
  }

  func stepCheckpoint() {
    guard !isReadOnly else { return }
    if checkpointing.phase == .idle && canBeginCheckpoint { beginCheckpoint() }
    guard checkpointing.phase == .image, !isBackgroundLoading else { return }
    for _ in 0..<Self.piecesPerTurn where !checkpointing.isImageComplete { nextPiece() }
    imagePieceEnded()
  }

  private func beginCheckpoint() {
    let outcome = pool.beginCheckpoint()
    noteRecords()
    switch outcome {
    case .begun: break
    case .mustWaitForRound: return
    case .alreadyRunning: preconditionFailure("the engine runs one checkpoint at a time")
    case .noSpace: return failPool()
    }
    checkpointing.phase = .image
    checkpointing.isWanted = false
    checkpointing.isImageComplete = false
    checkpointing.record = pool.lastRecord
    checkpointing.tokens = checkpointing.nextTokens
    checkpointing.nextTokens = []
  }

  // MARK: The image

  private func nextPiece() {
    guard ioSlots.freeCount >= 8, let index = checkpointing.freeStaging else { return }
    let staging = unsafe checkpointing.memory(ofStaging: index)
    switch unsafe pool.checkpointStep(staging: staging) {
    case .write(let address, let byteCount):
      let (first, second) = pool.places(of: address)
      writeStaging(index, first, second, byteCount)
    case .writeSystem(let first, let second, let byteCount):
      writeStaging(index, first, second, byteCount)
    case .load(let node): waitForNodeInBackground(node)
    case .seal: checkpointing.isImageComplete = true
    }
  }

  private func writeStaging(
    _ index: Int, _ first: DevicePlace, _ second: DevicePlace?, _ byteCount: Int
  ) {
    let buffer = unsafe checkpointing.memory(ofStaging: index).baseAddress
    for place in [first, second].compactMap({ $0 }) {
      checkpointing.writeStarted(fromStaging: index)
      unsafe emit(
        .write, .stagingWrite, at: place, length: byteCount, buffer: buffer, first: Int32(index))
    }
  }

  /// Barriers over the image once all of it is written.
  private func imagePieceEnded() {
    guard checkpointing.phase == .image, checkpointing.isImageComplete,
      checkpointing.pendingCommands == 0
    else { return }
    checkpointing.phase = .imageBarrier
    submitBarriers()
  }

  private func submitBarriers() {
    for device in devices {
      checkpointing.pendingCommands += 1
      emitBarrier(.checkpointBarrier, on: device)
    }
  }

  // MARK: Completions

  func checkpointCommandEnded(_ command: IOSlot, failed: Bool) {
    checkpointing.pendingCommands -= 1
    if command.purpose == .stagingWrite {
      checkpointing.writeEnded(fromStaging: Int(command.first))
    }
    if failed {
      failPool()
    } else if command.purpose == .checkpointBarrier {
      barriers.barrierSucceeded(on: command.device, sample: command.sample)
    }
    guard checkpointing.pendingCommands == 0 else { return }
    if isReadOnly { return failCheckpoint() }
    switch checkpointing.phase {
    case .image: imagePieceEnded()
    case .imageBarrier: writeSuperblocks()
    case .superblocks:
      checkpointing.phase = .superblockBarrier
      submitBarriers()
    case .superblockBarrier: completeCheckpoint()
    case .idle: preconditionFailure("no command of a checkpoint is in flight")
    }
  }

  /// The image is durable: superblocks that name it, two copies on every device.
  private func writeSuperblocks() {
    let start = journal.replayStart(after: checkpointing.record)
    pool.sealCheckpoint(
      logGeneration: journal.logGeneration, nonce: journal.logNonce,
      firstSequence: start.sequence, previousChecksum: start.previousChecksum,
      opening: configuration.opening, isOpen: !checkpointing.closes)
    checkpointing.phase = .superblocks
    for device in devices {
      let superblock = pool.superblock(for: device)
      let memory = unsafe checkpointing.superblockMemory(device)
      var bytes = unsafe memory.mutableBytes
      superblock.encode(into: &bytes)
      for offset in FormatConstants.superblockOffsets[Int(superblock.sequence & 1)] {
        checkpointing.pendingCommands += 1
        unsafe emit(
          .write, .superblockWrite, at: DevicePlace(device: device, block: offset >> 12),
          length: FormatConstants.superblockBytes, buffer: memory.baseAddress)
      }
    }
  }

  /// The superblocks are durable on every member: what they do not need is free once its grace has
  /// ended.
  private func completeCheckpoint() {
    if let freed = pool.completeCheckpoint() {
      freedSpace.append((freed, grace.advance()))
    }
    if let device = devices.first {
      journal.checkpointCompleted(pool.superblock(for: device))
    }
    checkpointing.phase = .idle
    checkpointing.completedRecord = checkpointing.record
    counters.checkpoints += 1
    dropsWaitForCheckpoint = false
    owedWork.waitsForCheckpoint = false
    tail?.truncate(through: checkpointing.record)
    for token in checkpointing.tokens {
      managementAnswers.append(ManagementAnswer(token: token, result: .done))
    }
    checkpointing.tokens = []
    slots.append(all: &checkpointWaiters, to: &ready)
    releaseFreedSpace()
    spaceMayHaveCome()
  }

  /// The pool has failed: the checkpoint never completes.
  func failCheckpoint() {
    for token in checkpointing.tokens + checkpointing.nextTokens {
      managementAnswers.append(ManagementAnswer(token: token, result: .failed(.inputOutput)))
    }
    checkpointing.tokens = []
    checkpointing.nextTokens = []
  }

  // MARK: Dropping deleted trees

  var canDrop: Bool {
    pool.hasDoomed && !dropsFailed && !dropsWaitForCheckpoint && !isReadOnly && !isStopping
      && !isBackgroundLoading && hasBufferRoom && hasJournalRoom && pressure < 0.9
  }

  /// Drops some of what deleted volumes left; hosts come first.
  func stepDrops() {
    guard pool.hasDoomed else { return }
    let hostsAreActive = slots.freeCount < slots.capacity
    var budget = configuration.dropsPerTurn
    if hostsAreActive { budget = max(1, budget / 8) }
    while budget > 0, canDrop, let preparation = pool.prepareDrop() {
      budget -= 1
      switch preparation {
      case .ready:
        _ = pool.applyDrop()
        noteRecords()
      case .missing(let node): waitForNodeInBackground(node)
      case .noSpace, .mustWaitForCheckpoint:
        dropsWaitForCheckpoint = true
        checkpointing.isWanted = true
      }
    }
  }
}
