import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import PoolInspection
import StorageUnits

/// A pool of `PoolCore` whose images lie on simulated devices; whatever it asks for is done at
/// once.
@safe final class PoolOnDevices {
  let pool: Pool
  let devices: [SimulatedDevice]
  private(set) var freed: [FreedSpace] = []
  private let staging = UnsafeMutableRawBufferPointer.allocate(
    byteCount: 64 << 10, alignment: 4096)

  /// A new pool of devices with so many segments of 2^shift blocks each.
  init(segments: [Int], shift: UInt8, bounds: PoolBounds) throws {
    let first = UInt64(1024)
    devices = segments.enumerated().map { i, count in
      SimulatedDevice(
        name: "device \(i)", sizeBytes: (first + UInt64(count) << UInt64(shift)) << 12)
    }
    var entries: [SegmentEntry] = []
    var ranges: [DeviceIndex: [SystemRange]] = [:]
    var uuids: [DeviceIndex: StorageUUID] = [:]
    for (device, count) in segments.enumerated() {
      let index = DeviceIndex(index: UInt16(device))
      ranges[index] = [SystemRange(firstBlock: 256, blockCount: first - 256)]
      uuids[index] = StorageUUID(high: 9, low: UInt64(device + 1))
      for i in 0..<count {
        entries.append(
          SegmentEntry(place: DevicePlace(device: index, block: first + UInt64(i) << UInt64(shift)))
        )
      }
    }
    let superblock = Self.superblock(
      devices: devices, uuids: uuids, segmentCount: entries.count, shift: shift)
    pool = Pool(
      PoolImage(
        superblock: superblock, segments: entries, nodeCounts: [:], segmentPages: [],
        catalogue: PoolImage.emptyCatalogue, volumes: [], doomedTree: PoolImage.emptyDoomed,
        doomed: [], systemRanges: ranges, deviceUUIDs: uuids), bounds: bounds)
  }

  deinit { unsafe staging.deallocate() }

  private static func superblock(
    devices: [SimulatedDevice], uuids: [DeviceIndex: StorageUUID], segmentCount: Int, shift: UInt8
  ) -> Superblock {
    let members = devices.enumerated().map { i, device in
      let index = DeviceIndex(index: UInt16(i))
      return PoolMember(
        uuid: uuids[index] ?? .zero, index: index, state: .active, sizeBytes: device.sizeBytes,
        superblockSequence: 1)
    }
    let second =
      devices.count > 1 ? DevicePlace(device: DeviceIndex(index: 1), block: 256) : nil
    return Superblock(
      features: FeatureMasks(), poolUUID: StorageUUID(high: 7, low: 8), poolName: "test",
      deviceUUID: members[0].uuid, device: DeviceIndex(index: 0), sequence: 1,
      checkpointSequence: 0, checkpointRecord: RecordNumber(0), logGeneration: 1, logNonce: 1,
      applyVersion: ApplyVersion.current, shareEpoch: ShareEpoch(1), segmentShift: shift,
      segmentCount: UInt32(segmentCount), allocationRunExtents: 4, nextVolumeID: 1,
      bounds: WriterBounds(dirtyNodeBytes: 0, countDeltaBytes: 0), catalogue: .none,
      doomed: .none, segmentTable: SystemTreeRoot(pointer: nil, level: 0),
      streams: [
        JournalStream(
          place: DevicePlace(device: DeviceIndex(index: 0), block: 256), secondPlace: second,
          blockCount: 16, firstSequence: 1, previousChecksum: 0)
      ], systemRanges: [], members: members, fenceEpoch: 0,
      openedBy: Opening(host: "test", process: 1, at: 0), isOpen: false)
  }

  func inspect() -> InspectionReport { PoolInspector.inspect(devices: devices) }

  // MARK: Changes

  func create(_ name: String, sizeBytes: UInt64, uuid: UInt64) throws -> VolumeSlot? {
    let record = VolumeRecord(
      id: VolumeID(0), uuid: StorageUUID(high: uuid, low: 1), name: name, sizeBytes: sizeBytes,
      logicalBlockBytes: 512, createdAt: 0, fullPolicy: .error)
    try pool.prepareCreate(record)
    _ = pool.applyCreate(record)
    finishBatch()
    return pool.volume(named: name)
  }

  func delete(_ volume: VolumeSlot) throws {
    try pool.prepareDelete(volume)
    _ = pool.applyDelete(volume)
    finishBatch()
  }

  func hold(_ volume: VolumeSlot, tag: String, reason: String) throws {
    try pool.prepareHold(volume, tag: tag, reason: reason)
    pool.applyHold(volume, tag: tag, reason: reason, createdAt: 7)
    finishBatch()
  }

  /// Releases all holds of a volume.
  func release(_ volume: VolumeSlot) throws {
    for hold in pool.holds(of: volume) {
      try pool.prepareRelease(volume, tag: hold.tag)
      pool.applyRelease(volume, tag: hold.tag)
    }
    finishBatch()
  }

  /// Another size; does nothing if there is no space for the tables.
  func resize(_ volume: VolumeSlot, to sizeBytes: UInt64) throws {
    let old = pool.sizeBytes(of: volume)
    var cut = Pool.CutOff()
    var from = VirtualExtent(index: ByteCount(sizeBytes).extentsRoundingUp)
    let end = VirtualExtent(index: ByteCount(old).extentsRoundingUp)
    search: while true {
      switch pool.nextMapped(volume, from: from, before: end) {
      case .nothing: break search
      case .missing(let load): try supply(load)
      case .extent(let extent, let entry):
        cut.add(entry)
        from = VirtualExtent(index: extent.index + 1)
      }
    }
    do {
      while let load = try pool.prepareResize(volume, to: sizeBytes) { try supply(load) }
    } catch is PoolError { return }
    pool.applyResize(volume, to: sizeBytes, cut: cut)
    finishBatch()
  }

