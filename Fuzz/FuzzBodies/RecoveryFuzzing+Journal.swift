import DiskFormat
import PoolCore
import StorageUnits

extension RecoveryFuzzing {
  private static let blockCount: UInt32 = 8

  /// Blocks with good checksums at the places where they may lie, noted in two orders: the
  /// decision must be the same, and the chain no longer than its ring.
  static func journal(_ input: inout RecoveryInput) throws(BrokenProperty) {
    let superblock = superblock(&input)
    guard (try? superblock.validate()) != nil else { return }
    var blocks: [(memory: BlockMemory, place: Int, position: Int)] = []
    var previous = superblock.streams[0].previousChecksum
    while !input.isEmpty && blocks.count < 24 {
      guard let memory = block(&input, superblock, &previous) else { continue }
      let sequence = (try? JournalBlockHeader.decode(memory.node))?.sequence ?? 1
      let position = Int((sequence - 1) % UInt64(blockCount))
      blocks.append(
        (memory, superblock.streams[0].secondPlace == nil ? 0 : blocks.count & 1, position))
    }
    let forward = decide(superblock, blocks)
    // A later block at the same place and position takes the earlier one's place, as on a disk.
    var last: [Int: Int] = [:]
    for (i, block) in blocks.enumerated() { last[block.place * 64 + block.position] = i }
    let kept = blocks.enumerated().filter {
      last[$0.element.place * 64 + $0.element.position] == $0.offset
    }
    guard kept.count == blocks.count else { return }
    try BrokenProperty.unless(
      forward == decide(superblock, blocks.reversed()), "the order of reading decides")
    guard case .success(let chain) = forward else { return }
    try BrokenProperty.unless(
      chain.blocks.count <= Int(blockCount), "a chain that is longer than its ring")
    try BrokenProperty.unless(
      !(chain.lastRecord < superblock.checkpointRecord), "a chain that ends before the image")
  }

  private static func decide(
    _ superblock: Superblock, _ blocks: [(memory: BlockMemory, place: Int, position: Int)]
  ) -> Result<JournalChain, JournalScanError> {
    var scan = JournalScan(superblock: superblock)
    for block in blocks {
      scan.note(block.memory.node, place: block.place, position: block.position)
    }
    do throws(JournalScanError) {
      return .success(try scan.chain())
    } catch { return .failure(error) }
  }

  private static func superblock(_ input: inout RecoveryInput) -> Superblock {
    let device = DeviceIndex(index: 0)
    let uuid = StorageUUID(high: 3, low: 4)
    let firstSequence = max(1, input.pick(RecoveryInput.edges))
    return Superblock(
      features: FeatureMasks(), poolUUID: StorageUUID(high: 1, low: 2), poolName: "fuzz",
      deviceUUID: uuid, device: device, sequence: max(1, input.pick(RecoveryInput.edges)),
      checkpointSequence: 1, checkpointRecord: RecordNumber(input.pick(RecoveryInput.edges)),
      logGeneration: 5, logNonce: 6, applyVersion: ApplyVersion.current,
      shareEpoch: ShareEpoch(1), segmentShift: 4, segmentCount: 512, allocationRunExtents: 1,
      nextVolumeID: 1,
      bounds: WriterBounds(dirtyNodeBytes: 1 << 20, countDeltaBytes: 1 << 20),
      catalogue: .none, doomed: .none, segmentTable: SystemTreeRoot(pointer: nil, level: 0),
      streams: [
        JournalStream(
          place: DevicePlace(device: device, block: 1000),
          secondPlace: input.flag() ? DevicePlace(device: device, block: 2000) : nil,
          blockCount: blockCount, firstSequence: firstSequence,
          previousChecksum: firstSequence > 1 && input.flag() ? 7 : 0)
      ],
      systemRanges: [],
      members: [
        PoolMember(
          uuid: uuid, index: device, state: .active, sizeBytes: 64 << 20, superblockSequence: 1)
      ],
      fenceEpoch: 0, openedBy: Opening(host: "fuzz", process: 1, at: 1), isOpen: true)
  }

  /// A block of the script, by default one that continues the chain; nil for a header that no
  /// writer makes.
  private static func block(
    _ input: inout RecoveryInput, _ superblock: Superblock, _ previous: inout UInt32
  ) -> BlockMemory? {
    let oddities = input.byte()
    let stream = superblock.streams[0]
    var payload: [UInt8] = []
    let recordCount = Int(input.byte() % 6)
    for _ in 0..<recordCount {
      payload += encodedRecord(&input)
    }
    var header = JournalBlockHeader(
      stream: 0, pool: superblock.poolUUID.high, logGeneration: 5, logNonce: 6,
      sequence: input.near(stream.firstSequence), superblockSequence: 1, checkpointSequence: 1,
      firstRecord: RecordNumber(input.near(superblock.checkpointRecord.number)),
      recordCount: UInt16(recordCount), payloadBytes: UInt16(payload.count), durableThrough: 0,
      applyVersion: ApplyVersion.current, previousChecksum: previous)
    if oddities & 1 != 0 { header.logGeneration = input.near(5) }
    if oddities & 2 != 0 { header.superblockSequence = input.pick(RecoveryInput.edges) }
    if oddities & 4 != 0 { header.previousChecksum = UInt32(input.byte()) }
    if oddities & 8 != 0 { header.recordCount = UInt16(input.byte()) }
    if oddities & 16 != 0 { header.durableThrough = input.near(header.sequence) }
    if oddities & 32 != 0 { header.firstRecord = RecordNumber(input.pick(RecoveryInput.edges)) }
    if oddities & 64 != 0 { header.sequence = max(1, input.pick(RecoveryInput.edges)) }
    if oddities & 128 != 0 { header.applyVersion = UInt16(input.byte()) }
    guard (try? header.validate()) != nil else { return nil }
    let memory = BlockMemory([UInt8](repeating: 0, count: FormatConstants.blockBytes))
    header.encode(into: memory.node)
    for (i, byte) in payload.enumerated() {
      memory.node.store8(byte, FormatConstants.journalHeaderBytes + i)
    }
    previous = memory.node.sealJournalBlock()
    return memory
  }

  /// A short record; now and then one that version 1 does not have.
  static func encodedRecord(_ input: inout RecoveryInput) -> [UInt8] {
    let kind = input.byte()
    let number = UInt64(kind >> 2) + 1
    let record: Record =
      switch kind & 3 {
      case 0: .deleteVolume(VolumeID(number))
      case 1 where kind & 0x40 != 0: .deleteBookmark(RecordNumber(number))
      case 1: .rollback(volume: VolumeID(number), snapshot: VolumeID(number + 1))
      case 2: .unshare(volume: VolumeID(number), branchPoint: ShareEpoch(UInt32(number)))
      default:
        .drop(
          DropStep(doomed: RecordNumber(number), level: 0, key: 0, decision: .release))
      }
    var bytes = [UInt8](repeating: 0, count: record.encodedBytes)
    unsafe bytes.withUnsafeMutableBytes {
      _ = unsafe record.encode(more: kind & 0x80 != 0, into: $0)
    }
    if kind == 0xFF { bytes[0] = 0xEE }
    return bytes
  }
}
