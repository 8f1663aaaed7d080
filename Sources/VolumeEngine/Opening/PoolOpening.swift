public import BlockIO
public import DiskFormat
public import PoolCore
public import StorageUnits

/// Opens a pool: what a start does before it serves (design §4 rule 8).
///
/// 1. Flush every device: what is read from now on cannot be lost any more.
/// 2. The newest superblock of all copies on all devices, and who is a member.
/// 3. The resident tables, as the last durable checkpoint shows them.
/// 4. Replay of the journal, then of the tail, if that was written in this boot.
/// 5. The newest superblock on every member that a crash left without it.
/// 6. A checkpoint; only its superblock carries the new log generation. A new generation without a
///    checkpoint would lose everything since the last one if the start itself crashed.
///
/// Synchronous; the devices are locked by whoever opened them. A start that crashes anywhere can be
/// repeated.
public enum PoolOpening {
  /// Which pool is to be opened.
  public struct ExpectedPool: Hashable, Sendable {
    public var uuid: StorageUUID
    /// For messages.
    public var name: String

    public init(uuid: StorageUUID, name: String) {
      self.uuid = uuid
      self.name = name
    }
  }

  /// What a start is given: nothing here comes from a clock, the system or randomness of its own.
  public struct Settings: Sendable {
    /// Raised to what the last writer obeyed, where that was more.
    public var bounds: PoolBounds
    /// Memory for records between two rounds, in bytes; at most what a quarter of the ring takes.
    public var recordBytes: Int
    /// The most that nodes and count changes may take, in bytes.
    public var memoryLimitBytes: UInt64
    /// Fresh random bits: they tell this log generation from one that a crashed start began.
    public var logNonce: UInt64
    /// Who opens the pool.
    public var opening: Opening
    /// The machine's boot; nil where that cannot be told: then no tail counts.
    public var bootID: StorageUUID?
    /// Devices of another pool are refused before anything is written; nil: the first device says
    /// which pool it is.
    public var expectedPool: ExpectedPool?
    /// The pool gets this name; nil: it keeps its own.
    public var newName: String?

    public init(
      bounds: PoolBounds = PoolBounds(), recordBytes: Int = 2 << 20,
      memoryLimitBytes: UInt64 = 64 << 30, logNonce: UInt64, opening: Opening,
      bootID: StorageUUID?, expectedPool: ExpectedPool? = nil, newName: String? = nil
    ) {
      self.newName = newName
      self.bounds = bounds
      self.recordBytes = recordBytes
      self.memoryLimitBytes = memoryLimitBytes
      self.logNonce = logNonce
      self.opening = opening
      self.bootID = bootID
      self.expectedPool = expectedPool
    }
  }

  /// What a start found; for the log.
  public struct Report: Hashable, Sendable {
    /// The pool was stopped cleanly.
    public var wasClean: Bool
    public var journalRecords: UInt64
    public var tailRecords: UInt64
    /// Nil: no tail was handed in, or the boot is not known.
    public var tailStanding: TailReading.Standing?
    /// Copies of superblocks that were damaged or unreadable while others were good.
    public var damagedSuperblockCopies: Int
    /// Who had it open before.
    public var previousOpening: Opening
  }

  /// An open pool, ready to be served.
  public struct Opened {
    public let pool: Pool
    /// The journal of the new log generation, empty.
    public let journal: JournalRing
    /// The index of each device, in the order in which they were handed in.
    public let indices: [DeviceIndex]
    public let report: Report
  }

  /// Opens the pool on `devices`, in any order.
  ///
  /// - Parameters:
  ///   - tail: what an earlier process left in the tail's memory; it stays alive until this
  ///     returns. A new `TailRing` is made in it afterwards, before anything is answered.
  public static func open(
    _ devices: [any SynchronousDevice], settings: Settings, tail: UnsafeRawBufferPointer? = nil
  ) throws(PoolOpeningError) -> Opened {
    do throws(DeviceError) {
      for device in devices { try device.flush() }
    } catch { throw .device(error) }
    let membership = try PoolMembership(
      devices.map(PoolMembership.Found.init(reading:)), expecting: settings.expectedPool)
    let superblock = membership.newest
    if superblock.isOpen && superblock.applyVersion != ApplyVersion.current {
      throw .otherApplyVersion(superblock.applyVersion)
    }
    let set = DeviceSet(
      Dictionary(zip(membership.indices, devices), uniquingKeysWith: { first, _ in first }))
    let (chain, named) = try JournalReading(devices: set, superblock: superblock).chain()
    try membership.refuseOldMembers(durable: named)
    let pool = try readTables(membership, set, settings)
    try JournalReading(devices: set, superblock: superblock).forEachRun(of: chain) {
      (records) throws(PoolOpeningError) in
      try Replay(pool: pool, devices: set).apply(records)
    }
    var report = Report(
      wasClean: !superblock.isOpen,
      journalRecords: chain.lastRecord.number - superblock.checkpointRecord.number,
      tailRecords: 0, tailStanding: nil, damagedSuperblockCopies: membership.damagedCopies,
      previousOpening: superblock.openedBy)
    try unsafe replayTail(tail, pool, set, superblock, settings, &report)
    try completeSuperblocks(membership, set)
    try checkpoint(pool, set, superblock, settings)
    return Opened(
      pool: pool, journal: JournalRing(superblock: pool.superblock(for: membership.indices[0])),
      indices: membership.indices, report: report)
  }

