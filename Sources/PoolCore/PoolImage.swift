public import DiskFormat
public import StorageUnits

/// The tables of a pool as its last durable checkpoint shows them, read from its devices (or made
/// for a new pool): what `Pool` starts from.
public struct PoolImage {
  /// The newest superblock; the fields about its own device are not used.
  public var superblock: Superblock
  /// One line for each segment, in order.
  public var segments: [SegmentEntry]
  /// The counts of each node segment's current image, one for each block of the segment.
  public var nodeCounts: [SegmentIndex: [UInt32]]
  /// `segmentPages[level][key]` names a page of the segment table; empty for a new pool.
  public var segmentPages: [[UInt64: SystemPointer]]
  public var catalogue: ResidentTree
  public var volumes: [VolumeRecord]
  public var doomedTree: ResidentTree
  public var doomed: [DoomedEntry]
  public var versionTree: ResidentTree
  public var versions: [VersionNode]
  public var bookmarkTree: ResidentTree
  public var bookmarks: [Bookmark]
  public var holdTree: ResidentTree = PoolImage.emptyHolds
  public var holds: [HoldEntry] = []
  public var owedTree: ResidentTree = PoolImage.emptyOwed
  /// Sorted by volume and block; no two of a volume overlap or touch.
  public var owed: [OwedRange] = []
  /// For each device with a system area, its ranges, in 4 KiB units.
  public var systemRanges: [DeviceIndex: [SystemRange]]
  /// The identifier of each device.
  public var deviceUUIDs: [DeviceIndex: StorageUUID]

  public init(
    superblock: Superblock, segments: [SegmentEntry], nodeCounts: [SegmentIndex: [UInt32]],
    segmentPages: [[UInt64: SystemPointer]], catalogue: ResidentTree, volumes: [VolumeRecord],
    doomedTree: ResidentTree, doomed: [DoomedEntry],
    versionTree: ResidentTree = PoolImage.emptyVersions, versions: [VersionNode] = [],
    bookmarkTree: ResidentTree = PoolImage.emptyBookmarks, bookmarks: [Bookmark] = [],
    systemRanges: [DeviceIndex: [SystemRange]], deviceUUIDs: [DeviceIndex: StorageUUID]
  ) {
    self.superblock = superblock
    self.segments = segments
    self.nodeCounts = nodeCounts
    self.segmentPages = segmentPages
    self.catalogue = catalogue
    self.volumes = volumes
    self.doomedTree = doomedTree
    self.doomed = doomed
    self.versionTree = versionTree
    self.versions = versions
    self.bookmarkTree = bookmarkTree
    self.bookmarks = bookmarks
    self.systemRanges = systemRanges
    self.deviceUUIDs = deviceUUIDs
  }

  /// An empty catalogue, doomed list, version tree and list of bookmarks.
  public static let emptyCatalogue = ResidentTree(
    type: .catalogue, leafCapacity: FormatConstants.volumesPerLeaf)
  public static let emptyDoomed = ResidentTree(
    type: .doomed, leafCapacity: FormatConstants.doomedPerLeaf)
  public static let emptyVersions = ResidentTree(
    type: .versionTree, leafCapacity: FormatConstants.versionNodesPerLeaf)
  public static let emptyBookmarks = ResidentTree(
    type: .bookmarks, leafCapacity: FormatConstants.bookmarksPerLeaf)
  public static let emptyHolds = ResidentTree(
    type: .holds, leafCapacity: FormatConstants.holdsPerLeaf)
  public static let emptyOwed = ResidentTree(
    type: .owed, leafCapacity: FormatConstants.owedPerLeaf)
}
