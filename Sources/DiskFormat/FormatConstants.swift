/// The numbers of the on-disk format, version 1 (`Docs/OnDiskFormat.md` is the authority).
public enum FormatConstants {
  public static let version: UInt8 = 1
  /// Every structure is a multiple of this and aligned to it, in bytes.
  public static let blockBytes = 4096
  public static let nodeHeaderBytes = 64
  public static let layerBytes = 12
  public static let mapEntryBytes = 24
  public static let pointerBytes = 16
  /// Map entries in a leaf: 168, 10.5 MiB of volume.
  public static let entriesPerLeaf = 168
  /// Pointers in an inner node.
  public static let pointersPerNode = 252
  /// Counts in a count page.
  public static let countsPerPage = 1024
  /// A count that is never lowered again; its space is never freed, and the check reports it.
  public static let stickyCount: UInt32 = 0xFF_FFFF
  /// Levels above the leaves at the most: five levels in all reach beyond the largest volume.
  public static let maximumLevel: UInt8 = 4
  /// Volume records in a catalogue leaf.
  public static let volumesPerLeaf = 9
  public static let volumeRecordBytes = 448
  public static let segmentEntryBytes = 64
  /// Segment entries in a page of the segment table.
  public static let segmentsPerPage = 63
  /// What counts up over a pool's life (sequences, record numbers, log generations, volume ids,
  /// positions in the tail) is below this, so that the next ones exist, too.
  public static let counterLimit: UInt64 = 1 << 63
  public static let systemPointerBytes = 24
  /// Pointers in an inner page of the segment table.
  public static let systemPointersPerPage = 168
  public static let doomedEntryBytes = 64
  public static let doomedPerLeaf = 63
  public static let versionNodeBytes = 16
  public static let versionNodesPerLeaf = 252
  public static let bookmarkBytes = 336
  public static let bookmarksPerLeaf = 12
  public static let holdEntryBytes = 256
  public static let holdsPerLeaf = 15
  public static let owedRangeBytes = 24
  public static let owedPerLeaf = 168
  public static let superblockBytes = 8192
  public static let journalHeaderBytes = 96
  /// Bytes of whole records in a journal block.
  public static let journalPayloadBytes = 4000
  /// The fewest blocks that a journal ring may have.
  public static let minimumJournalBlocks = 8
  public static let maximumMembers = 60
  public static let maximumSystemRanges = 8
  public static let maximumStreams = 16
  public static let smallestPoolBytes: UInt64 = 32 << 20
  public static let smallestSegmentShift: UInt8 = 4
  public static let largestSegmentShift: UInt8 = 14
  /// The system area of a device starts here, in bytes.
  public static let systemAreaOffset: UInt64 = 1 << 20
  /// Bytes at the start of a device that are left alone.
  public static let untouchedBytes: UInt64 = 64 << 10
  /// Where the two copies of slot 0 and slot 1 lie, in bytes.
  public static let superblockOffsets: [[UInt64]] = [
    [64 << 10, 192 << 10], [128 << 10, 256 << 10],
  ]
}
