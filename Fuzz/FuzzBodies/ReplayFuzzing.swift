import BlockIO
import DiskFormat
import PoolCore
import StorageUnits
import VolumeEngine

/// Records that are each valid, in the journal of a pool that was not stopped: any of them, in any
/// order, with ids, addresses and numbers that fit the pool, nearly fit it, or do not.
///
/// A start replays them or refuses them, and never ends the program. What it replayed is a pool: a
/// second start replays nothing and finds the same volumes.
public enum ReplayFuzzing {
  public static func run(_ bytes: [UInt8]) throws(BrokenProperty) {
    let device = try device(bytes)
    guard let first = open(device) else { return }
    guard let second = open(device) else {
      throw BrokenProperty("what a start has left is refused by the next")
    }
    try BrokenProperty.unless(second.journalRecords == 0, "records are replayed twice")
    try BrokenProperty.unless(second.names == first.names, "a start changes the volumes")
    try BrokenProperty.unless(
      second.usedBytes == first.usedBytes, "a start changes the space in use")
  }

  /// The device of a pool whose journal holds the records of the input.
  static func device(_ bytes: [UInt8]) throws(BrokenProperty) -> MemoryDevice {
    guard let base = Self.base else { throw BrokenProperty("no pool can be made") }
    var input = RecoveryInput(bytes)
    let device = MemoryDevice(name: "m", sizeBytes: poolBytes, blocks: base.blocks)
    append(&input, base.superblock, to: device)
    return device
  }

  struct Found {
    var journalRecords: UInt64
    var names: [String]
    var usedBytes: UInt64
  }

  static func open(_ device: MemoryDevice) -> Found? {
    let settings = PoolOpening.Settings(
      bounds: bounds, recordBytes: 16 << 10, memoryLimitBytes: 256 << 20, logNonce: 99,
      opening: Opening(host: "fuzz", process: 1, at: 1), bootID: nil)
    guard let opened = unsafe try? PoolOpening.open([device], settings: settings) else {
      return nil
    }
    return Found(
      journalRecords: opened.report.journalRecords,
      names: opened.pool.volumeSlots.map { opened.pool.record(of: $0).name },
      usedBytes: opened.pool.usage.usedBytes)
  }

  private static let bounds: PoolBounds = {
    var bounds = PoolBounds()
    bounds.nodeCacheBytes = 2 << 20
    bounds.dirtyNodeBytes = 1 << 20
    return bounds
  }()

  // MARK: The pool

  private static let poolBytes: UInt64 = 40 << 20

  private struct Base: Sendable {
    var blocks: [UInt64: [UInt8]]
    var superblock: Superblock
  }

  /// An empty pool of one device, with a superblock that says it is open.
  private static let base: Base? = {
    let device = MemoryDevice(name: "m", sizeBytes: poolBytes)
    let settings = PoolCreation.Settings(
      name: "fuzz", poolUUID: StorageUUID(high: 1, low: 2),
      deviceUUIDs: [StorageUUID(high: 3, low: 4)],
      layout: PoolLayout.Options(segmentBytes: 256 << 10, journalBlocks: 64), logNonce: 6,
      opening: Opening(host: "fuzz", process: 1, at: 1))
    guard (try? PoolCreation.create([device], settings: settings)) != nil else { return nil }
    // A first start gives it a node segment and an open superblock, as any crashed server leaves.
    guard open(device) != nil else { return nil }
    var newest: Superblock?
    for place in FormatConstants.superblockOffsets.joined() {
      let bytes = (0..<2).flatMap { device.blocks[place / 4096 + $0] ?? [] }
      guard let read = unsafe try? Superblock(decoding: bytes.span.bytes) else { continue }
      if read.sequence > newest?.sequence ?? 0 { newest = read }
    }
    return newest.map { Base(blocks: device.blocks, superblock: $0) }
  }()

  // MARK: The journal

