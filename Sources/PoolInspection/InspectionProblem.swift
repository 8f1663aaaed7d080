public import DiskFormat
public import StorageUnits

/// What can be wrong.
public enum InspectionProblem: Hashable, Sendable {
  // Devices and superblocks.
  /// The device refused to read; positive errno.
  case unreadable(errno: Int32)
  /// The bytes are no valid structure.
  case invalid(FormatError)
  /// It lies on a device that was not given, and nowhere else.
  case onMissingDevice
  /// A superblock lies in the slot that its sequence does not belong to.
  case wrongSlot(sequence: UInt64)
  /// Neither copy of a slot can be used; the device's other slot serves.
  case slotLost
  /// A copy is bad, or differs from the other one; the other one serves.
  case copiesDiffer
  /// No superblock of any device can be used.
  case noSuperblock
  /// The device belongs to another pool.
  case foreignDevice
  /// Two devices say that they are the same member.
  case memberTwice(DeviceIndex)
  /// A member was not given.
  case memberMissing(DeviceIndex)
  /// A member was given that the pool has expelled.
  case memberExpelled(DeviceIndex)
  /// A member does not have the newest superblock: a crash came between the members.
  case memberBehind(DeviceIndex, sequence: UInt64, newest: UInt64)
  /// A member's newest superblock is so old that no crash explains it.
  case memberStale(DeviceIndex, sequence: UInt64, newest: UInt64)
  /// A member is recorded larger than its device is.
  case memberLargerThanDevice(DeviceIndex)
  /// A member is said to have a superblock that was never written.
  case memberAhead(DeviceIndex, sequence: UInt64)
  /// Superblocks of one sequence differ in what should be alike.
  case superblocksDisagree
  /// A replay is asked for that only a program of this apply version can do.
  case otherApplyVersion(UInt16)
  /// A start would have to hold more in memory than any writer that obeys its bounds leaves.
  case boundsUnusual
  /// A number that only counts up is so great that the next one might not exist.
  case counterUnusual(Counter)
  /// A field that version 1 keeps at zero has a value.
  case unusedField(UnusedField)

  // System area.
  /// A system range lies outside its device, or overlaps another one.
  case systemRangeWrong(SystemRange)
  /// A page or a journal of the system area lies outside it.
  case outsideSystemArea
  /// Two structures of the system area lie on each other.
  case systemOverlap(with: DevicePlace)
  case segmentTableMissing
  /// The table has lines behind the last segment.
  case segmentTableTooLong

  // Segments.
  case segmentOutsideDevice
  case segmentMisaligned
  case segmentInSystemArea
  case segmentsOverlap(with: SegmentIndex)
  case placesOnOneDevice
  /// Segment 0 holds address 0 and is a node segment always.
  case segmentZeroClass(SegmentClass)
  /// So many segments are lent, but so many second places are in use.
  case lentPlaces(lent: Int, used: Int)
  case freeUnits(stored: UInt32, recounted: UInt32)
  /// So many blocks a checkpoint may have to write, and so many could be had.
  case reserveLow(needed: UInt64, available: UInt64)
  /// The volumes are promised more than the pool can hold.
  case guaranteesTooLarge(bytes: UInt64)

  // Nodes.
  /// The checksum in a pointer is not that of the node.
  case checksumNotAsNamed
  /// A field of a node's header is not what its place in the tree asks for.
  case header(HeaderField)
  /// One node is named at two different places of trees.
  case nodeAtTwoPlaces
  /// A pointer or layer leads out of the pool, or to address zero.
  case addressOutsidePool(PoolAddress)
  /// A pointer leads to something other than a node, or a layer to something other than data.
  case wrongClass(PoolAddress, SegmentClass)
  /// A pointer leads into the count images of a segment.
  case inCountImage(PoolAddress)
  case birthInFuture(ShareEpoch)
  /// Below a shared pointer lies something that is younger than the volume's share epoch.
  case privateBelowShared(birth: ShareEpoch, shareEpoch: ShareEpoch)
  /// A volume may change it in place, but something else names it too.
  case writableButShared
  /// A plain extent is named for two different virtual extents or families.
  case extentAtTwoPlaces
  /// Packed layers of different virtual extents lie on the same blocks.
  case packedOverlap

  // Counts.
  case countTooLow(stored: UInt32, recounted: UInt32)
  case countTooHigh(stored: UInt32, recounted: UInt32)
  case countSticky(recounted: UInt32)
  /// What names space could not be read wholly, so that leaks cannot be told.
  case leaksNotJudged

