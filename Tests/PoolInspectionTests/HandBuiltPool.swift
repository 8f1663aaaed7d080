import DiskFormat
import DiskSimulation
import StorageUnits

/// A tiny pool, put together by hand: two devices, segments of 4 extents, a volume with a snapshot,
/// an empty volume, and a doomed tree of which the first leaf was dropped.
///
/// Segment 0: nodes, doubled in the place of segment 24. Segments 1 and 25: data. Nodes by block:
///
///      2 catalogue   3 doomed list   4, 5 count pages of segments 1 and 25
///      6 root of volume 1 ──┬── 7 leaf 0 ──── extents 4, 5 (packed, twice)
///      9 root of volume 2 ──┘
///      6 ── 8 leaf 1 ── extents 6, 100       9 ── 10 leaf 1 ── extent 100
///     11 doomed root ── 12 leaf 0 (dropped), 13 leaf 1 ── extent 101
struct HandBuiltPool {
  enum Contents {
    case leaf([Int: MapEntry])
    /// Child index: block of the child, birth.
    case inner([Int: (block: UInt64, birth: UInt32)])
    case catalogue([VolumeRecord])
    case doomed([Int: DoomedEntry])
    case counts([Int: UInt32])
    case notWritten
  }
  struct Node {
    var type: NodeType
    var level: UInt8 = 0
    var key: UInt64 = 0
    var owner: UInt64 = 0
    var birth: UInt32 = 1
    var checkpoint: UInt64 = 9
    var contents: Contents
  }

  static let shift: UInt8 = 6
  static let poolUUID = StorageUUID(high: 0xABCD, low: 1)
  static let family: UInt64 = 1
  static let leafLayers = (
    plain: Layer(address: extent(4), mask: .all, birth: ShareEpoch(1)),
    packed: Layer(address: extent(5), mask: BlockMask(bits: 0x7), flags: 2, birth: ShareEpoch(1)),
    packedToo: Layer(
      address: extent(5).advanced(byBlocks: 3), mask: BlockMask(bits: 0x90), flags: 2,
      birth: ShareEpoch(1))
  )

  static func extent(_ index: UInt64) -> PoolAddress { PoolExtent(index: index).address }

  var nodes: [UInt64: Node] = [:]
  /// Counts of the node segment, by block.
  var nodeCounts: [Int: UInt32] = [
    2: 1, 3: 1, 4: 1, 5: 1, 6: 1, 7: 2, 8: 1, 9: 1, 10: 1, 11: 1, 13: 1,
  ]
  var segments: [SegmentEntry] = []
  var volumes: [VolumeRecord] = []
  var doomed: [Int: DoomedEntry] = [:]
  var shareEpoch = ShareEpoch(4)
  var segmentTableBlock: UInt64 = 300
  var systemRanges = [SystemRange(firstBlock: 256, blockCount: 256)]
  /// A change of the superblock just before it is written.
  var alterSuperblock: (inout Superblock) -> Void = { _ in }

  let devices = [
    SimulatedDevice(name: "first", sizeBytes: 8 << 20),
    SimulatedDevice(name: "second", sizeBytes: 4 << 20),
  ]

  init() {
    buildSegments()
    buildVolumes()
    buildNodes()
  }

  private mutating func buildSegments() {
    let perDevice = [24, 8]
    for (device, count) in perDevice.enumerated() {
      for i in 0..<count {
        segments.append(
          SegmentEntry(
            place: DevicePlace(
              device: DeviceIndex(index: UInt16(device)), block: 512 + UInt64(i) * 64)))
      }
    }
    segments[0].segmentClass = .node
    segments[0].freeUnits = 51
    segments[0].currentImage = 1
    segments[0].secondPlace = segments[24].place
    segments[24].place = nil
    segments[24].segmentClass = .lent
    segments[1].segmentClass = .data
    segments[1].freeUnits = 1
    segments[1].countPage = PoolAddress(block: 4)
    segments[25].segmentClass = .data
    segments[25].freeUnits = 2
    segments[25].countPage = PoolAddress(block: 5)
  }

