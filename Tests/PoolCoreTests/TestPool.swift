import DiskFormat
import PoolCore
import StorageUnits

/// A pool in memory: its devices are a dictionary of blocks, and whatever the pool asks for is
/// done at once.
@safe final class TestPool {
  let pool: Pool
  private(set) var blocks: [DevicePlace: [UInt8]] = [:]
  /// The superblock of the last completed checkpoint.
  private(set) var durable: Superblock
  /// The records after it, as a journal would hold them.
  private(set) var log: [(number: RecordNumber, record: Record)] = []
  private let staging = UnsafeMutableRawBufferPointer.allocate(
    byteCount: 32 << 10, alignment: 4096)
  /// What lies in each block of data: a stamp, by pool address.
  private(set) var contents: [UInt64: UInt64]
  /// Freed space whose quarantine the test has not ended yet.
  var freed: [FreedSpace] = []

  /// A new pool of devices with so many segments of 2^shift blocks each.
  init(segments: [Int], shift: UInt8, bounds: PoolBounds) {
    var entries: [SegmentEntry] = []
    var ranges: [DeviceIndex: [SystemRange]] = [:]
    for (device, count) in segments.enumerated() {
      let index = DeviceIndex(index: UInt16(device))
      ranges[index] = [SystemRange(firstBlock: 256, blockCount: 4096)]
      for i in 0..<count {
        let block = UInt64(8192 + i << Int(shift))
        entries.append(SegmentEntry(place: DevicePlace(device: index, block: block)))
      }
    }
    capacityBytes = UInt64(entries.count) << (UInt64(shift) + 12)
    let superblock = Self.superblock(segments: segments, entries: entries, shift: shift)
    var uuids: [DeviceIndex: StorageUUID] = [:]
    for member in superblock.members { uuids[member.index] = member.uuid }
    contents = [:]
    durable = superblock
    pool = Pool(
      PoolImage(
        superblock: superblock, segments: entries, nodeCounts: [:], segmentPages: [],
        catalogue: PoolImage.emptyCatalogue, volumes: [], doomedTree: PoolImage.emptyDoomed,
        doomed: [], systemRanges: ranges, deviceUUIDs: uuids), bounds: bounds)
    // A pool comes to be with its first image: segment 0 is for nodes from then on.
    checkpoint()
  }

  /// The pool that a start after a crash of `other`, as it now is, would make.
  init(recovering other: TestPool) {
    blocks = other.blocks
    durable = other.durable
    contents = other.contents
    capacityBytes = other.capacityBytes
    let image = RecoveredImage.read(other.durable, from: other)
    pool = Pool(image, bounds: other.pool.bounds)
    for (number, record) in other.log {
      do {
        replay: while true {
          switch try pool.prepare(replayed: record) {
          case .missing(let load): supply(load)
          case .ready: break replay
          case .noSpace, .mustWaitForCheckpoint: preconditionFailure("replay was refused space")
          }
        }
      } catch { fatalError("\(number) \(record) was refused: \(error)") }
      pool.apply(replayed: record, number: number)
    }
    checkpoint()
    // Nobody can have looked anything up.
    releaseFreed()
  }

  deinit { unsafe staging.deallocate() }

  private static func superblock(
    segments: [Int], entries: [SegmentEntry], shift: UInt8
  ) -> Superblock {
    let members = segments.indices.map { i in
      PoolMember(
        uuid: StorageUUID(high: 9, low: UInt64(i + 1)), index: DeviceIndex(index: UInt16(i)),
        state: .active, sizeBytes: UInt64(segments[i]) << (UInt64(shift) + 12) + 64 << 20,
        superblockSequence: 1)
    }
    let second =
      segments.count > 1
      ? DevicePlace(device: DeviceIndex(index: 1), block: 256) : nil
    return Superblock(
      features: FeatureMasks(), poolUUID: StorageUUID(high: 7, low: 8), poolName: "test",
      deviceUUID: members[0].uuid, device: DeviceIndex(index: 0), sequence: 1,
      checkpointSequence: 0, checkpointRecord: RecordNumber(0), logGeneration: 1, logNonce: 1,
      applyVersion: ApplyVersion.current, shareEpoch: ShareEpoch(1), segmentShift: shift,
      segmentCount: UInt32(entries.count), allocationRunExtents: 4, nextVolumeID: 1,
      bounds: WriterBounds(dirtyNodeBytes: 0, countDeltaBytes: 0), catalogue: .none,
      doomed: .none, segmentTable: SystemTreeRoot(pointer: nil, level: 0),
      streams: [
        JournalStream(
          place: DevicePlace(device: DeviceIndex(index: 0), block: 256), secondPlace: second,
          blockCount: 16, firstSequence: 1, previousChecksum: 0)
      ], systemRanges: [], members: members, fenceEpoch: 0,
      openedBy: Opening(host: "test", process: 1, at: 0), isOpen: false)
  }