  // Catalogue and doomed list.
  /// A record is not where its number belongs.
  case volumeInWrongSlot
  case volumeNotBelowNextID(next: UInt64)
  case volumeNameTwice(VolumeID)
  /// A name that no command accepts.
  case volumeNameUnusual
  case volumeUUIDTwice(VolumeID)
  case familyUnknown(UInt64)
  case shareEpochInFuture(ShareEpoch)
  /// A branch point of the version tree that something names is not there.
  case branchPointMissing(ShareEpoch)
  case branchPointTwice(ShareEpoch)
  case branchPointInFuture(ShareEpoch)
  /// The volume that a snapshot was made of is gone.
  case snapshotWithoutVolume(VolumeID)
  /// A stream was being received into it when the server ended: the next start undoes that.
  case receiveUnfinished
  /// What was received into it upon a snapshot cannot be taken back: that snapshot is gone.
  case receiveBaseMissing(StorageUUID)
  /// The newest bookmark on a volume's line is another one.
  case bookmarkEpoch(stored: ShareEpoch, found: ShareEpoch)
  case bookmarkTwice(String)
  /// It, its branch point or its snapshot was not made yet.
  case bookmarkInFuture(String)
  case bookmarkWithoutVolume(String)
  /// The snapshot that it names is another one than it says.
  case bookmarkOfOther(String)
  /// A volume says that it has another number of holds than the list.
  case holdCount(stored: UInt32, found: UInt32)
  /// Two holds of a volume have the same tag.
  case holdTwice(String)
  /// What is held is not there.
  case holdWithoutVolume(VolumeID)
  /// The list of holds has an empty slot before an entry.
  case holdListGap
  /// It is in the trash, although it is held.
  case trashedWhileHeld
  /// The owed range that begins at this block is not behind the one before, with a gap.
  case owedOrder(UInt64)
  /// Discards are owed on what is not there.
  case owedWithoutVolume(VolumeID)
  /// Discards are owed on a snapshot.
  case owedOnSnapshot
  /// A discard is owed beyond the volume's end; the range begins at this block.
  case owedBeyondEnd(UInt64)
  /// The list of owed discards has an empty slot before an entry.
  case owedListGap
  /// The map's root is too low for the volume's size.
  case rootTooLow(level: UInt8, needed: UInt8)
  /// Blocks are mapped, or space is held, beyond the volume's end.
  case mappedBeyondEnd
  case allocatedExtents(stored: UInt64, recounted: UInt64)
  case mappedBlocks(stored: UInt64, recounted: UInt64)
  /// The doomed list has an empty slot before an entry.
  case doomedListGap
  case doomedTwice
  /// Its record is younger than the checkpoint.
  case doomedInFuture
  /// The cursor says that the root itself was dropped.
  case doomedAlreadyDropped
  /// The cursor is the pair of no node of the tree.
  case doomedCursorWrong
  /// Something else names a node of which children were dropped already.
  case sharedWhileDropped

  // Journal.
  /// A block was written after a newer superblock than any that was found.
  case superblockOlderThanJournal(sequence: UInt64, named: UInt64)
  /// A block that later blocks vouch for is not valid.
  case journalHole(provenBy: UInt64)
  /// A good block of the log does not repeat the checksum of the one before.
  case journalChainBroken
  /// A block does not begin with the record that is next.
  case journalRecordGap(expected: UInt64, found: UInt64)
  /// Records of a good block cannot be read.
  case journalRecordsUnreadable(FormatError)
  /// A record does not fit the state that it is applied to; the field that does not.
  case recordRefused(String)
  /// A record gives space away that is in use for something else.
  case recordTakesUsedSpace(PoolExtent)

  public enum HeaderField: String, Hashable, Sendable {
    case type, level, pool, owner, key, address, checkpoint
  }

  public enum Counter: String, Hashable, Sendable {
    case superblock = "superblock sequence"
    case checkpoint = "checkpoint sequence"
    case record = "record number"
    case logGeneration = "log generation"
    case volume = "next volume number"
    case journalBlock = "journal sequence"
  }

  public enum UnusedField: String, Hashable, Sendable {
    case fenceEpoch = "fence epoch"
  }

  public var severity: InspectionFinding.Severity {
    switch self {
    case .wrongSlot, .copiesDiffer, .slotLost, .memberBehind, .freeUnits, .leaksNotJudged,
      .reserveLow, .receiveUnfinished:
      .notice
    case .countTooHigh, .countSticky, .allocatedExtents, .mappedBlocks, .lentPlaces, .doomedListGap,
      .volumeNameTwice, .volumeUUIDTwice, .volumeNameUnusual, .placesOnOneDevice, .unusedField,
      .guaranteesTooLarge, .memberAhead, .segmentTableTooLong, .holdListGap, .owedListGap,
      .trashedWhileHeld:
      .mismatch
    default: .damage
    }
  }
}
