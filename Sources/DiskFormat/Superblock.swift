public import StorageUnits

/// The root that says which image of the tables and which log are current. Every device has its
/// own, alike but for the fields about the device itself.
public struct Superblock: Hashable, Sendable {
  public var features: FeatureMasks
  public var poolUUID: StorageUUID
  /// 1 to 127 bytes of UTF-8.
  public var poolName: String
  public var deviceUUID: StorageUUID
  public var device: DeviceIndex
  /// Raised by every superblock write; alone decides which superblock is newest and which slot.
  public var sequence: UInt64
  public var checkpointSequence: UInt64
  /// S: the image holds exactly the records up to this one.
  public var checkpointRecord: RecordNumber
  public var logGeneration: UInt64
  public var logNonce: UInt64
  public var applyVersion: UInt16
  public var shareEpoch: ShareEpoch
  /// Extents in a segment: 2^(shift - 4); the shift counts 4 KiB blocks.
  public var segmentShift: UInt8
  public var segmentCount: UInt32
  /// Extents taken ahead of a stream.
  public var allocationRunExtents: UInt16
  public var nextVolumeID: UInt64
  public var bounds: WriterBounds
  public var catalogue: TreeRoot
  public var doomed: TreeRoot
  public var versionTree: TreeRoot
  public var bookmarks: TreeRoot
  /// The list of holds.
  public var holds: TreeRoot = .none
  /// The list of owed discards.
  public var owed: TreeRoot = .none
  public var settings = PoolSettings()
  public var segmentTable: SystemTreeRoot
  public var streams: [JournalStream]
  /// Where this device's system area lies, at most 8.
  public var systemRanges: [SystemRange]
  /// All devices of the pool, this one included, at most 60.
  public var members: [PoolMember]
  public var fenceEpoch: UInt64
  public var openedBy: Opening
  /// Set while the pool is open for writing; clear after a clean stop.
  public var isOpen: Bool

  public init(
    features: FeatureMasks, poolUUID: StorageUUID, poolName: String, deviceUUID: StorageUUID,
    device: DeviceIndex, sequence: UInt64, checkpointSequence: UInt64,
    checkpointRecord: RecordNumber, logGeneration: UInt64, logNonce: UInt64, applyVersion: UInt16,
    shareEpoch: ShareEpoch, segmentShift: UInt8, segmentCount: UInt32,
    allocationRunExtents: UInt16, nextVolumeID: UInt64, bounds: WriterBounds, catalogue: TreeRoot,
    doomed: TreeRoot, versionTree: TreeRoot = .none, bookmarks: TreeRoot = .none,
    segmentTable: SystemTreeRoot, streams: [JournalStream], systemRanges: [SystemRange],
    members: [PoolMember], fenceEpoch: UInt64, openedBy: Opening,
    isOpen: Bool
  ) {
    self.features = features
    self.poolUUID = poolUUID
    self.poolName = poolName
    self.deviceUUID = deviceUUID
    self.device = device
    self.sequence = sequence
    self.checkpointSequence = checkpointSequence
    self.checkpointRecord = checkpointRecord
    self.logGeneration = logGeneration
    self.logNonce = logNonce
    self.applyVersion = applyVersion
    self.shareEpoch = shareEpoch
    self.segmentShift = segmentShift
    self.segmentCount = segmentCount
    self.allocationRunExtents = allocationRunExtents
    self.nextVolumeID = nextVolumeID
    self.bounds = bounds
    self.catalogue = catalogue
    self.doomed = doomed
    self.versionTree = versionTree
    self.bookmarks = bookmarks
    self.segmentTable = segmentTable
    self.streams = streams
    self.systemRanges = systemRanges
    self.members = members
    self.fenceEpoch = fenceEpoch
    self.openedBy = openedBy
    self.isOpen = isOpen
  }
}

/// Feature bits. Version 1 knows none: any bit in `mustRefuse` is refused.
public struct FeatureMasks: Hashable, Sendable {
  public var mustRefuse: UInt64
  public var mayIgnore: UInt64
  public var clearBeforeWrite: UInt64