  private static func append(
    _ input: inout RecoveryInput, _ superblock: Superblock, to device: MemoryDevice
  ) {
    let stream = superblock.streams[0]
    var previous = stream.previousChecksum
    var next = superblock.checkpointRecord.next
    var sequence = stream.firstSequence
    while !input.isEmpty && sequence < stream.firstSequence + 6 {
      var payload: [UInt8] = []
      var count: UInt16 = 0
      let wanted = 1 + input.byte() % 40
      while count < wanted && !input.isEmpty && payload.count + RecordFormat.maximumBytes <= 4000 {
        payload += encoded(record(&input, superblock), more: count + 1 < wanted && input.flag())
        count += 1
      }
      guard count > 0 else { return }
      let header = JournalBlockHeader(
        stream: 0, pool: superblock.poolUUID.high, logGeneration: superblock.logGeneration,
        logNonce: superblock.logNonce, sequence: sequence,
        superblockSequence: superblock.sequence,
        checkpointSequence: superblock.checkpointSequence, firstRecord: next,
        recordCount: count, payloadBytes: UInt16(payload.count), durableThrough: sequence - 1,
        applyVersion: ApplyVersion.current, previousChecksum: previous)
      let memory = BlockMemory([UInt8](repeating: 0, count: FormatConstants.blockBytes))
      header.encode(into: memory.node)
      for (i, byte) in payload.enumerated() {
        memory.node.store8(byte, FormatConstants.journalHeaderBytes + i)
      }
      previous = memory.node.sealJournalBlock()
      let position = (sequence - 1) % UInt64(stream.blockCount)
      for place in [stream.place, stream.secondPlace].compactMap({ $0 }) {
        let bytes = unsafe UnsafeRawBufferPointer(start: memory.base, count: memory.count)
        try? unsafe device.write(
          at: place.advanced(byBlocks: position).byteOffset, from: bytes)
      }
      next = RecordNumber(next.number + UInt64(count))
      sequence += 1
    }
  }

  private static func encoded(_ record: Record, more: Bool) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: record.encodedBytes)
    unsafe bytes.withUnsafeMutableBytes { _ = unsafe record.encode(more: more, into: $0) }
    return bytes
  }

  private static func record(_ input: inout RecoveryInput, _ superblock: Superblock) -> Record {
    // Ids that are given, the next one, and now and then one that cannot be.
    let volume = VolumeID(UInt64(max(1, input.byte() % 6)))
    switch input.byte() % 12 {
    case 0, 1: return .createVolume(volumeRecord(&input, volume))
    case 2: return .alterVolume(volumeRecord(&input, volume))
    case 3: return .deleteVolume(volume)
    case 4:
      let segment = SegmentIndex(index: number(&input, near: superblock.segmentCount))
      let newClass = input.pick([SegmentClass.free, .data, .node])
      let partner = SegmentIndex(index: number(&input, near: superblock.segmentCount))
      let hasPartner = newClass == .node && partner != segment && input.flag()
      return .segmentClass(segment, newClass, partner: hasPartner ? partner : nil)
    case 5, 6:
      return .drop(
        DropStep(
          doomed: RecordNumber(max(1, input.near(superblock.checkpointRecord.number + 8))),
          level: input.byte() % 5, key: UInt64(input.byte() % 4),
          decision: input.flag() ? .release : .descend))
    case 7: return .rollback(volume: volume, snapshot: VolumeID(1))
    default:
      return .map(
        volume: volume, extent: VirtualExtent(index: UInt64(input.byte()) << (input.byte() % 24)),
        entry: entry(&input, superblock))
    }
  }

  private static func number(_ input: inout RecoveryInput, near end: UInt32) -> UInt32 {
    input.flag() ? UInt32(input.byte() % 8) : UInt32(truncatingIfNeeded: input.near(UInt64(end)))
  }

  private static func volumeRecord(
    _ input: inout RecoveryInput, _ id: VolumeID
  ) -> VolumeRecord {
    let blocks = UInt64(input.byte()) << UInt64(input.byte() % 42)
    var record = VolumeRecord(
      id: id, uuid: StorageUUID(high: 7, low: id.number), name: "v\(input.byte() % 4)",
      sizeBytes: min(blocks * 4096, StorageSizes.maximumVolumeBytes), logicalBlockBytes: 4096,
      createdAt: 1, fullPolicy: .error)
    record.family = id.number
    if input.byte() == 0xFF { record.shareEpoch = ShareEpoch(1) }
    return record
  }

  private static func entry(
    _ input: inout RecoveryInput, _ superblock: Superblock
  ) -> MapEntry {
    let upper = layer(&input, superblock)
    var entry = MapEntry(upper: upper, lower: .none)
    if input.flag() {
      var lower = layer(&input, superblock)
      lower.mask = BlockMask(bits: lower.mask.bits & ~upper.mask.bits)
      entry.lower = lower
    }
    return (try? entry.validate()) != nil ? entry : .none
  }

  private static func layer(_ input: inout RecoveryInput, _ superblock: Superblock) -> Layer {
    let extents = UInt64(superblock.segmentCount) << UInt64(superblock.segmentShift - 4)
    let extent =
      input.flag() ? UInt64(input.byte()) : input.near(extents) & 0xF_FFFF_FFFF
    return Layer(
      address: PoolAddress(block: extent << 4),
      mask: BlockMask(bits: UInt16(input.byte()) << 8 | UInt16(input.byte())),
      flags: input.byte() == 0xFF ? 1 : 0, birth: ShareEpoch(UInt32(input.byte() & 1)))
  }
}
