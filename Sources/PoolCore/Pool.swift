public import DiskFormat
public import StorageUnits

/// The state of a pool: maps, counts, segments, catalogue, doomed trees, and what of them is dirty.
///
/// Synchronous and alone: no I/O, no clock, no randomness. State changes by records only:
/// `prepare…` says whether everything that a change needs is in memory and granted, and the
/// `apply…` that follows at once cannot fail. One thread.
public final class Pool {
  public let uuid: StorageUUID
  public let name: String
  public let bounds: PoolBounds
  /// Where the journal ring lies; its sequence fields are those of the last opening.
  public let stream: JournalStream
  /// Extents taken ahead of a stream.
  public let allocationRunExtents: Int
  public internal(set) var shareEpoch: ShareEpoch
  public internal(set) var checkpointSequence: UInt64
  public internal(set) var superblockSequence: UInt64
  /// Applied records that are in no batch yet.
  public let records: RecordBuffer
  /// The newest applied record.
  public internal(set) var lastRecord: RecordNumber

  let cache: NodeCache
  let segments: SegmentTable
  let nodeSpace: NodeSpace
  let dataSpace: DataSpace
  let volumes: VolumeTable
  var doomed: [DoomedEntry]
  var isDoomedDirty = false
  var systemSpace: SystemSpace
  var segmentPages: [[UInt64: SystemPointer]]
  var catalogue: ResidentTree
  var doomedTree: ResidentTree
  var versions: VersionTree
  var versionTree: ResidentTree
  /// In the order in which they were made.
  public internal(set) var bookmarks: [Bookmark]
  var areBookmarksDirty = false
  var bookmarkTree: ResidentTree
  public internal(set) var trashExpirySeconds: UInt32
  var holds: [HoldEntry]
  var areHoldsDirty = false
  var holdTree: ResidentTree
  var owed: OwedSet
  var isOwedDirty = false
  var owedTree: ResidentTree
  /// What no longer lives once a durable checkpoint shows it.
  var endings: [VersionEnding] = []
  /// Volumes whose share epoch may fall.
  var unshares: [VolumeID] = []
  /// After a start every volume is looked at once.
  var mustLookForUnshares = true
  var superblock: Superblock
  let systemRanges: [DeviceIndex: [SystemRange]]
  let deviceUUIDs: [DeviceIndex: StorageUUID]

  /// The checkpoint interval: raised by every cut.
  var generation: UInt64 = 1
  var checkpoint: CheckpointProgress?
  /// Freed space that waits for the end of its quarantine.
  var quarantine: [UInt64: (nodes: [UInt64], extents: [FreedExtents])] = [:]
  var nextFreedSpace: UInt64 = 1
  /// A durable image that somebody reads from the devices: `Pool+ImagePin.swift`.
  var keptImage: KeptImage?
  /// The segment that small allocations fill, and the ones that runs are taken from.
  var smallSegment: Int?
  var streamSegments: [DeviceIndex: Int] = [:]
  var deviceCredits: [DeviceIndex: Int] = [:]
  /// Nodes that one checkpoint may write of the catalogue and the doomed list.
  var ownTreeNodes = 0
  /// Extents that were taken and are neither named nor given back.
  var heldExtents = 0
  /// Between the first replayed record and the checkpoint that ends the start.
  var isReplaying = false