  /// Gives every member the newest superblock before there is a newer one.
  ///
  ///     disk 0: n      crash: disk 1 torn,      start writes n + 1      crash here: disk 1 would
  ///     disk 1: n      still at n - 1           to disk 0               seem to be an old copy
  ///
  /// Writing n to a member at n - 1 leaves that one alone, whatever becomes of the write.
  private static func completeSuperblocks(
    _ membership: PoolMembership, _ devices: DeviceSet
  ) throws(PoolOpeningError) {
    do throws(DeviceError) {
      for index in membership.behind {
        guard let uuid = membership.deviceUUIDs[index] else { continue }
        var superblock = membership.newest
        superblock.device = index
        superblock.deviceUUID = uuid
        superblock.systemRanges = membership.systemRanges[index] ?? []
        try SuperblockSlots.write(superblock, to: devices.device(index))
        try devices.device(index).flush()
      }
    } catch { throw .device(error) }
  }

  private static func readTables(
    _ membership: PoolMembership, _ devices: DeviceSet, _ settings: Settings
  ) throws(PoolOpeningError) -> Pool {
    var superblock = membership.newest
    let bounds = try bounds(for: superblock, settings)
    let reading = TableReading(devices: devices, superblock: superblock)
    let segments = try reading.segments()
    let counts = try reading.nodeCounts(of: segments.entries)
    let catalogue = try reading.catalogue(segments.entries)
    let doomed = try reading.doomed(segments.entries)
    let versions = try reading.versions(segments.entries)
    try reading.checkVersions(versions.nodes, catalogue.volumes, doomed.entries)
    let bookmarks = try reading.bookmarks(segments.entries)
    try reading.checkBookmarks(bookmarks.list, versions.nodes, catalogue.volumes)
    let holds = try reading.holds(segments.entries)
    try reading.checkHolds(holds.entries, catalogue.volumes)
    let owed = try reading.owed(segments.entries)
    try reading.checkOwed(owed.ranges, catalogue.volumes)
    // What this program does not know of it will no longer be true once it writes.
    superblock.features.clearBeforeWrite = 0
    if let name = settings.newName { superblock.poolName = name }
    var image = PoolImage(
      superblock: superblock, segments: segments.entries, nodeCounts: counts,
      segmentPages: segments.pages, catalogue: catalogue.tree, volumes: catalogue.volumes,
      doomedTree: doomed.tree, doomed: doomed.entries, versionTree: versions.tree,
      versions: versions.nodes, bookmarkTree: bookmarks.tree, bookmarks: bookmarks.list,
      systemRanges: membership.systemRanges,
      deviceUUIDs: membership.deviceUUIDs)
    image.holdTree = holds.tree
    image.holds = holds.entries
    image.owedTree = owed.tree
    image.owed = owed.ranges
    return Pool(
      image, bounds: bounds,
      recordCapacity: JournalRing.batchBytes(
        blockCount: Int(superblock.streams[0].blockCount), limit: settings.recordBytes))
  }

  /// Replay must be able to hold everything that the writer could have changed.
  private static func bounds(
    for superblock: Superblock, _ settings: Settings
  ) throws(PoolOpeningError) -> PoolBounds {
    let dirty = max(superblock.bounds.dirtyNodeBytes, UInt64(settings.bounds.dirtyNodeBytes))
    let deltas = max(superblock.bounds.countDeltaBytes, UInt64(settings.bounds.countDeltaBytes))
    let limit = settings.memoryLimitBytes
    guard dirty <= limit / 2, deltas <= limit else {
      let needed = dirty.multipliedReportingOverflow(by: 2)
      throw .needsMoreMemory(
        bytes: needed.overflow ? .max : max(needed.partialValue, deltas), limit: limit)
    }
    let cache = max(2 * dirty, UInt64(settings.bounds.nodeCacheBytes))
    guard cache + deltas <= limit else {
      throw .needsMoreMemory(bytes: cache + deltas, limit: limit)
    }
    return PoolBounds(
      nodeCacheBytes: Int(cache), dirtyNodeBytes: Int(dirty), countDeltaBytes: Int(deltas))
  }

  private static func replayTail(
    _ tail: UnsafeRawBufferPointer?, _ pool: Pool, _ devices: DeviceSet, _ superblock: Superblock,
    _ settings: Settings, _ report: inout Report
  ) throws(PoolOpeningError) {
    guard let tail = unsafe tail, let bootID = settings.bootID else { return }
    let reading = unsafe TailReading(
      of: tail,
      expecting: TailReading.Expectation(
        pool: superblock.poolUUID, logGeneration: superblock.logGeneration, bootID: bootID,
        lastRecord: pool.lastRecord))
    report.tailStanding = reading.standing
    var records: [NumberedRecord] = []
    reading.forEachRecord { number, record in
      records.append(NumberedRecord(number: number, record: record))
    }
    report.tailRecords = UInt64(records.count)
    try Replay(pool: pool, devices: devices).apply(records)
  }

  private static func checkpoint(
    _ pool: Pool, _ devices: DeviceSet, _ superblock: Superblock, _ settings: Settings
  ) throws(PoolOpeningError) {
    do throws(CheckpointFailure) {
      try SynchronousCheckpoint(pool: pool, devices: devices).run(
        logGeneration: superblock.logGeneration + 1, logNonce: settings.logNonce,
        opening: settings.opening, isOpen: true)
    } catch {
      switch error {
      case .device(let problem): throw .device(problem)
      case .damage(let problem): throw .tableDamaged(problem)
      case .noSpace: throw .noSpace
      }
    }
  }
}