  public init(mustRefuse: UInt64 = 0, mayIgnore: UInt64 = 0, clearBeforeWrite: UInt64 = 0) {
    self.mustRefuse = mustRefuse
    self.mayIgnore = mayIgnore
    self.clearBeforeWrite = clearBeforeWrite
  }
}

/// The bounds that the writer obeyed, which replay must be able to hold in memory.
public struct WriterBounds: Hashable, Sendable {
  /// In bytes, since the last completed checkpoint.
  public var dirtyNodeBytes: UInt64
  public var countDeltaBytes: UInt64

  public init(dirtyNodeBytes: UInt64, countDeltaBytes: UInt64) {
    self.dirtyNodeBytes = dirtyNodeBytes
    self.countDeltaBytes = countDeltaBytes
  }
}

/// Names a page in the system area: one or two places and its checksum.
public struct SystemPointer: Hashable, Sendable {
  public var place: DevicePlace
  public var secondPlace: DevicePlace?
  public var checksum: UInt32

  public init(place: DevicePlace, secondPlace: DevicePlace?, checksum: UInt32) {
    self.place = place
    self.secondPlace = secondPlace
    self.checksum = checksum
  }
}

/// The root of the segment table. Level 0: the root page holds segment entries.
public struct SystemTreeRoot: Hashable, Sendable {
  public var pointer: SystemPointer?
  public var level: UInt8

  public init(pointer: SystemPointer?, level: UInt8) {
    self.pointer = pointer
    self.level = level
  }
}

/// Where one journal lies: a ring of blocks in one or two places.
public struct JournalStream: Hashable, Sendable {
  public var place: DevicePlace
  public var secondPlace: DevicePlace?
  /// The ring's length in blocks.
  public var blockCount: UInt32
  /// The sequence of the first block that replay needs: it holds record S + 1, or is the next to
  /// be written. At most this block's predecessor is older than S.
  public var firstSequence: UInt64
  /// The checksum of the block before `firstSequence`, 0 for the first of a log generation.
  public var previousChecksum: UInt32

  public init(
    place: DevicePlace, secondPlace: DevicePlace?, blockCount: UInt32, firstSequence: UInt64,
    previousChecksum: UInt32
  ) {
    self.place = place
    self.secondPlace = secondPlace
    self.blockCount = blockCount
    self.firstSequence = firstSequence
    self.previousChecksum = previousChecksum
  }
}

/// A part of a device that belongs to the system area, in 4 KiB units.
public struct SystemRange: Hashable, Sendable {
  public var firstBlock: UInt64
  public var blockCount: UInt64

  public init(firstBlock: UInt64, blockCount: UInt64) {
    self.firstBlock = firstBlock
    self.blockCount = blockCount
  }
}

/// A device as the pool knows it, 48 bytes.
public struct PoolMember: Hashable, Sendable {
  public enum State: UInt8, Sendable {
    case active = 1
    /// Its answers no longer count; it may never serve old truth.
    case expelled = 2
  }
  public var uuid: StorageUUID
  public var index: DeviceIndex
  public var state: State
  public var sizeBytes: UInt64
  /// The newest superblock that is known to be on it.
  public var superblockSequence: UInt64

  public init(
    uuid: StorageUUID, index: DeviceIndex, state: State, sizeBytes: UInt64,
    superblockSequence: UInt64
  ) {
    self.uuid = uuid
    self.index = index
    self.state = state
    self.sizeBytes = sizeBytes
    self.superblockSequence = superblockSequence
  }
}

/// Who opened the pool last.
public struct Opening: Hashable, Sendable {
  /// Up to 64 bytes of UTF-8; longer names are cut at a character.
  public var host: String
  public var process: UInt32
  /// Seconds since 1970.
  public var at: UInt64

  public init(host: String, process: UInt32, at: UInt64) {
    self.host = host
    self.process = process
    self.at = at
  }
}