  /// A pool as its last checkpoint left it. `recordCapacity` is the memory for records between two
  /// rounds, in bytes.
  public init(_ image: PoolImage, bounds: PoolBounds, recordCapacity: Int = 4 << 20) {
    let superblock = image.superblock
    precondition(image.segments.count == Int(superblock.segmentCount))
    precondition(!superblock.streams.isEmpty)
    uuid = superblock.poolUUID
    name = superblock.poolName
    self.bounds = bounds.raised(forSegments: image.segments.count)
    stream = superblock.streams[0]
    allocationRunExtents = Int(superblock.allocationRunExtents)
    shareEpoch = superblock.shareEpoch
    checkpointSequence = superblock.checkpointSequence
    superblockSequence = superblock.sequence
    lastRecord = superblock.checkpointRecord
    records = RecordBuffer(
      capacity: recordCapacity, nextNumber: superblock.checkpointRecord.next)
    cache = NodeCache(capacityBytes: bounds.nodeCacheBytes)
    segments = SegmentTable(shift: superblock.segmentShift, entries: image.segments)
    if image.segmentPages.isEmpty { segments.needsEveryPage() }
    nodeSpace = NodeSpace(table: segments)
    for (index, counts) in image.nodeCounts.sorted(by: { $0.key < $1.key }) {
      nodeSpace.add(index.index, counts: counts)
    }
    dataSpace = DataSpace(table: segments)
    volumes = VolumeTable(nextID: superblock.nextVolumeID)
    for record in image.volumes { volumes.add(record) }
    doomed = image.doomed
    segmentPages = image.segmentPages
    systemSpace = SystemSpace(
      stream: superblock.streams[0], ranges: image.systemRanges,
      used: image.segmentPages.flatMap { Array($0.values) })
    catalogue = image.catalogue
    doomedTree = image.doomedTree
    versionTree = image.versionTree
    bookmarkTree = image.bookmarkTree
    bookmarks = image.bookmarks
    trashExpirySeconds = superblock.settings.trashExpirySeconds
    holds = image.holds
    holdTree = image.holdTree
    owed = OwedSet(image.owed)
    owedTree = image.owedTree
    versions = VersionTree(image.versions)
    for bookmark in image.bookmarks { versions.bookmark(bookmark.epoch, 1) }
    for record in image.volumes { versions.attach(ShareEpoch(UInt32(record.versionNode))) }
    for entry in image.doomed { versions.attach(entry.versionNode) }
    versions.tidy()
    self.superblock = superblock
    systemRanges = image.systemRanges
    deviceUUIDs = image.deviceUUIDs
    updateTableReserve()
  }

  /// The first half of the pool's UUID, as structures carry it.
  var poolID: UInt64 { uuid.high }
  public var segmentShift: UInt8 { segments.shift }
  /// The devices whose answers count.
  public var devices: [DeviceIndex] {
    superblock.members.filter { $0.state == .active }.map(\.index)
  }
  public var members: [PoolMember] { superblock.members }

  // MARK: Volumes

  public func volume(_ id: VolumeID) -> VolumeSlot? {
    volumes.slot(id).map { VolumeSlot(index: $0) }
  }
  public func volume(named name: String) -> VolumeSlot? {
    volumes.slot(named: name).map { VolumeSlot(index: $0) }
  }
  /// The volume's record with its statistics as of now.
  public func record(of slot: VolumeSlot) -> VolumeRecord { volumes.record(slot.index) }
  /// The name as people and hosts spell it: a snapshot is VOLUME@SNAPSHOT.
  public func shownName(of slot: VolumeSlot) -> String { volumes.shownName(slot.index) }
  public func shareEpoch(of slot: VolumeSlot) -> ShareEpoch {
    volumes.states[slot.index].shareEpoch
  }
  public func sizeBytes(of slot: VolumeSlot) -> UInt64 { volumes.states[slot.index].sizeBytes }
  /// All volumes, sorted by name.
  public var volumeSlots: [VolumeSlot] { volumes.slotsByName.map { VolumeSlot(index: $0) } }
  public var volumeCount: Int { volumes.count }

  // MARK: Places

  /// Where an address lies. Data has one place; nodes have one or two.
  public func places(of address: PoolAddress) -> (first: DevicePlace, second: DevicePlace?) {
    (segments.place(of: address), segments.secondPlace(of: address))
  }

  /// The first place of an address: for data, the only one.
  public func place(of address: PoolAddress) -> DevicePlace { segments.place(of: address) }

  // MARK: Loading

  /// Supplies a node that was asked for: copies its 4096 bytes (8-byte aligned) after verifying
  /// checksum, own address, pool, type, level, key and owner. A node that is in memory by now is
  /// left as it is.
  public func supply(_ load: NodeLoad, from bytes: UnsafeRawPointer) throws(FormatError) {
    if cache.find(load.address) >= 0 { return }
    // The view is only read from.
    let node = unsafe NodeImage(viewing: UnsafeMutableRawPointer(mutating: bytes))
    let header = try node.open()
    guard node.storedChecksum == load.checksum else { throw .badChecksum(.node) }
    guard header.type == load.type else { throw .badField(.node, "type") }
    guard header.pool == poolID else { throw .badField(.node, "pool") }
    guard header.address == load.address else { throw .badField(.node, "address") }
    guard header.level == load.level else { throw .badField(.node, "level") }
    guard header.key == load.key else { throw .badField(.node, "key") }
    guard header.owner == load.owner else { throw .badField(.node, "owner") }
    try node.validateContents(header)
    cache.add(load, birth: header.birth, from: node)
  }
}