  private mutating func buildVolumes() {
    var first = VolumeRecord(
      id: VolumeID(1), uuid: StorageUUID(high: 1, low: 1), name: "one", sizeBytes: 20 << 20,
      logicalBlockBytes: 512, createdAt: 0, fullPolicy: .error)
    first.family = Self.family
    first.shareEpoch = ShareEpoch(3)
    first.root = TreeRoot(
      pointer: NodePointer(
        address: PoolAddress(block: 6), checksum: 0, birth: ShareEpoch(4)), level: 1)
    first.allocatedExtents = 5
    first.mappedBlocks = 29
    var snapshot = first
    snapshot.id = VolumeID(2)
    snapshot.uuid = StorageUUID(high: 2, low: 2)
    snapshot.name = "snapshot"
    snapshot.isReadOnly = true
    snapshot.root.pointer.address = PoolAddress(block: 9)
    snapshot.root.pointer.birth = ShareEpoch(1)
    snapshot.allocatedExtents = 4
    snapshot.mappedBlocks = 29
    let empty = VolumeRecord(
      id: VolumeID(3), uuid: StorageUUID(high: 3, low: 3), name: "empty", sizeBytes: 512,
      logicalBlockBytes: 512, createdAt: 0, fullPolicy: .error)
    volumes = [first, snapshot, empty]
    doomed[0] = DoomedEntry(
      id: RecordNumber(7), family: 5,
      root: TreeRoot(
        pointer: NodePointer(
          address: PoolAddress(block: 11), checksum: 0, birth: ShareEpoch(2)), level: 1),
      cursorEnd: VirtualExtent(index: 168), cursorLevel: 0)
  }

  private mutating func buildNodes() {
    let old = Layer(
      address: Self.extent(100), mask: BlockMask(bits: 0xFF), birth: ShareEpoch(2))
    var rest = old
    rest.mask = BlockMask(bits: 0xF0)
    let new = Layer(address: Self.extent(6), mask: BlockMask(bits: 0xF), birth: ShareEpoch(4))
    let gone = Layer(address: Self.extent(101), mask: .all, birth: ShareEpoch(2))
    let layers = Self.leafLayers
    func only(_ layer: Layer) -> MapEntry { MapEntry(upper: layer, lower: .none) }
    func map(
      _ level: UInt8, _ key: UInt64, _ birth: UInt32, _ contents: Contents,
      owner: UInt64 = HandBuiltPool.family
    ) -> Node {
      Node(type: .map, level: level, key: key, owner: owner, birth: birth, contents: contents)
    }
    nodes = [
      2: Node(type: .catalogue, contents: .catalogue([])),
      3: Node(type: .doomed, contents: .doomed([:])),
      4: Node(type: .countPage, key: 1, contents: .counts([0: 1, 1: 1, 2: 1])),
      5: Node(type: .countPage, key: 25, contents: .counts([0: 2, 1: 1])),
      6: map(1, 0, 4, .inner([0: (7, 1), 1: (8, 4)])),
      7: map(
        0, 0, 1,
        .leaf([0: only(layers.plain), 2: only(layers.packed), 3: only(layers.packedToo)])),
      8: map(0, 1, 4, .leaf([0: MapEntry(upper: new, lower: rest)])),
      9: map(1, 0, 1, .inner([0: (7, 1), 1: (10, 2)])),
      10: map(0, 1, 2, .leaf([0: only(old)])),
      11: map(1, 0, 2, .inner([0: (12, 2), 1: (13, 2)]), owner: 5),
      12: map(0, 0, 2, .notWritten, owner: 5),
      13: map(0, 1, 2, .leaf([2: only(gone)]), owner: 5),
    ]
  }
}
