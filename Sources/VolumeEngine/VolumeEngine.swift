public import BlockExport
public import BlockIO
import DiskFormat
public import PoolCore
public import StorageUnits

/// Runs the requests of hosts against a pool: a state machine without I/O, clock or randomness.
///
/// Requests come in by `submit`, device commands go out through `commands`, their completions come
/// in by `complete`, answers go out through `answers`, and time is handed in by `turn`. A driver
/// repeats: submit what has arrived, complete what has ended, `turn(now:)`, take the commands and
/// answers, wait until something happens or `nextDeadline` has come.
///
/// One thread uses it, the one that owns the pool. After `init` the paths of reads, writes and
/// flushes allocate nothing. `Docs/DataPath.md` follows one write through the files.
public final class VolumeEngine {
  // MARK: What goes out

  /// Device commands, oldest first.
  public let commands: FixedQueue<IOCommand>
  /// Answers to hosts, oldest first.
  public let answers: FixedQueue<ExportAnswer>
  /// The extents of block-status answers; see `ExportAnswer.firstExtent`. Emptied by the first
  /// `submit`, `complete` or `turn` after all answers have been taken.
  public internal(set) var blockStatusExtents: [BlockStatusExtent] = []
  /// Answers to management operations, oldest first.
  public internal(set) var managementAnswers: [ManagementAnswer] = []

  // MARK: The parts

  let pool: Pool
  /// The pool's active devices, fixed while it is open.
  let devices: [DeviceIndex]
  let configuration: EngineConfiguration
  let journal: JournalRing
  let tail: TailRing?
  let slots: RequestSlots
  let locks: DecisionLocks
  let loader: NodeLoader
  let bounces: BounceBuffers
  let ioSlots: IOSlots
  let grace: GraceEpochs
  let barriers: DeviceBarriers
  let round: FlushRound
  let checkpointing: CheckpointRun
  let counters: StatisticsCounters
  let operationCounters = OperationCounters()

  // MARK: State

  /// The time of the last turn.
  var now = MonotonicTime(nanoseconds: 0)
  /// A barrier or a write of the journal or of a checkpoint has failed: for good.
  public internal(set) var isReadOnly = false
  /// `stop` has been asked for: nothing new is taken.
  var isStopping = false
  let volumes = VolumeSlotArray<VolumeActivity>()
  /// Parts that can go on.
  var ready = PartList()
  /// Parts that wait for command slots, bounce extents or node loads.
  var resourceWaiters = PartList()
  /// Parts that wait for a checkpoint to complete.
  var checkpointWaiters = PartList()
  /// Parts that wait for space: `VolumeEngine+Space.swift`.
  var parked = PartList()
  var parkedRequests = 0
  var parkDeadline = MonotonicTime.distantFuture
  /// Parts of volumes that a snapshot or a rollback holds: `VolumeEngine+Branch.swift`.
  var held = PartList()
  /// Parts held back near a bound, and when the first may go on.
  var delayed = PartList()
  var delayedUntil = MonotonicTime(nanoseconds: 0)
  /// The piece that the next one may extend: `VolumeEngine+Commands.swift`.
  var pendingRun: CommandRun?
  /// The runs of each block-status request in work, by request slot.
  var statusRuns: [[BlockStatusExtent]]
  /// When the oldest record that is not journalled arose.
  var oldestRecordTime: MonotonicTime?
  /// Since when there is space that only a checkpoint brings back.
  var reclaimableSince: MonotonicTime?
  /// Space that a checkpoint freed and that waits for the end of its grace epoch.
  var freedSpace: [(space: FreedSpace, epoch: UInt64)] = []
  /// Holes in the making, and when the next ones are to be made: `VolumeEngine+Punch.swift`.
  var punches: [PunchedRun?]
  var punchDue: MonotonicTime?
  /// When the next segment is swept, and whether that waits for a node.
  var sweepDue: MonotonicTime?
  var isSweepLoading = false
  /// Until when a stop makes holes.
  var stopPunchesUntil: MonotonicTime?
  var managementQueue: [ManagementOperation] = []
  /// Somebody reads an image from the devices: `VolumeEngine+ImagePin.swift`.
  var imagePin: ImagePin?
  var nextImagePin: UInt64 = 1
  /// Layers whose raised birth is not durable yet: `VolumeEngine+Bookmarks.swift`.
  var raises: [RaisedExtent: RecordNumber] = [:]
  /// Volumes that had a newer bookmark before a record that is not durable.
  var fallenBookmarks: [VolumeID: FallenBookmark] = [:]
  /// Scans of maps in the background: `Scans/VolumeEngine+Scans.swift`.
  var scans: [RunningScan] = []
  /// The wall clock, as far as the driver tells: decides when the trash expires. 0: not known.
  public var secondsSince1970: UInt64 = 0
  /// The volume that is being made smaller: `VolumeEngine+Resize.swift`.
  var resizing: ResizeRun?
  /// The management operation at hand waits for a node, or one that it needs cannot be read.
  var isManagementLoading = false
  var managementLoadFailed = false
  /// Doing what is owed: `VolumeEngine+Owed.swift`.
  var owedWork = OwedWork()
  /// The background (checkpoint, drops) waits for a node.
  var isBackgroundLoading = false
  /// A node that the dropping of trees needs cannot be read: no more drops until the next start.
  var dropsFailed = false
  /// The next drop needs a checkpoint first.
  var dropsWaitForCheckpoint = false
  /// Segments for which file space has been reserved since the start.
  var grownSegments: Set<UInt64> = []

