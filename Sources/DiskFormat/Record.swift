public import StorageUnits

/// One change of state, as the journal and the tail carry it. Its number is implied by its place.
///
/// No record names a node by address, and none frees space: both follow from applying it.
public enum Record: Hashable, Sendable {
  /// The whole new entry of a virtual extent.
  case map(volume: VolumeID, extent: VirtualExtent, entry: MapEntry)
  /// A new volume; its root is empty.
  case createVolume(VolumeRecord)
  /// New attributes of a volume; the root and the statistics in it are ignored.
  case alterVolume(VolumeRecord)
  /// Takes the volume out of the catalogue and dooms its map, named by this record's number.
  case deleteVolume(VolumeID)
  /// `snapshot` shares the root of `source` as a new read-only volume.
  case snapshot(source: VolumeID, snapshot: VolumeRecord)
  /// `clone` shares the root of snapshot `source` as a new writable volume.
  case clone(source: VolumeID, clone: VolumeRecord)
  /// `volume` takes the root of `snapshot`; its own map is doomed.
  case rollback(volume: VolumeID, snapshot: VolumeID)
  /// The volume's share epoch falls to that of `branchPoint`, 0 for none.
  case unshare(volume: VolumeID, branchPoint: ShareEpoch)
  /// A segment changes its class; a data or node segment starts with all counts zero. A node
  /// segment may take the place of `partner`, a free segment on another device, as its second one:
  /// the partner becomes `lent`.
  case segmentClass(SegmentIndex, SegmentClass, partner: SegmentIndex?)
  /// One step in dropping a doomed tree: see `DropStep`.
  case drop(DropStep)
  /// A new bookmark; its id is this record's number.
  case createBookmark(Bookmark)
  /// The bookmark with this id is gone.
  case deleteBookmark(RecordNumber)
  /// A volume gets another size: see `ResizeStep`.
  case resize(ResizeStep)
  /// A hold is placed or released.
  case hold(HoldChange)
  /// Discards are owed from now on, or no longer.
  case owed(OwedChange)
  /// The pool's settings, all of them.
  case settings(PoolSettings)
}

/// What an administrator may set of a pool.
@frozen public struct PoolSettings: Hashable, Sendable {
  /// How long what is deleted stays in the trash; 0: it does not go there.
  public var trashExpirySeconds: UInt32

  public init(trashExpirySeconds: UInt32 = 0) { self.trashExpirySeconds = trashExpirySeconds }
}

/// A volume's new size, and what a smaller one cuts off: the part of its map beyond the end becomes
/// a doomed tree, named by this record's number.
@frozen public struct ResizeStep: Hashable, Sendable {
  public var volume: VolumeID
  /// In bytes, above zero.
  public var sizeBytes: UInt64
  /// Extents that entries wholly beyond the new end name, one for each entry and layer that does;
  /// 0 when the volume grows.
  public var cutExtents: UInt64
  /// Blocks whose bit is set in those entries.
  public var cutBlocks: UInt64

  public init(
    volume: VolumeID, sizeBytes: UInt64, cutExtents: UInt64 = 0, cutBlocks: UInt64 = 0
  ) {
    self.volume = volume
    self.sizeBytes = sizeBytes
    self.cutExtents = cutExtents
    self.cutBlocks = cutBlocks
  }
}

/// One name taken from one node of a doomed tree, and the decision made then.
@frozen public struct DropStep: Hashable, Sendable {
  @frozen public enum Decision: UInt8, Sendable {
    /// Something else names the node: it loses one name, its children are not visited.
    case release = 1
    /// Nothing else names it. For a leaf: its extents lose one each, then the leaf its name. For
    /// an inner node: its children have been visited; it loses its name.
    case descend = 2
  }
  /// The doomed entry's id.
  public var doomed: RecordNumber
  public var level: UInt8
  /// The node's index at its level.
  public var key: UInt64
  public var decision: Decision

  public init(doomed: RecordNumber, level: UInt8, key: UInt64, decision: Decision) {
    self.doomed = doomed
    self.level = level
    self.key = key
    self.decision = decision
  }
}

/// The type numbers of records. Those not in `Record` are reserved and refused by apply version.
@frozen public enum RecordType: UInt8, Sendable {
  case map = 1
  case createVolume = 2
  case alterVolume = 3
  case deleteVolume = 4
  case snapshot = 5
  case clone = 6
  case rollback = 7
  case unshare = 8
  case segmentClass = 9
  case drop = 10
  case resize = 11
  case bookmark = 32
  case trash = 33
  case hold = 34
  case owed = 35
  case device = 36
  case move = 37
  case regionOpen = 38
  case checkpointMark = 39
  case settings = 40
}

/// Sizes and flags of encoded records.
public enum RecordFormat {
  /// Type 1, flags 1, length 2 (of the payload, in bytes).
  public static let headerBytes = 4
  /// A `map` record, header included.
  public static let mapBytes = 44
  /// The longest record, header included.
  public static let maximumBytes = 480
  /// Flag bit 0: the next record belongs to the same group; a group is applied wholly or not at
  /// all.
  public static let moreFlag: UInt8 = 1
}
