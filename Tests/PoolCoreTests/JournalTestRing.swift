import DiskFormat
import PoolCore
import StorageUnits

/// The memory of a journal ring in one or two places, as devices would hold it.
@safe final class JournalTestRing {
  let blockCount: Int
  /// What each place holds.
  var places: [[UInt8]]
  var superblock: Superblock
  let ring: JournalRing
  let buffer: RecordBuffer
  private let blocks: UnsafeMutableRawBufferPointer

  init(blockCount: Int, placeCount: Int = 2, bufferBytes: Int = 16 << 10) {
    self.blockCount = blockCount
    places = Array(
      repeating: Array(repeating: 0, count: blockCount * FormatConstants.blockBytes),
      count: placeCount)
    superblock = Self.superblock(blockCount: blockCount, placeCount: placeCount)
    ring = JournalRing(superblock: superblock)
    buffer = RecordBuffer(capacity: bufferBytes, nextNumber: superblock.checkpointRecord.next)
    unsafe blocks = .allocate(
      byteCount: JournalRing.blocksAtMost(forRecordBytes: bufferBytes)
        * FormatConstants.blockBytes, alignment: FormatConstants.blockBytes)
  }

  deinit { unsafe blocks.deallocate() }

  static let pool = StorageUUID(high: 0x1122_3344_5566_7788, low: 9)

  static func superblock(blockCount: Int, placeCount: Int) -> Superblock {
    let first = DevicePlace(device: DeviceIndex(index: 0), block: 1000)
    let second = DevicePlace(device: DeviceIndex(index: 1), block: 5000)
    return Superblock(
      features: FeatureMasks(), poolUUID: pool, poolName: "p",
      deviceUUID: StorageUUID(high: 1, low: 1), device: DeviceIndex(index: 0), sequence: 10,
      checkpointSequence: 4, checkpointRecord: RecordNumber(100), logGeneration: 3, logNonce: 77,
      applyVersion: ApplyVersion.current, shareEpoch: ShareEpoch(1), segmentShift: 4,
      segmentCount: 512, allocationRunExtents: 16, nextVolumeID: 2,
      bounds: WriterBounds(dirtyNodeBytes: 1 << 20, countDeltaBytes: 1 << 20), catalogue: .none,
      doomed: .none, segmentTable: SystemTreeRoot(pointer: nil, level: 0),
      streams: [
        JournalStream(
          place: first, secondPlace: placeCount == 2 ? second : nil,
          blockCount: UInt32(blockCount), firstSequence: 1, previousChecksum: 0)
      ], systemRanges: [], members: [], fenceEpoch: 0,
      openedBy: Opening(host: "h", process: 1, at: 0), isOpen: true)
  }

  /// Cuts a batch, lays it into blocks and writes those that `survives` keeps (place, sequence).
  @discardableResult
  func flush(
    durable: Bool = true, survives: (Int, UInt64) -> Bool = { _, _ in true }
  ) -> JournalAppend? {
    guard let batch = buffer.cut() else { return nil }
    defer { buffer.finish(batch) }
    guard let append = unsafe ring.encode(batch, into: blocks) else { return nil }
    var sequence = append.firstSequence
    for span in [append.head, append.wrapped].compactMap({ $0 }) {
      let bases = [
        span.place.block - ring.place.block,
        (span.secondPlace?.block ?? 0) &- (ring.secondPlace?.block ?? 0),
      ]
      for index in 0..<span.byteCount / FormatConstants.blockBytes {
        for place in places.indices where survives(place, sequence) {
          let to = (Int(bases[place]) + index) * FormatConstants.blockBytes
          let from = span.memoryOffset + index * FormatConstants.blockBytes
          for byte in 0..<FormatConstants.blockBytes {
            places[place][to + byte] = unsafe blocks[from + byte]
          }
        }
        sequence += 1
      }
    }
    if durable { ring.batchDurable(append) }
    return append
  }

  /// A checkpoint at `record`: its superblock is durable.
  func checkpoint(at record: RecordNumber) {
    superblock = nextSuperblock(at: record)
    ring.checkpointCompleted(superblock)
  }

  func nextSuperblock(at record: RecordNumber) -> Superblock {
    var next = superblock
    let start = ring.replayStart(after: record)
    next.sequence += 1
    next.checkpointSequence += 1
    next.checkpointRecord = record
    next.streams[0].firstSequence = start.sequence
    next.streams[0].previousChecksum = start.previousChecksum
    return next
  }

  func offset(of sequence: UInt64) -> Int {
    Int((sequence - 1) % UInt64(blockCount)) * FormatConstants.blockBytes
  }

  /// Changes one byte of the block of `sequence`.
  func garble(_ sequence: UInt64, place: Int, byte: Int = 200) {
    places[place][offset(of: sequence) + byte] ^= 0x55
  }

  /// Changes a header of the block and seals it again.
  func rewrite(_ sequence: UInt64, place: Int, _ change: (inout JournalBlockHeader) -> Void) {
    withBlock(place: place, position: offset(of: sequence) / FormatConstants.blockBytes) { image in
      guard var header = try? JournalBlockHeader.decode(image) else { return }
      change(&header)
      header.encode(into: image)
      image.sealJournalBlock()
    }
  }

  func withBlock(place: Int, position: Int, _ body: (NodeImage) -> Void) {
    unsafe places[place].withUnsafeMutableBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      unsafe body(NodeImage(viewing: base + position * FormatConstants.blockBytes))
    }
  }

  func scan(with superblock: Superblock? = nil) throws(JournalScanError) -> JournalChain {
    var scan = JournalScan(superblock: superblock ?? self.superblock)
    for place in places.indices {
      for position in 0..<blockCount {
        withBlock(place: place, position: position) {
          scan.note($0, place: place, position: position)
        }
      }
    }
    return try scan.chain()
  }

  /// The records of a chain that count, with their numbers.
  func records(of chain: JournalChain) throws -> [RecordNumber: Record] {
    var found: [RecordNumber: Record] = [:]
    for (i, block) in chain.blocks.enumerated() {
      let position = offset(of: chain.firstSequence + UInt64(i)) / FormatConstants.blockBytes
      var failure: (any Error)?
      withBlock(place: Int(block.place), position: position) { image in
        do {
          let header = try JournalBlockHeader.decode(image)
          var offset = 0
          for k in 0..<UInt64(header.recordCount) {
            let next = try Record.decode(fromJournal: image, header, at: offset)
            offset += next.length
            let number = RecordNumber(header.firstRecord.number + k)
            if !(number < chain.firstRecord) && !(chain.lastRecord < number) {
              found[number] = next.record
            }
          }
        } catch { failure = error }
      }
      if let failure { throw failure }
    }
    return found
  }
}

extension MapEntry {
  /// An entry that names the extent of this index.
  static func naming(_ extent: UInt64) -> MapEntry {
    MapEntry(
      upper: Layer(
        address: PoolExtent(index: extent).address, mask: BlockMask(first: 0, count: 1),
        birth: ShareEpoch(1)), lower: .none)
  }
}