  /// What the segments hold, in bytes.
  var capacity: UInt64 { capacityBytes }
  private let capacityBytes: UInt64

  // MARK: Doing what the pool asks for

  func supply(_ load: NodeLoad) {
    let place = pool.place(of: load.address)
    guard let bytes = blocks[place] else { preconditionFailure("nothing was written at \(place)") }
    let copy = UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 4096)
    defer { unsafe copy.deallocate() }
    unsafe copy.copyMemory(from: bytes, byteCount: 4096)
    do {
      try unsafe pool.supply(load, from: copy)
    } catch { preconditionFailure("\(load) was refused: \(error)") }
  }

  /// Applies a change once its nodes are loaded; false if there is no space.
  func change(
    _ volume: VolumeSlot, _ extent: VirtualExtent, tier: SpaceTier = .hostWrite,
    _ change: (inout Bool) -> EntryChange?
  ) -> Bool {
    while true {
      switch pool.prepareMap(volume, extent, tier: tier) {
      case .missing(let load): supply(load)
      case .noSpace: return false
      case .mustWaitForCheckpoint:
        if pool.isCheckpointRunning { return false }
        checkpoint()
      case .ready:
        var retry = false
        guard let change = change(&retry) else {
          if retry { continue }
          return false
        }
        _ = pool.applyMap(volume, extent, change)
        finishBatch()
        return true
      }
    }
  }

  /// Writes blocks as the engine would: where the decision says. False if there is no space.
  func write(
    _ volume: VolumeSlot, _ extent: VirtualExtent, _ mask: BlockMask, stamp: UInt64 = 0
  ) -> Bool {
    change(volume, extent) { retry in
      let entry = self.entry(volume, extent)
      let decision = WriteDecision(
        writing: mask, to: entry, shareEpoch: self.pool.shareEpoch(of: volume))
      switch decision {
      case .inPlace(let address):
        if entry.upper.birth <= self.pool.bookmarkEpoch(of: volume) {
          _ = self.pool.applyMap(volume, extent, .raised)
        }
        self.store(stamp, mask, at: address)
        return .wroteInPlace(extent: address, mask: mask)
      case .fresh(let copying):
        switch self.pool.takeExtent(for: volume, at: extent) {
        case .extent(let address):
          self.copy(copying, of: entry, to: address)
          self.store(stamp, mask, at: address)
          return .wroteFresh(extent: address, written: mask, copied: copying)
        case .missing(let load):
          self.supply(load)
          retry = true
          return nil
        case .noSpace: return nil
        }
      }
    }
  }

  /// Holds space for blocks that read as zeros, as the engine would for NO_HOLE.
  func provision(_ volume: VolumeSlot, _ extent: VirtualExtent, _ mask: BlockMask) -> Bool {
    change(volume, extent) { retry in
      let entry = self.entry(volume, extent)
      if entry.upper.isWritable(shareEpoch: self.pool.shareEpoch(of: volume)) {
        return .provisioned(mask: mask, freshExtent: nil)
      }
      let stacks = !(entry.upper.mask - mask).isEmpty && !(entry.lower.mask - mask).isEmpty
      switch self.pool.takeExtent(for: volume, at: extent) {
      case .extent(let address):
        guard stacks else { return .provisioned(mask: mask, freshExtent: address) }
        // All of it: what is left of both layers would not fit beside a third.
        self.copy(entry.mask, of: entry, to: address)
        _ = self.pool.applyMap(
          volume, extent, .wroteFresh(extent: address, written: .none, copied: entry.mask))
        return .provisioned(mask: mask, freshExtent: nil)
      case .missing(let load):
        self.supply(load)
        retry = true
        return nil
      case .noSpace: return nil
      }
    }
  }

  private func store(_ stamp: UInt64, _ mask: BlockMask, at address: PoolAddress) {
    for block in 0..<16 where mask.contains(block) {
      contents[address.block + UInt64(block)] = stamp
    }
  }

  private func copy(_ mask: BlockMask, of entry: MapEntry, to address: PoolAddress) {
    for block in 0..<16 where mask.contains(block) {
      contents[address.block + UInt64(block)] = stamp(of: block, in: entry)
    }
  }

  /// As if the block had been written where the entry says.
  func setStamp(_ stamp: UInt64, of block: Int, in entry: MapEntry) {
    for layer in [entry.upper, entry.lower] where layer.mask.contains(block) {
      contents[layer.address(ofBlock: block).block] = stamp
    }
  }

  /// What a read of a block finds; nil for the zero page.
  func stamp(of block: Int, in entry: MapEntry) -> UInt64? {
    for layer in [entry.upper, entry.lower] where layer.mask.contains(block) {
      return contents[layer.address(ofBlock: block).block]
    }
    return nil
  }

  func entry(_ volume: VolumeSlot, _ extent: VirtualExtent) -> MapEntry {
    while true {
      switch pool.lookup(volume, extent) {
      case .entry(let entry): return entry
      case .missing(let load): supply(load)
      }
    }
  }

  func finishBatch() {
    guard let batch = pool.records.cut() else { return }
    var offset = 0
    var number = batch.firstNumber
    while unsafe offset < batch.bytes.count {
      guard let next = try? unsafe Record.decode(from: batch.bytes, at: offset) else {
        preconditionFailure("a record cannot be read back")
      }
      log.append((number, next.record))
      number = number.next
      offset += next.length
    }
    pool.records.finish(batch)
  }

  /// Drops one step of the doomed trees; false if nothing is doomed.
  func drop() -> Bool {
    while true {
      switch pool.prepareDrop() {
      case nil: return false
      case .missing(let load): supply(load)
      case .mustWaitForCheckpoint:
        if pool.isCheckpointRunning { return false }
        checkpoint()
      case .noSpace: preconditionFailure("a drop was refused space")
      case .ready:
        _ = pool.applyDrop()
        finishBatch()
        return true
      }
    }
  }

  /// Runs a whole checkpoint; `between` is called between its steps.
  func checkpoint(between: () -> Void = {}) {
    begin: while true {
      let beginning = pool.beginCheckpoint()
      finishBatch()
      switch beginning {
      case .begun: break begin
      case .mustWaitForRound:
        precondition(!freed.isEmpty, "nothing is in quarantine")
        releaseFreed()
      case .noSpace: preconditionFailure("a checkpoint lacks space")
      case .alreadyRunning: preconditionFailure("one checkpoint at a time")
      }
    }
    loop: while true {
      switch unsafe pool.checkpointStep(staging: staging) {
      case .write(let address, let count):
        let places = pool.places(of: address)
        store(places.first, count)
        if let second = places.second { store(second, count) }
      case .writeSystem(let place, let second, let count):
        store(place, count)
        if let second { store(second, count) }
      case .load(let load): supply(load)
      case .seal: break loop
      }
      between()
    }
    pool.sealCheckpoint(
      logGeneration: 1, nonce: 1, firstSequence: 1, previousChecksum: 0,
      opening: Opening(host: "test", process: 1, at: 0), isOpen: true)
    durable = pool.superblock(for: DeviceIndex(index: 0))
    log.removeAll { $0.number.number <= durable.checkpointRecord.number }
    if let space = pool.completeCheckpoint() { freed.append(space) }
  }

  func releaseFreed() {
    for space in freed { pool.release(space) }
    freed = []
  }

  private func store(_ place: DevicePlace, _ byteCount: Int) {
    for i in 0..<byteCount / 4096 {
      let part = unsafe UnsafeRawBufferPointer(rebasing: staging[i * 4096..<(i + 1) * 4096])
      blocks[place.advanced(byBlocks: UInt64(i))] = unsafe Array(part)
    }
  }
}
