import BlockExport
import BlockIO
import DiskFormat
import PoolCore
import StorageUnits

/// Flush rounds (design §4, "First version"): barrier on the devices with new data, the records
/// into the journal, barrier on the journal's devices, answers.
extension VolumeEngine {
  /// The request is answered when a round has ended that covers everything completed before now:
  /// the running one if nothing has completed since it was cut, else the next.
  ///
  ///     write A          round                       flush F
  ///                      cut, barrier submitted
  ///     completes
  ///                                                  arrives: A is not covered, next round
  ///                      barrier completes, answers
  func joinRound(_ r: RequestIndex) {
    if runningRoundCoversEverything {
      slots.append(r, to: &round.members)
    } else {
      slots.append(r, to: &round.next)
    }
  }

  func joinRound(_ answer: ManagementAnswer) {
    if runningRoundCoversEverything {
      round.managementMembers.append(answer)
    } else {
      round.managementNext.append(answer)
    }
  }

  private var runningRoundCoversEverything: Bool {
    guard round.isRunning, round.cut == pool.lastRecord else { return false }
    for device in devices
    where barriers.sampleOutsideJournal(device) != round.samples[Int(device.index)] {
      return false
    }
    return true
  }

  // MARK: Start

  /// A round is to start at the next turn.
  var isRoundDue: Bool {
    guard !round.isRunning else { return false }
    if round.hasNext { return true }
    if isReadOnly { return false }
    if pool.records.recordCount > 0 && (pool.records.fill >= 0.5 || !hasBufferRoom) { return true }
    guard let oldest = oldestRecordTime else { return false }
    return oldest.adding(milliseconds: configuration.journalDelayMilliseconds) <= now
  }

  func startRoundIfDue() {
    if round.phase == .waitingForJournal { writeBatch() }
    guard isRoundDue else { return }
    if isReadOnly { return failRound() }
    startRound()
  }

  /// Cuts the batch and submits the barriers in one step: what is applied or completes from now on
  /// belongs to the next round.
  private func startRound() {
    slots.append(all: &round.next, to: &round.members)
    round.managementMembers.append(contentsOf: round.managementNext)
    round.managementNext.removeAll(keepingCapacity: true)
    noteRecords()
    round.batch = pool.records.cut()
    round.cut = pool.lastRecord
    oldestRecordTime = nil
    round.phase = .dataBarrier
    for device in devices {
      round.samples[Int(device.index)] = barriers.sampleOutsideJournal(device)
      if !barriers.isClean(device) {
        round.pendingCommands += 1
        emitBarrier(.roundBarrier, on: device)
      }
    }
    if round.pendingCommands == 0 { dataIsDurable() }
  }

  // MARK: Steps

  func roundCommandEnded(_ command: IOSlot, failed: Bool) {
    round.pendingCommands -= 1
    if failed {
      failPool()
    } else if command.purpose != .journalWrite {
      barriers.barrierSucceeded(on: command.device, sample: command.sample)
    }
    guard round.pendingCommands == 0 else { return }
    if isReadOnly { return failRound() }
    switch round.phase {
    case .dataBarrier: dataIsDurable()
    case .journalWrite: submitJournalBarriers()
    case .journalBarrier: journalIsDurable()
    case .idle, .waitingForJournal: preconditionFailure("no command of a round is in flight")
    }
  }

  private func dataIsDurable() {
    if round.batch == nil && !needsMark { finishRound() } else { writeBatch() }
  }

  /// Data was made durable under a superblock that no journal block names yet. Should a member come
  /// back as it was before that superblock, nothing else would tell it from one that a crash left
  /// without it:
  ///
  ///     disk 0: superblock 8    overwrites, flushed       8
  ///     disk 1: superblock 8    overwrites, flushed       7, an old copy: the overwrites are lost
  private var needsMark: Bool { devices.count > 1 && !journal.isSuperblockNamed }

  /// Lays the batch into the journal. Where the ring is full, a checkpoint makes room; if that
  /// covers the whole batch, nothing needs to be written any more.
  private func writeBatch() {
    if round.batch == nil && !needsMark { return finishRound() }
    guard ioSlots.freeCount >= 4 else {
      round.phase = .waitingForJournal
      return
    }
    guard let append = encodeBatch() else {
      round.phase = .waitingForJournal
      checkpointing.isWanted = true
      return
    }
    round.append = append
    round.phase = .journalWrite
    writeSpan(append.head)
    if let wrapped = append.wrapped { writeSpan(wrapped) }
  }

  private func encodeBatch() -> JournalAppend? {
    guard let batch = round.batch else { return unsafe journal.encodeMark(into: round.blocks) }
    return unsafe journal.encode(batch, into: round.blocks)
  }

  private func writeSpan(_ span: JournalSpan) {
    guard let base = unsafe round.blocks.baseAddress else { return }
    let buffer = unsafe base + span.memoryOffset
    round.pendingCommands += 1
    unsafe emit(.write, .journalWrite, at: span.place, length: span.byteCount, buffer: buffer)
    if let second = span.secondPlace {
      round.pendingCommands += 1
      unsafe emit(.write, .journalWrite, at: second, length: span.byteCount, buffer: buffer)
    }
  }

  private func submitJournalBarriers() {
    round.phase = .journalBarrier
    round.pendingCommands = 1
    emitBarrier(.journalBarrier, on: journal.place.device)
    if let second = journal.secondPlace {
      round.pendingCommands += 1
      emitBarrier(.journalBarrier, on: second.device)
    }
  }

  private func journalIsDurable() {
    if let append = round.append { journal.batchDurable(append) }
    round.append = nil
    finishRound()
  }

  // MARK: End

  private func finishRound() {
    if let batch = round.batch {
      pool.records.finish(batch)
      tail?.truncate(through: batch.lastNumber)
      round.batch = nil
    }
    round.phase = .idle
    forgetRaises(through: round.cut)
    counters.rounds += 1
    while let r = slots.popFirst(&round.members) { answer(r, slots[r].error) }
    managementAnswers.append(contentsOf: round.managementMembers)
    round.managementMembers.removeAll(keepingCapacity: true)
    slots.append(all: &round.roomWaiters, to: &ready)
  }

  /// Everybody who waits for durability is told that there is none.
  private func failRound() {
    round.phase = .idle
    round.append = nil
    slots.append(all: &round.next, to: &round.members)
    while let r = slots.popFirst(&round.members) { answer(r, slots[r].error ?? .inputOutput) }
    for waiting in round.managementMembers + round.managementNext {
      managementAnswers.append(
        ManagementAnswer(token: waiting.token, result: .failed(.inputOutput)))
    }
    round.managementMembers = []
    round.managementNext = []
    slots.append(all: &round.roomWaiters, to: &ready)
  }

  /// A barrier, a journal write or a checkpoint write has failed: nobody knows what the device
  /// holds, so nothing is retried. Reads and overwrites in flight end as they do; this and later
  /// flushes fail, and nothing changes any more.
  func failPool() {
    guard !isReadOnly else { return }
    isReadOnly = true
    spaceMayHaveCome()
    slots.append(all: &checkpointWaiters, to: &ready)
    slots.append(all: &delayed, to: &ready)
    if round.pendingCommands == 0 { failRound() }
    if checkpointing.pendingCommands == 0 { failCheckpoint() }
  }
}
