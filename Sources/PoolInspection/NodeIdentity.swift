import DiskFormat
import StorageUnits

/// What a pointer and its place in a tree say of the node that it leads to.
struct NodeIdentity: Hashable {
  var type: NodeType
  var level: UInt8
  var key: UInt64
  var owner: UInt64
  var address: PoolAddress
  var checksum: UInt32

  /// Accepts a node that is this one and whose contents the format knows.
  func check(_ node: NodeImage, _ superblock: Superblock) throws(InspectionRefusal) {
    let header = try InspectionRefusal.checking { () throws(FormatError) in try node.open() }
    try Self.require(header.type == type, .header(.type))
    try Self.require(header.level == level, .header(.level))
    try Self.require(header.pool == superblock.poolUUID.high, .header(.pool))
    try Self.require(header.owner == owner, .header(.owner))
    try Self.require(header.key == key, .header(.key))
    try Self.require(header.address == address, .header(.address))
    try Self.require(
      header.checkpoint <= superblock.checkpointSequence, .header(.checkpoint))
    try Self.require(node.storedChecksum == checksum, .checksumNotAsNamed)
    try Self.require(header.birth <= superblock.shareEpoch, .birthInFuture(header.birth))
    try InspectionRefusal.checking { () throws(FormatError) in
      try node.validateContents(header)
    }
  }

  private static func require(
    _ condition: Bool, _ problem: InspectionProblem
  ) throws(InspectionRefusal) {
    guard condition else { throw InspectionRefusal(problem: problem) }
  }
}

/// A node that something names.
struct KnownNode {
  var identity: NodeIdentity
  /// How many distinct nodes and roots name it.
  var names: UInt32
  /// What lies below it; empty if it could not be read.
  var summary = SubtreeSummary()
  /// The volume that may change it in place.
  var writer: VolumeID?
  /// Children of it were dropped.
  var isPartlyDropped = false
}

/// What a map, or a part of one, holds.
struct SubtreeSummary: Hashable {
  var allocatedExtents: UInt64 = 0
  var mappedBlocks: UInt64 = 0
  /// The end of the last mapped block, in blocks of the volume.
  var endBlock: UInt64 = 0
  /// The end of the last virtual extent that names space.
  var endExtent: UInt64 = 0
  /// The youngest pointer or layer.
  var youngest = ShareEpoch.zero
  /// A node of it could not be read, so that there may be more.
  var isPartial = false

  mutating func add(_ other: SubtreeSummary) {
    allocatedExtents += other.allocatedExtents
    mappedBlocks += other.mappedBlocks
    endBlock = max(endBlock, other.endBlock)
    endExtent = max(endExtent, other.endExtent)
    youngest = max(youngest, other.youngest)
    isPartial = isPartial || other.isPartial
  }

  mutating func add(_ entry: MapEntry, at extent: VirtualExtent) {
    youngest = max(youngest, entry.upper.birth, entry.lower.birth)
    guard !entry.isNone else { return }
    allocatedExtents += UInt64(entry.extentCount)
    mappedBlocks += UInt64(entry.mask.count)
    endExtent = max(endExtent, extent.index + 1)
    let bits = entry.mask.bits
    if bits != 0 {
      endBlock = max(endBlock, extent.index * 16 + 16 - UInt64(bits.leadingZeroBitCount))
    }
  }
}
