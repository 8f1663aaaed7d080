public import DiskFormat
public import StorageUnits

/// A volume's place in memory while the pool is open: an index that stays valid until the volume
/// is deleted.
@frozen public struct VolumeSlot: Hashable, Sendable {
  public var index: Int
  @inlinable public init(index: Int) { self.index = index }
}

/// A node that is needed and not in memory. The engine reads its 4096 bytes and supplies them.
@frozen public struct NodeLoad: Hashable, Sendable {
  public var address: PoolAddress
  public var checksum: UInt32
  public var type: NodeType
  public var level: UInt8
  public var key: UInt64
  /// The volume family, 0 for the pool's own tables.
  public var owner: UInt64

  @inlinable public init(
    address: PoolAddress, checksum: UInt32, type: NodeType, level: UInt8, key: UInt64,
    owner: UInt64
  ) {
    self.address = address
    self.checksum = checksum
    self.type = type
    self.level = level
    self.key = key
    self.owner = owner
  }
}

/// What the map says of one virtual extent.
@frozen public enum MapLookup {
  case entry(MapEntry)
  /// Load this node, then ask again.
  case missing(NodeLoad)
}

/// The next virtual extent that names space.
@frozen public enum NextMapped {
  case extent(VirtualExtent, MapEntry)
  /// Nothing is mapped in the range.
  case nothing
  case missing(NodeLoad)
}

/// Who asks for space: host writes stop first.
@frozen public enum SpaceTier: UInt8, Sendable {
  case hostWrite = 0
  /// Discards, write-zeroes without NO_HOLE, snapshots, volume creation.
  case reclaim = 1
  /// Deletes, drops, recovery: always have theirs.
  case essential = 2
}

/// Why something cannot be granted now.
@frozen public enum SpaceShortage: UInt8, Sendable {
  /// No extent is free.
  case dataSpace
  /// No block is left for the nodes that the change would need.
  case nodeSpace
}

/// Whether a change may be applied now.
@frozen public enum Preparation {
  /// Apply it before anything else is asked of the pool.
  case ready
  case missing(NodeLoad)
  /// Not grantable; if `Pool.reclaimableByCheckpoint` is true a checkpoint may help.
  case noSpace(SpaceShortage)
  /// A bound on memory is reached: a checkpoint must complete first.
  case mustWaitForCheckpoint
}

/// The outcome of taking an extent for new data.
@frozen public enum TakenExtent {
  /// Taken: nobody else gets it. Ends with a change that names it, or with `giveBack`.
  case extent(PoolAddress)
  case missing(NodeLoad)
  case noSpace(SpaceShortage)
}

/// A change of one map entry, computed against the entry as it is when it is applied.
@frozen public enum EntryChange {
  /// Blocks were written in place into the layer at `extent` (upper or lower, writable).
  case wroteInPlace(extent: PoolAddress, mask: BlockMask)
  /// `written` went to the fresh `extent`, and `copied` blocks of older layers were merged into it.
  case wroteFresh(extent: PoolAddress, written: BlockMask, copied: BlockMask)
  /// The blocks read as zeros from now on. `keepsProvision`: write-zeroes with NO_HOLE.
  case cleared(mask: BlockMask, keepsProvision: Bool)
  /// The blocks read as zeros and space is held: in the layer that is there and writable, or in the
  /// fresh extent.
  case provisioned(mask: BlockMask, freshExtent: PoolAddress?)
  /// The upper layer, which is writable, is about to be written in place for the first time since a
  /// bookmark: its birth is raised. Durable before the data goes to its place.
  case raised
}

/// A record that was applied: what the tail must hold before the host gets its answer.
@safe @frozen public struct AppliedRecord {
  public var number: RecordNumber
  /// The encoded record, valid until the next call that applies or cuts.
  public var bytes: UnsafeRawBufferPointer

  @inlinable public init(number: RecordNumber, bytes: UnsafeRawBufferPointer) {
    self.number = number
    unsafe self.bytes = bytes
  }
}

