import DiskFormat
import StorageUnits

/// How far the checkpoint that is being written has come, and what its image consists of.
///
/// The image is exactly the state after record S: map nodes as they were frozen at the cut, copies
/// of the volume records and of the doomed list, and the count changes up to the cut.
struct CheckpointProgress {
  enum Phase {
    case mapNodes, catalogue, doomed, versions, bookmarks, holds, owed
    case countPages, countImages, segmentTable, sealed
  }

  var phase = Phase.mapNodes
  /// S.
  let record: RecordNumber
  let sequence: UInt64
  let shareEpoch: ShareEpoch
  let nextVolumeID: UInt64
  let settings: PoolSettings
  /// Blocks that its nodes may still take.
  var reservedBlocks: Int
  /// The slots of the map nodes to write, leaves first.
  let frozen: [Int32]
  var nextFrozen = 0
  /// The volumes of the catalogue leaves to write, as of the cut.
  var volumes: [UInt64: [VolumeRecord]]
  var catalogueWriter: ResidentTreeWriter
  var doomed: [DoomedEntry]
  var doomedWriter: ResidentTreeWriter
  /// The branch points of the version tree, where they changed.
  let versions: [VersionNode]
  var versionWriter: ResidentTreeWriter
  let bookmarks: [Bookmark]
  var bookmarkWriter: ResidentTreeWriter
  /// The holds, where they changed.
  let holds: [HoldEntry]
  var holdWriter: ResidentTreeWriter
  /// The owed ranges, where they changed.
  let owed: [OwedRange]
  var owedWriter: ResidentTreeWriter
  /// Segments with count changes.
  let folded: [UInt32]
  var nextFolded = 0
  /// The slots of count pages that were written.
  var writtenPages: [Int32] = []
  /// Extents whose count became zero.
  var freedExtents: [FreedExtents] = []
  var countImages: [UInt32] = []
  var nextCountImage = 0
  var tableWriter: SegmentTableWriter?

  /// The nodes of a step have taken their blocks.
  mutating func note(_ step: CheckpointStep) -> CheckpointStep {
    if case .write(_, let byteCount) = step {
      reservedBlocks -= byteCount / FormatConstants.blockBytes
      precondition(reservedBlocks >= 0, "a checkpoint wrote more nodes than were reserved")
    }
    return step
  }
}

/// What a checkpoint writes of the segment table: levels upward, keys ascending.
struct SegmentTableWriter {
  private(set) var level: UInt8 = 0
  private var keys: [UInt64]
  private var position = 0
  /// The level of the root page.
  let rootLevel: UInt8

  init(changedPages: [UInt32], segmentCount: Int) {
    keys = changedPages.map(UInt64.init)
    rootLevel = Self.rootLevel(segmentCount: segmentCount)
  }

  /// The least level whose one page spans all segments.
  static func rootLevel(segmentCount: Int) -> UInt8 {
    var level: UInt8 = 0
    var span = FormatConstants.segmentsPerPage
    while span < segmentCount {
      span *= FormatConstants.systemPointersPerPage
      level += 1
    }
    return level
  }

  mutating func next() -> (level: UInt8, key: UInt64)? {
    while true {
      if position < keys.count {
        defer { position += 1 }
        return (level, keys[position])
      }
      guard level < rootLevel, !keys.isEmpty else { return nil }
      var parents: [UInt64] = []
      for key in keys {
        let parent = key / UInt64(FormatConstants.systemPointersPerPage)
        if parents.last != parent { parents.append(parent) }
      }
      level += 1
      keys = parents
      position = 0
    }
  }
}
