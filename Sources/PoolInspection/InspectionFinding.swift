public import DiskFormat
public import StorageUnits

/// Something that an inspection found to be other than the format says.
public struct InspectionFinding: Hashable, Sendable {
  /// How bad it is; ordered.
  public enum Severity: Int, Hashable, Sendable, Comparable {
    /// Nothing is lost and nothing needs to be done: a copy to be refreshed, a hint that is off.
    case notice
    /// Data reads right, but a table is wrong: space is leaked or a number is off.
    case mismatch
    /// Data or a table cannot be read, or will be overwritten while it is in use.
    case damage

    public static func < (a: Severity, b: Severity) -> Bool { a.rawValue < b.rawValue }
  }

  public var problem: InspectionProblem
  public var place: InspectionPlace
  /// The volumes through which it was reached first; empty for what belongs to the pool.
  public var volumes: [VolumeID]

  public init(_ problem: InspectionProblem, at place: InspectionPlace, volumes: [VolumeID] = []) {
    self.problem = problem
    self.place = place
    self.volumes = volumes
  }

  public var severity: Severity { problem.severity }
}

/// Where a finding was made.
public enum InspectionPlace: Hashable, Sendable {
  case pool
  /// A device, by its position in the list that was given.
  case device(position: Int)
  case superblock(position: Int, slot: Int, copy: Int)
  /// A page of the system area.
  case systemPage(DevicePlace)
  case segment(SegmentIndex)
  case node(PoolAddress)
  case extent(PoolExtent)
  case volume(VolumeID)
  /// An entry of the doomed list.
  case doomed(RecordNumber)
  case journalBlock(sequence: UInt64)
}

/// What can be wrong.
public enum InspectionProblem: Hashable, Sendable {
  // Devices and superblocks.
  /// The device refused to read; positive errno.
  case unreadable(errno: Int32)
  /// The bytes are no valid structure.
  case invalid(FormatError)
  /// A superblock lies in the slot that its sequence does not belong to.
  case wrongSlot(sequence: UInt64)
  /// Neither copy of a slot can be used; the device's other slot serves.
  case slotLost
  /// Two copies or places that should be alike are not.
  case copiesDiffer
  /// No superblock of any device can be used.
  case noSuperblock
  /// The device belongs to another pool.
  case foreignDevice
  /// Two devices say that they are the same member.
  case memberTwice(DeviceIndex)
  /// A member was not given.
  case memberMissing(DeviceIndex)
  /// A member does not have the newest superblock.
  case memberBehind(DeviceIndex, sequence: UInt64, newest: UInt64)
  /// A member is recorded larger than its device is.
  case memberLargerThanDevice(DeviceIndex)
  /// Superblocks of one sequence differ in what should be alike.
  case superblocksDisagree

  // Segments.
  case segmentTableMissing
  case segmentOutsideDevice
  case segmentMisaligned
  case segmentInSystemArea
  case segmentsOverlap(with: SegmentIndex)
  case placesOnOneDevice
  /// A page of the system area lies outside it.
  case outsideSystemArea
  /// So many segments are lent, but so many second places are in use.
  case lentPlaces(lent: Int, used: Int)
  case freeUnits(stored: UInt32, recounted: UInt32)

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

  // Counts.
  case countTooLow(stored: UInt32, recounted: UInt32)
  case countTooHigh(stored: UInt32, recounted: UInt32)
  case countSticky(recounted: UInt32)

  // Catalogue and doomed list.
  /// A record is not where its number belongs.
  case volumeInWrongSlot
  case volumeNotBelowNextID(next: UInt64)
  case volumeNameTwice(VolumeID)
  case volumeUUIDTwice(VolumeID)
  case shareEpochInFuture(ShareEpoch)
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
  /// Something else names a node of which children were dropped already.
  case sharedWhileDropped

  // Journal.
  /// A block was written after a newer superblock than any that was found.
  case superblockOlderThanJournal(sequence: UInt64, named: UInt64)
  /// A block that later blocks vouch for is not valid.
  case journalHole(provenBy: UInt64)

  public enum HeaderField: String, Hashable, Sendable {
    case type, level, pool, owner, key, address, checkpoint
  }

  public var severity: InspectionFinding.Severity {
    switch self {
    case .wrongSlot, .copiesDiffer, .slotLost, .memberBehind, .freeUnits: .notice
    case .countTooHigh, .countSticky, .allocatedExtents, .mappedBlocks, .lentPlaces, .doomedListGap,
      .volumeNameTwice, .volumeUUIDTwice, .memberLargerThanDevice, .placesOnOneDevice:
      .mismatch
    default: .damage
    }
  }
}
