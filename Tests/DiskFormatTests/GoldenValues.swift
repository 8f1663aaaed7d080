import DiskFormat
import StorageUnits

/// The values behind the golden images of format version 1. They never change: an image that a
/// later version writes gets values of its own.
enum Golden {
  static let pool: UInt64 = 0x6C61_6D69_6E61_4111
  static let poolUUID = StorageUUID(high: pool, low: 0x8000_0000_0000_0001)
  static let deviceUUID = StorageUUID(high: 0x6465_7669_6365_4222, low: 0x8000_0000_0000_0002)
  static let otherUUID = StorageUUID(high: 0x6465_7669_6365_4333, low: 0x8000_0000_0000_0003)

  static func place(_ device: UInt16, _ block: UInt64) -> DevicePlace {
    DevicePlace(device: DeviceIndex(index: device), block: block)
  }

  static func pointer(_ block: UInt64, _ checksum: UInt32, birth: UInt32) -> NodePointer {
    NodePointer(
      address: PoolAddress(block: block), checksum: checksum, birth: ShareEpoch(birth))
  }

  static let superblock = Superblock(
    features: FeatureMasks(mayIgnore: 0x10, clearBeforeWrite: 0x20), poolUUID: poolUUID,
    poolName: "pool-ö", deviceUUID: deviceUUID, device: DeviceIndex(index: 0), sequence: 41,
    checkpointSequence: 17, checkpointRecord: RecordNumber(123_456), logGeneration: 5,
    logNonce: 0x0102_0304_0506_0708, applyVersion: 1, shareEpoch: ShareEpoch(9), segmentShift: 14,
    segmentCount: 300, allocationRunExtents: 64, nextVolumeID: 12,
    bounds: WriterBounds(dirtyNodeBytes: 128 << 20, countDeltaBytes: 128 << 20),
    catalogue: TreeRoot(pointer: pointer(0x8021, 0xAABB_CCDD, birth: 3), level: 1),
    doomed: TreeRoot(pointer: pointer(0x8022, 0x1122_3344, birth: 1), level: 0),
    segmentTable: SystemTreeRoot(
      pointer: SystemPointer(
        place: place(0, 0x500), secondPlace: place(1, 0x600), checksum: 0xCAFE_F00D), level: 1),
    streams: [
      JournalStream(
        place: place(0, 0x100), secondPlace: place(1, 0x100), blockCount: 1024,
        firstSequence: 77, previousChecksum: 0x0BAD_CAFE)
    ],
    systemRanges: [
      SystemRange(firstBlock: 0x100, blockCount: 0x3F00),
      SystemRange(firstBlock: 0x8000, blockCount: 0x4000),
    ],
    members: [
      PoolMember(
        uuid: deviceUUID, index: DeviceIndex(index: 0), state: .active, sizeBytes: 20 << 30,
        superblockSequence: 41),
      PoolMember(
        uuid: otherUUID, index: DeviceIndex(index: 1), state: .expelled, sizeBytes: 10 << 30,
        superblockSequence: 40),
    ], fenceEpoch: 2, openedBy: Opening(host: "host.example", process: 4321, at: 1_700_000_000),
    isOpen: true)

  /// As records carry it.
  static let volume: VolumeRecord = {
    var volume = VolumeRecord(
      id: VolumeID(11), uuid: StorageUUID(high: 0x766F_6C75_6D65_4444, low: 0x8000_0000_0000_0004),
      name: "données", sizeBytes: 528 * 1024 + 512, logicalBlockBytes: 512,
      createdAt: 1_700_000_001, fullPolicy: .wait(seconds: 30))
    volume.family = 7
    volume.versionNode = 3
    volume.shareEpoch = ShareEpoch(8)
    volume.bookmarkEpoch = ShareEpoch(6)
    volume.guaranteeBytes = 1 << 20
    volume.limitBytes = 1 << 30
    volume.holds = 2
    return volume
  }()

  static let storedVolume: VolumeRecord = {
    var stored = volume
    stored.root = TreeRoot(pointer: pointer(0x8023, 0x5566_7788, birth: 9), level: 2)
    stored.allocatedExtents = 9
    stored.mappedBlocks = 100
    return stored
  }()

  static let readOnlyVolume: VolumeRecord = {
    var snapshot = VolumeRecord(
      id: VolumeID(12), uuid: StorageUUID(high: 0x766F_6C75_6D65_4555, low: 0x8000_0000_0000_0005),
      name: "snap", sizeBytes: 1 << 40, logicalBlockBytes: 4096, createdAt: 1_700_000_002,
      fullPolicy: .error)
    snapshot.isReadOnly = true
    return snapshot
  }()

  /// Made of volume 20 at share epoch 7.
  static let snapshot: VolumeRecord = {
    var snapshot = readOnlyVolume
    snapshot.origin = VolumeID(20)
    snapshot.versionNode = 7
    snapshot.shareEpoch = ShareEpoch(7)
    return snapshot
  }()