  /// - Parameters:
  ///   - pool: opened, its first checkpoint complete. Nobody else uses it from now on.
  ///   - tail: where records outlive the process, sized by `TailRing.bytes(forRecordBytes:)` for
  ///     the pool's record buffer; nil where that is not wanted.
  public init(
    pool: Pool, configuration: EngineConfiguration, journal: JournalRing, tail: TailRing?
  ) {
    self.pool = pool
    self.configuration = configuration
    self.journal = journal
    self.tail = tail
    precondition(
      pool.records.capacity > Self.recordMargin * RecordFormat.maximumBytes,
      "the record buffer is too small")
    // What is not durable fits into the tail always: a batch on its way and a full buffer.
    let needed = TailRing.bytes(forRecordBytes: pool.records.capacity) - TailHeader.byteCount
    precondition((tail?.capacity ?? .max) >= needed, "the tail is smaller than the record buffer")
    let requests = configuration.requestSlots
    slots = RequestSlots(capacity: requests)
    locks = DecisionLocks(capacity: requests * RequestSlots.partsPerRequest)
    loader = NodeLoader(capacity: configuration.nodeLoads)
    bounces = BounceBuffers(
      requestCount: requests, extentCount: configuration.bounceExtents)
    ioSlots = IOSlots(capacity: configuration.commandSlots)
    grace = GraceEpochs()
    devices = pool.devices
    let deviceCount = devices.reduce(0) { max($0, Int($1.index) + 1) }
    barriers = DeviceBarriers(deviceCount: deviceCount)
    round = FlushRound(deviceCount: deviceCount, recordBytes: pool.records.capacity)
    checkpointing = CheckpointRun(
      configuration, deviceCount: deviceCount, record: pool.lastRecord)
    counters = StatisticsCounters(deviceCount: deviceCount)
    commands = FixedQueue(minimumCapacity: configuration.commandSlots)
    answers = FixedQueue(minimumCapacity: requests * 4)
    statusRuns = Array(repeating: [], count: requests)
    punches = Array(repeating: nil, count: configuration.punchesInFlight)
    pool.punchesFreedSpace = configuration.punchesFreedSpace
  }

  // MARK: Entry points

  /// Says what time it is before requests are submitted; they have arrived then. Time only goes on.
  public func noteTime(_ now: MonotonicTime) { self.now = max(self.now, now) }

