import DiskFormat
import StorageUnits
import Testing

/// The numbers that `Docs/OnDiskFormat.md` gives, and that what it says fits does fit.
@Suite struct LayoutTests {
  @Test func everythingInANodeFillsIt() {
    let room = FormatConstants.blockBytes - FormatConstants.nodeHeaderBytes
    #expect(room == 4032)
    #expect(FormatConstants.entriesPerLeaf * FormatConstants.mapEntryBytes == room)
    #expect(FormatConstants.pointersPerNode * FormatConstants.pointerBytes == room)
    #expect(FormatConstants.volumesPerLeaf * FormatConstants.volumeRecordBytes == room)
    #expect(FormatConstants.segmentsPerPage * FormatConstants.segmentEntryBytes == room)
    #expect(FormatConstants.systemPointersPerPage * FormatConstants.systemPointerBytes == room)
    #expect(FormatConstants.doomedPerLeaf * FormatConstants.doomedEntryBytes == room)
    #expect(FormatConstants.countsPerPage * 3 <= room)
    #expect(2 * FormatConstants.layerBytes == FormatConstants.mapEntryBytes)
  }

  @Test func aJournalBlockIsItsHeaderAndItsRecords() {
    #expect(
      FormatConstants.journalHeaderBytes + FormatConstants.journalPayloadBytes
        == FormatConstants.blockBytes)
    #expect(RecordFormat.mapBytes == RecordFormat.headerBytes + 16 + FormatConstants.mapEntryBytes)
    #expect(RecordFormat.maximumBytes < FormatConstants.journalPayloadBytes)
    #expect(TailFrame.maximumBytes % 8 == 0)
  }

  @Test func recordsHaveTheirSizes() {
    let volume = Golden.volume
    let sizes: [(Record, Int)] = [
      (.map(volume: VolumeID(1), extent: VirtualExtent(index: 1), entry: .none), 44),
      (.createVolume(volume), 452), (.alterVolume(volume), 452), (.deleteVolume(VolumeID(1)), 12),
      (.snapshot(source: VolumeID(1), snapshot: volume), 460),
      (.clone(source: VolumeID(1), clone: volume), 460),
      (.rollback(volume: VolumeID(1), snapshot: VolumeID(2)), 20),
      (.unshare(volume: VolumeID(1), branchPoint: .zero), 20),
      (.resize(ResizeStep(volume: VolumeID(1), sizeBytes: 512)), 36),
      (.hold(HoldChange(.place, Golden.holds[0].entry)), 268), (.settings(PoolSettings()), 20),
      (.owed(OwedChange(.owe, Golden.owed[0].range)), 36),
      (.segmentClass(SegmentIndex(index: 0), .data, partner: nil), 16),
      (.createBookmark(Golden.bookmarkInRecord), 348), (.deleteBookmark(RecordNumber(1)), 348),
      (
        .drop(DropStep(doomed: RecordNumber(1), level: 0, key: 0, decision: .release)), 28
      ),
    ]
    for (record, size) in sizes { #expect(record.encodedBytes == size, "\(record.type)") }
  }

  /// Superblock copies, the untouched start and the system area do not overlap.
  @Test func aDeviceBeginsWithItsSuperblocks() {
    let offsets = FormatConstants.superblockOffsets.flatMap { $0 }.sorted()
    #expect(offsets.map { $0 >> 10 } == [64, 128, 192, 256])
    for (a, b) in zip(offsets, offsets.dropFirst()) {
      #expect(a + UInt64(FormatConstants.superblockBytes) <= b)
    }
    #expect(offsets[0] == FormatConstants.untouchedBytes)
    #expect(
      offsets[3] + UInt64(FormatConstants.superblockBytes) <= FormatConstants.systemAreaOffset)
  }

  @Test func fiveLevelsHoldTheLargestVolume() {
    let extents = ByteCount(StorageSizes.maximumVolumeBytes).extentsRoundingUp
    let leaf = FormatConstants.entriesPerLeaf
    #expect(TreeShape.level(forCount: extents, leafCapacity: leaf) == FormatConstants.maximumLevel)
    #expect(TreeShape.level(forCount: 168, leafCapacity: leaf) == 0)
    #expect(TreeShape.level(forCount: 169, leafCapacity: leaf) == 1)
    #expect(TreeShape.level(forCount: 168 * 252, leafCapacity: leaf) == 1)
    #expect(TreeShape.level(forCount: 168 * 252 + 1, leafCapacity: leaf) == 2)
  }

  @Test func theSegmentTableHoldsTheLargestPool() {
    let segments = UInt64(UInt32.max)
    #expect(TreeShape.segmentLevel(forCount: segments) == FormatConstants.maximumLevel)
    #expect(TreeShape.segmentLevel(forCount: 63) == 0)
    #expect(TreeShape.segmentLevel(forCount: 64) == 1)
    #expect(TreeShape.segmentLevel(forCount: 63 * 168) == 1)
    #expect(TreeShape.segmentLevel(forCount: 63 * 168 + 1) == 2)
  }

  @Test func nodeSegmentsAreDividedAsTheirSizeAsks() {
    let smallest = NodeSegmentLayout(segmentShift: 4)
    #expect(smallest.pagesPerImage == 1)
    #expect(smallest.firstUsableBlock == 2)
    #expect(smallest.usableBlocks == 14)
    #expect(NodeSegmentLayout(segmentShift: 10).pagesPerImage == 1)
    #expect(NodeSegmentLayout(segmentShift: 11).pagesPerImage == 2)
    let largest = NodeSegmentLayout(segmentShift: 14)
    #expect(largest.pagesPerImage == 16)
    #expect(largest.firstUsableBlock == 32)
    #expect(
      largest.address(ofImage: 1, segment: SegmentIndex(index: 3))
        == PoolAddress(block: 3 << 14 | 16))
  }

  @Test func offsetsInStructuresAreWhereThePageSaysTheyAre() throws {
    let bytes = Golden.superblock.encoded()
    func u64(_ at: Int) -> UInt64 {
      (0..<8).reduce(0) { $0 | UInt64(bytes[at + $1]) << UInt64(8 * $1) }
    }
    let value = Golden.superblock
    #expect(Array(bytes[..<8]) == Array("LAMINAPL".utf8))
    #expect(u64(40) == value.poolUUID.high)
    #expect(u64(80) == value.sequence)
    #expect(u64(96) == value.checkpointRecord.number)
    #expect(bytes[120] == value.segmentShift)
    #expect(Array(bytes[192..<196]) == Array("pool".utf8))
    #expect(u64(384) == value.catalogue.pointer.address.block)
    #expect(
      u64(640) == value.streams[0].place.block | UInt64(value.streams[0].place.device.index) << 48)
    #expect(u64(1792) == value.members[0].uuid.high)
  }
}