/// What a checkpoint asks for next.
@frozen public enum CheckpointStep {
  /// `byteCount` bytes of the staging buffer go to this pool address (both places of its segment).
  case write(PoolAddress, byteCount: Int)
  /// `byteCount` bytes of the staging buffer go to these places in the system area.
  case writeSystem(DevicePlace, DevicePlace?, byteCount: Int)
  /// Supply this node, then ask again.
  case load(NodeLoad)
  /// Everything was handed out: when all writes have completed, barrier on every device, then the
  /// superblocks, then a barrier on every device, then `completeCheckpoint`.
  case seal
}

/// Why a management operation was refused; nothing was changed.
public enum PoolError: Error, Hashable, Sendable {
  case volumeExists(String)
  case noSuchVolume(String)
  /// Not 1 to 127 characters of `[A-Za-z0-9._-]`.
  case invalidName(String)
  /// Not a multiple of the logical block size, zero, or beyond 32 PiB.
  case invalidSize(UInt64)
  case noSpace(SpaceShortage)
  /// A bound on memory is reached: it can be done when a checkpoint has completed.
  case mustWaitForCheckpoint
  case readOnly
  /// A snapshot cannot be changed.
  case isSnapshot(String)
  case isNoSnapshot(String)
  /// The first is no snapshot of the second.
  case isNoSnapshotOf(String, String)
  /// Snapshots of so many volumes at once, at the most.
  case tooManyAtOnce(Int)
  /// The volume has snapshots, named here.
  case hasSnapshots(String, [String])
  /// Somebody else reads an image of the pool.
  case imageIsPinned
  /// A stream is being received into the volume, or upon the snapshot.
  case isBeingReceived(String)
  /// The first is no longer what the second, its snapshot, has.
  case hasChanged(String, since: String)
  /// The volume would lose what lies between the two sizes, in bytes: this one and the one it has.
  case wouldCutOff(String, new: UInt64, old: UInt64)
  /// Holds refuse the deletion of the volume or snapshot.
  case held(String, [HoldEntry])
  /// The volume or snapshot has a hold of this tag already, or has none.
  case holdExists(String, String)
  case noSuchHold(String, String)
  /// Not 1 to 63 characters of `[A-Za-z0-9._-]`.
  case invalidTag(String)
  /// More than `HoldEntry.maximumReasonBytes`, or a zero among them.
  case badReason
  /// The pool has so many holds, the most that it may.
  case tooManyHolds(Int)
  /// It is not in the trash, or is being deleted for good already.
  case notInTrash(String)
  /// The snapshot's volume, named here, is in the trash too.
  case volumeInTrash(String)
  /// The volume owes discards, and there is no space for the nodes that doing them takes.
  case owesDiscards(String)
  /// The pool has made 2³² - 2 branches.
  case shareEpochsUsedUp
  case bookmarkExists(String)
  case noSuchBookmark(String)
  /// So many bookmarks are the most that a pool has.
  case tooManyBookmarks(Int)
}

/// Bounds of the resident state, fixed when the pool is opened.
public struct PoolBounds: Hashable, Sendable {
  /// Memory for nodes, in bytes; at least twice `dirtyNodeBytes`.
  public var nodeCacheBytes: Int
  /// Dirty and frozen nodes since the last completed checkpoint, in bytes.
  public var dirtyNodeBytes: Int
  /// Pending count changes, in bytes.
  public var countDeltaBytes: Int

  public init(
    nodeCacheBytes: Int = 512 << 20, dirtyNodeBytes: Int = 128 << 20,
    countDeltaBytes: Int = 128 << 20
  ) {
    self.nodeCacheBytes = nodeCacheBytes
    self.dirtyNodeBytes = dirtyNodeBytes
    self.countDeltaBytes = countDeltaBytes
  }

  /// Room for the count changes of two leaf copies, at least: each may touch a segment for every
  /// layer of its entries.
  func raised(forSegments count: Int) -> PoolBounds {
    var bounds = self
    bounds.countDeltaBytes = max(
      countDeltaBytes, 4 * CountDeltas.segmentsOfALeafCopy(of: count) * CountDeltas.bytes)
    return bounds
  }
}