  /// Takes a request. False if no slot is free: the caller keeps it and tries again after a turn.
  /// A request that is refused for its contents is answered, like all others, through `answers`.
  public func submit(_ request: ExportRequest) -> Bool {
    guard hasRoom else { return false }
    forgetTakenExtents()
    counters.count(request.operation)
    guard let volume = pool.volume(request.volume) else {
      answerWithoutSlot(request, isStopping ? .shuttingDown : .volumeGone)
      return true
    }
    noteVolume(volume, request.volume)
    if let error = refusal(of: request, volume) {
      answerWithoutSlot(request, error)
      return true
    }
    guard let r = slots.take(request, volume: volume) else { return false }
    slots[r].arrivedAt = now
    volumes[volume.index].requests += 1
    begin(r)
    flushRun()
    return true
  }

  /// `submit` takes another request.
  public var hasRoom: Bool {
    slots.freeCount > 0 && answers.count < answers.capacity - slots.capacity
  }

  /// Reports that a command has ended; exactly once for each.
  public func complete(_ completion: IOCompletion) {
    forgetTakenExtents()
    let command = ioSlots.free(completion.token)
    let failed = completion.errno != 0
    if command.purpose.isWrite {
      barriers.writeCompleted(
        on: command.device, isJournal: command.purpose == .journalWrite)
    }
    switch command.purpose {
    case .partRead, .partWrite: partCommandEnded(command, completion)
    case .nodeLoad: nodeReadEnded(LoadIndex(raw: command.first), failed: failed)
    case .roundBarrier, .journalBarrier, .journalWrite: roundCommandEnded(command, failed: failed)
    case .stagingWrite, .superblockWrite, .checkpointBarrier:
      checkpointCommandEnded(command, failed: failed)
    case .reserve: break
    case .resizeRead, .resizeWrite: resizeCommandEnded(failed: failed)
    case .punch: punchEnded(command, failed: failed)
    }
    flushRun()
  }

  /// Does what has become possible, a bounded amount of it. `now` never goes back.
  public func turn(now: MonotonicTime) {
    precondition(self.now <= now)
    self.now = now
    forgetTakenExtents()
    wakeDelayed()
    expireParked()
    runReady()
    releaseFreedSpace()
    stepManagement()
    stepTrash()
    stepImagePin()
    stepReclaim()
    stepCheckpoint()
    stepDrops()
    stepOwed()
    stepSweep()
    stepPunches()
    stepUnshares()
    stepScans()
    startRoundIfDue()
    flushRun()
  }

  /// When `turn` is to be called at the latest, nil if only a submission or a completion can change
  /// anything. A time in the past: at once.
  public var nextDeadline: MonotonicTime? {
    if hasImmediateWork { return now }
    var deadline = parkDeadline
    if !delayed.isEmpty { deadline = min(deadline, delayedUntil) }
    if let oldest = oldestRecordTime, !isReadOnly, !round.isRunning {
      deadline = min(
        deadline, oldest.adding(milliseconds: configuration.journalDelayMilliseconds))
    }
    if let reclaimDeadline { deadline = min(deadline, reclaimDeadline) }
    if let imagePin { deadline = min(deadline, imagePin.deadline) }
    if let trashDeadline { deadline = min(deadline, trashDeadline) }
    if let owedDeadline { deadline = min(deadline, owedDeadline) }
    if let sweepDeadline { deadline = min(deadline, sweepDeadline) }
    if let punchDeadline { deadline = min(deadline, punchDeadline) }
    return deadline == .distantFuture ? nil : deadline
  }

  private var hasImmediateWork: Bool {
    if !ready.isEmpty { return true }
    if !resourceWaiters.isEmpty && hasResources { return true }
    return isRoundDue || isCountingForResize || canEmptyTrash || hasBackgroundWork || canScan
  }

  /// Nothing is in work and no command in flight.
  public var isIdle: Bool {
    slots.freeCount == slots.capacity && ioSlots.inUseCount == 0 && !checkpointing.isRunning
      && !round.isRunning && managementQueue.isEmpty
  }

  // MARK: Requests

  private func begin(_ r: RequestIndex) {
    switch slots[r].request.operation {
    case .read: beginRead(r)
    case .write: beginWrite(r)
    case .flush: joinRound(r)
    case .discard: beginDiscard(r)
    case .writeZeroes: beginWriteZeroes(r)
    case .blockStatus: beginBlockStatus(r)
    }
  }