  /// Received from another pool.
  static let receivedSnapshot: VolumeRecord = {
    var received = snapshot
    received.lineage = StorageUUID(high: 0x6C69_6E65_6167_4555, low: 0x8000_0000_0000_0006)
    return received
  }()

  /// A stream is being received into it, upon a snapshot of it.
  static let receivingVolume: VolumeRecord = {
    var volume = storedVolume
    volume.isReceiving = true
    volume.lineage = StorageUUID(high: 0x6261_7365_2075_4555, low: 0x8000_0000_0000_0007)
    return volume
  }()

  /// By the slot that each is in.
  static let versionNodes: [(slot: Int, node: VersionNode)] = [
    (0, VersionNode(epoch: ShareEpoch(3), parent: .zero)),
    (1, VersionNode(epoch: ShareEpoch(7), parent: ShareEpoch(3))),
    (251, VersionNode(epoch: ShareEpoch(0x0102_0304), parent: ShareEpoch(7))),
  ]

  static let branchedDoomed: DoomedEntry = {
    var entry = doomed
    entry.versionNode = ShareEpoch(7)
    return entry
  }()

  /// Of snapshot 31 of volume 20. The second is as its record carries it.
  static let bookmark = Bookmark(
    id: RecordNumber(123_300), volume: VolumeID(20), snapshot: VolumeID(31),
    snapshotIdentity: StorageUUID(high: 0x736E_6170_7368_4555, low: 0x8000_0000_0000_0005),
    epoch: ShareEpoch(7), sizeBytes: 528 * 1024 + 512, createdAt: 1_700_000_003,
    snapshotCreatedAt: 1_700_000_002, name: "märz", snapshotName: "montag")
  static let bookmarkInRecord: Bookmark = {
    var bookmark = Golden.bookmark
    bookmark.id = RecordNumber(0)
    bookmark.name = "april"
    return bookmark
  }()
  static let bookmarkedSuperblock: Superblock = {
    var superblock = Golden.superblock
    superblock.versionTree = TreeRoot(pointer: pointer(0x8028, 0x1111_2222, birth: 9), level: 0)
    superblock.bookmarks = TreeRoot(pointer: pointer(0x8029, 0x3333_4444, birth: 9), level: 1)
    return superblock
  }()
  static let bookmarkRecords: [Record] = [
    .createBookmark(bookmarkInRecord), .deleteBookmark(RecordNumber(123_300)),
  ]
  /// Blocks were cleared below two layers.
  static let clearedEntry: MapEntry = {
    var entry = Golden.entry
    entry.lower.flags |= Layer.clearedFlag
    return entry
  }()

  static let plain = Layer(
    address: PoolAddress(block: 0xAB_CDEF_0120), mask: BlockMask(bits: 0x0F0F), flags: 1,
    birth: ShareEpoch(9))
  static let packed = Layer(
    address: PoolAddress(block: 0x12_3456_7893), mask: BlockMask(bits: 0xF0F0), flags: 2,
    birth: ShareEpoch(4))
  static let emptied = Layer(address: .none, mask: .none, birth: ShareEpoch(5))
  static let entry = MapEntry(upper: plain, lower: packed)

  static let segments: [SegmentEntry] = {
    var free = SegmentEntry(place: place(0, 0x4000))
    free.freeUnits = 1024
    var data = SegmentEntry(place: place(1, 0x8000))
    data.segmentClass = .data
    data.freeUnits = 1000
    data.countPage = PoolAddress(block: 0x8024)
    data.countChecksum = 0x99AA_BBCC
    var node = SegmentEntry(place: place(0, 0xC000))
    node.secondPlace = place(1, 0xC000)
    node.segmentClass = .node
    node.freeUnits = 16000
    node.countChecksum = 0xDDEE_FF00
    node.currentImage = 1
    var lent = SegmentEntry(place: nil)
    lent.segmentClass = .lent
    return [free, data, node, lent]
  }()

  static let doomed = DoomedEntry(
    id: RecordNumber(123_400), family: 7,
    root: TreeRoot(pointer: pointer(0x8025, 0x1357_9BDF, birth: 2), level: 3),
    cursorEnd: VirtualExtent(index: 168 * 252), cursorLevel: 1)

  static let records: [Record] = [
    .map(volume: VolumeID(11), extent: VirtualExtent(index: 42), entry: entry),
    .createVolume(volume), .alterVolume(volume), .deleteVolume(VolumeID(10)),
    .snapshot(source: VolumeID(11), snapshot: readOnlyVolume),
    .clone(source: VolumeID(12), clone: volume),
    .rollback(volume: VolumeID(11), snapshot: VolumeID(12)),
    .unshare(volume: VolumeID(11), branchPoint: ShareEpoch(8)),
    .segmentClass(SegmentIndex(index: 3), .data, partner: nil),
    .segmentClass(SegmentIndex(index: 4), .node, partner: SegmentIndex(index: 0)),
    .drop(DropStep(doomed: RecordNumber(123_400), level: 2, key: 9, decision: .release)),
    .drop(DropStep(doomed: RecordNumber(123_400), level: 0, key: 77, decision: .descend)),
  ]