  /// Writes blocks where the decision says; does nothing if there is no space or a checkpoint must
  /// come first.
  func write(_ volume: VolumeSlot, _ extent: VirtualExtent, _ mask: BlockMask) throws {
    try change(volume, extent, tier: .hostWrite) {
      let entry = try self.entry(volume, extent)
      let decision = WriteDecision(
        writing: mask, to: entry, shareEpoch: self.pool.shareEpoch(of: volume))
      switch decision {
      case .inPlace(let address):
        if entry.upper.birth <= self.pool.bookmarkEpoch(of: volume) { return .raised }
        return .wroteInPlace(extent: address, mask: mask)
      case .fresh(let copying):
        guard let address = try self.take(volume, extent) else { return nil }
        return .wroteFresh(extent: address, written: mask, copied: copying)
      }
    }
  }

  func clear(_ volume: VolumeSlot, _ extent: VirtualExtent, _ mask: BlockMask) throws {
    try change(volume, extent, tier: .reclaim) { .cleared(mask: mask, keepsProvision: false) }
  }

  func provision(_ volume: VolumeSlot, _ extent: VirtualExtent, _ mask: BlockMask) throws {
    try change(volume, extent, tier: .hostWrite) {
      let upper = try self.entry(volume, extent).upper
      if upper.isWritable(shareEpoch: self.pool.shareEpoch(of: volume)) {
        return .provisioned(mask: mask, freshExtent: nil)
      }
      return try self.take(volume, extent).map { .provisioned(mask: mask, freshExtent: $0) }
    }
  }

  private func change(
    _ volume: VolumeSlot, _ extent: VirtualExtent, tier: SpaceTier,
    _ change: () throws -> EntryChange?
  ) throws {
    _ = try entry(volume, extent)
    while true {
      switch pool.prepareMap(volume, extent, tier: tier) {
      case .missing(let load): try supply(load)
      case .noSpace, .mustWaitForCheckpoint: return
      case .ready:
        guard let change = try change() else { return }
        // Taking the extent may have loaded nodes and applied records: prepare again.
        while case .missing(let load) = pool.prepareMap(volume, extent, tier: .essential) {
          try supply(load)
        }
        _ = pool.applyMap(volume, extent, change)
        finishBatch()
        return
      }
    }
  }

  private func take(_ volume: VolumeSlot, _ extent: VirtualExtent) throws -> PoolAddress? {
    while true {
      switch pool.takeExtent(for: volume, at: extent) {
      case .extent(let address): return address
      case .missing(let load): try supply(load)
      case .noSpace: return nil
      }
    }
  }

  private func entry(_ volume: VolumeSlot, _ extent: VirtualExtent) throws -> MapEntry {
    while true {
      switch pool.lookup(volume, extent) {
      case .entry(let entry): return entry
      case .missing(let load): try supply(load)
      }
    }
  }

  private func supply(_ load: NodeLoad) throws {
    let block = TestBlocks(count: 1)
    let place = pool.place(of: load.address)
    try unsafe devices[Int(place.device.index)].read(at: place.byteOffset, into: block.buffer)
    guard let base = unsafe block.buffer.baseAddress else { return }
    try unsafe pool.supply(load, from: base)
  }

  func finishBatch() {
    if let batch = pool.records.cut() { pool.records.finish(batch) }
  }

  /// Drops one step of the doomed trees; false if nothing can be dropped now.
  func drop() throws -> Bool {
    while true {
      switch pool.prepareDrop() {
      case nil, .mustWaitForCheckpoint, .noSpace: return false
      case .missing(let load): try supply(load)
      case .ready:
        _ = pool.applyDrop()
        finishBatch()
        return true
      }
    }
  }

  // MARK: Checkpoints

  /// Writes a whole checkpoint; `between` is called after each of its writes.
  func checkpoint(between: () throws -> Void = {}) throws {
    guard pool.beginCheckpoint() == .begun else { return }
    finishBatch()
    loop: while true {
      switch unsafe pool.checkpointStep(staging: staging) {
      case .write(let address, let count):
        let places = pool.places(of: address)
        try store(places.first, count)
        if let second = places.second { try store(second, count) }
      case .writeSystem(let place, let second, let count):
        try store(place, count)
        if let second { try store(second, count) }
      case .load(let load): try supply(load)
      case .seal: break loop
      }
      try between()
    }
    pool.sealCheckpoint(
      logGeneration: 1, nonce: 1, firstSequence: 1, previousChecksum: 0,
      opening: Opening(host: "test", process: 1, at: 0), isOpen: true)
    for (i, device) in devices.enumerated() {
      let superblock = pool.superblock(for: DeviceIndex(index: UInt16(i)))
      let bytes = TestBlocks(count: 2)
      bytes.encode(superblock)
      for offset in FormatConstants.superblockOffsets[Int(superblock.sequence % 2)] {
        try unsafe device.write(
          at: DeviceByteOffset(offset), from: UnsafeRawBufferPointer(bytes.buffer))
      }
    }
    if let space = pool.completeCheckpoint() { freed.append(space) }
  }

  func releaseFreed() {
    for space in freed { pool.release(space) }
    freed = []
  }

  private func store(_ place: DevicePlace, _ byteCount: Int) throws {
    try unsafe devices[Int(place.device.index)].write(
      at: place.byteOffset,
      from: UnsafeRawBufferPointer(rebasing: staging[0..<byteCount]))
  }
}