  /// Why a request is refused before anything is done, or nil.
  private func refusal(of request: ExportRequest, _ volume: VolumeSlot) -> ExportError? {
    if isStopping { return .shuttingDown }
    if volumes[volume.index].isGoing { return .volumeGone }
    let changes: Bool
    switch request.operation {
    case .flush: return nil
    case .read, .blockStatus: changes = false
    case .write, .discard, .writeZeroes: changes = true
    }
    if changes && (isReadOnly || volumes[volume.index].isReadOnly) { return .readOnly }
    let size = pool.sizeBytes(of: volume)
    guard request.length > 0 else { return .invalidRequest }
    guard request.offset < size, request.length <= size - request.offset else {
      return .outOfRange
    }
    let alignment = UInt64(volumes[volume.index].logicalBlockBytes)
    guard (request.offset | request.length) & (alignment - 1) == 0 else { return .invalidRequest }
    switch request.operation {
    case .read, .write:
      guard request.length <= UInt64(ExportLimits.windowBytes) else { return .invalidRequest }
      guard let buffer = unsafe request.buffer else { return .invalidRequest }
      let misaligned = (UInt64(UInt(bitPattern: buffer)) ^ request.offset) & 4095
      precondition(misaligned == 0, "the buffer is not aligned like the offset")
    default: break
    }
    return nil
  }

  private func answerWithoutSlot(_ request: ExportRequest, _ error: ExportError) {
    counters.errors += 1
    answers.append(ExportAnswer(token: request.token, error: error))
  }

  private func noteOperation(_ r: RequestIndex, failed: Bool) {
    let volume = slots[r].volume
    operationCounters.count(
      slots[r].request.operation, of: volume, volumes[volume.index].id,
      bytes: slots[r].request.length, failed: failed,
      microseconds: (now.nanoseconds &- slots[r].arrivedAt.nanoseconds) / 1000)
  }

  /// Answers a request, keeps its outcome and frees its slot. What makes the answer legal has
  /// happened before.
  func answer(_ r: RequestIndex, _ error: ExportError?) {
    if error != nil { counters.errors += 1 }
    noteOperation(r, failed: error != nil)
    var answer = ExportAnswer(
      token: slots[r].request.token, error: error, readsAsZeros: slots[r].readsAsZeros)
    if slots[r].request.operation == .blockStatus { attachExtents(of: r, to: &answer) }
    if slots[r].isParked { parkedRequests -= 1 }
    leaveVolume(slots[r].volume)
    slots.giveBack(r)
    answers.append(answer)
  }

  /// All parts of a request have ended. Its records are in the tail, so it may be answered in the
  /// sense of a volatile cache; FUA waits for a round.
  func finishRequest(_ r: RequestIndex) {
    precondition(slots[r].openParts == 0)
    if let error = slots[r].error {
      answer(r, error)
    } else if slots[r].request.flags.contains(.forceUnitAccess) && changes(r) {
      joinRound(r)
    } else {
      answer(r, nil)
    }
  }

  private func changes(_ r: RequestIndex) -> Bool {
    switch slots[r].request.operation {
    case .write, .discard, .writeZeroes: true
    case .read, .flush, .blockStatus: false
    }
  }

  private func forgetTakenExtents() {
    if !blockStatusExtents.isEmpty && answers.isEmpty {
      blockStatusExtents.removeAll(keepingCapacity: true)
    }
  }

  // MARK: Volumes

  func isGoing(_ v: VolumeSlot) -> Bool { v.index < volumes.count && volumes[v.index].isGoing }

  /// Makes sure that the engine knows what it needs of a volume.
  func noteVolume(_ v: VolumeSlot, _ id: VolumeID) {
    while volumes.count <= v.index { volumes.append(VolumeActivity()) }
    guard volumes[v.index].id != id else { return }
    let record = pool.record(of: v)
    volumes[v.index] = VolumeActivity(
      id: id, logicalBlockBytes: record.logicalBlockBytes, isReadOnly: record.isReadOnly,
      isGoing: pool.isInTrash(v))
  }

  private func leaveVolume(_ v: VolumeSlot) {
    volumes[v.index].requests -= 1
  }
}