  /// Records that came after the image of the journal block, each kind with an image of its own.
  static let laterRecords: [(name: String, records: [Record])] = [
    ("resize-record-v1", resizeRecords), ("hold-record-v1", holdRecords),
    ("settings-record-v1", settingsRecords), ("owed-record-v1", owedRecords),
  ]
  static var everyRecord: [Record] { records + laterRecords.flatMap(\.records) }

  static let trashed: VolumeRecord = {
    var trashed = storedVolume
    trashed.holds = 0
    trashed.isInTrash = true
    trashed.trashedAt = 1_700_000_003
    trashed.expiresAt = 0x0102_0304_0506_0708
    return trashed
  }()

  static let settingsRecords: [Record] = [
    .settings(PoolSettings(trashExpirySeconds: 0x0102_0304)), .alterVolume(trashedInRecord),
  ]

  static let trashedInRecord: VolumeRecord = {
    var record = volume
    record.holds = 0
    record.isInTrash = true
    record.trashedAt = 1_700_000_003
    return record
  }()

  /// With what later versions of the page added to the superblock.
  static let laterSuperblock: Superblock = {
    var later = superblock
    later.holds = TreeRoot(pointer: pointer(0x8029, 0x0F1E_2D3C, birth: 9), level: 1)
    later.settings.trashExpirySeconds = 604_800
    return later
  }()

  static let holds: [(slot: Int, entry: HoldEntry)] = [
    (
      0,
      HoldEntry(
        volume: VolumeID(11), tag: "backup", reason: "noch nicht übertragen",
        createdAt: 1_700_000_002)
    ),
    (
      14,
      HoldEntry(
        volume: VolumeID(0x0102_0304_0506_0708), tag: String(repeating: "t", count: 63),
        reason: String(repeating: "r", count: 159), createdAt: .max)
    ),
  ]

  /// With a list of owed discards.
  static let owingSuperblock: Superblock = {
    var owing = laterSuperblock
    owing.owed = TreeRoot(pointer: pointer(0x802A, 0x1F2E_3D4C, birth: 9), level: 1)
    return owing
  }()

  static let owed: [(slot: Int, range: OwedRange)] = [
    (0, OwedRange(volume: VolumeID(11), firstBlock: 0, blockCount: 1)),
    (
      167,
      OwedRange(
        volume: VolumeID(0x0102_0304_0506_0708), firstBlock: 0x0102_0304_0506,
        blockCount: (1 << 43) - 0x0102_0304_0506)
    ),
  ]

  static let owedRecords: [Record] = [
    .owed(OwedChange(.owe, owed[1].range)), .owed(OwedChange(.settle, owed[0].range)),
  ]

  static let holdRecords: [Record] = [
    .hold(HoldChange(.place, holds[0].entry)), .hold(HoldChange(.release, holds[1].entry)),
  ]

  static let resizeRecords: [Record] = [
    .resize(ResizeStep(volume: VolumeID(11), sizeBytes: 3 << 40)),
    .resize(
      ResizeStep(
        volume: VolumeID(11), sizeBytes: 0x0010_0000_0000_0200, cutExtents: 0x0102_0304_0506,
        cutBlocks: 0x0010_2030_4050_60)),
  ]

  static func nodeHeader(
    _ type: NodeType, level: UInt8 = 0, owner: UInt64 = 0, address: UInt64 = 0x8026
  ) -> NodeHeader {
    NodeHeader(
      type: type, level: level, pool: pool, owner: owner, key: 5,
      address: PoolAddress(block: address), checkpoint: 17, birth: ShareEpoch(9), entries: 4)
  }

  static func journalHeader(
    payloadBytes: Int, recordCount: Int = records.count
  ) -> JournalBlockHeader {
    JournalBlockHeader(
      stream: 0, pool: pool, logGeneration: 5, logNonce: 0x0102_0304_0506_0708, sequence: 77,
      superblockSequence: 41, checkpointSequence: 17, firstRecord: RecordNumber(123_457),
      recordCount: UInt16(recordCount), payloadBytes: UInt16(payloadBytes), durableThrough: 75,
      applyVersion: 1, previousChecksum: 0x0BAD_CAFE)
  }

  static let tailHeader = TailHeader(
    poolUUID: poolUUID, logGeneration: 5,
    bootID: StorageUUID(high: 0x626F_6F74_0000_4666, low: 0x8000_0000_0000_0006),
    capacityBytes: 1 << 20)
}
