import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits

@testable import VolumeEngine

/// A server without hosts: it changes maps, runs rounds and checkpoints, one operation after the
/// other, on simulated devices that outlive it.
@safe final class OpeningTestServer {
  let devices: [SimulatedDevice]
  let pool: Pool
  let journal: JournalRing
  let report: PoolOpening.Report
  let tail: TailRing?
  private let set: DeviceSet
  private let blocks: AlignedMemory

  /// Opens the pool on the devices.
  init(
    _ devices: [SimulatedDevice], nonce: UInt64, tail memory: TailMemory? = nil
  ) throws(PoolOpeningError) {
    self.devices = devices
    let opened = try unsafe PoolOpening.open(
      devices,
      settings: PoolOpening.Settings(
        bounds: Self.bounds, recordBytes: 32 << 10, logNonce: nonce,
        opening: Opening(host: "test", process: 7, at: 99), bootID: memory?.boot),
      tail: memory.map { unsafe UnsafeRawBufferPointer($0.bytes) })
    pool = opened.pool
    journal = opened.journal
    report = opened.report
    var members: [DeviceIndex: any SynchronousDevice] = [:]
    for (index, device) in zip(opened.indices, devices) { members[index] = device }
    set = DeviceSet(members)
    blocks = AlignedMemory(
      byteCount: 4096 * JournalRing.blocksAtMost(forRecordBytes: pool.records.capacity))
    tail = memory.map {
      unsafe TailRing(
        memory: $0.bytes, pool: opened.pool.uuid, logGeneration: opened.journal.logGeneration,
        bootID: $0.boot)
    }
  }

  static let bounds = PoolBounds(
    nodeCacheBytes: 4 << 20, dirtyNodeBytes: 1 << 20, countDeltaBytes: 1 << 20)

  // MARK: Devices

  static func newDevices(_ sizes: [UInt64]) -> [SimulatedDevice] {
    sizes.enumerated().map { SimulatedDevice(name: "disk\($0.offset)", sizeBytes: $0.element) }
  }

  static func settings(
    _ deviceCount: Int, name: String = "pool", pool: UInt64 = 1, journalBlocks: UInt32? = 16,
    isForced: Bool = false
  ) -> PoolCreation.Settings {
    PoolCreation.Settings(
      name: name, poolUUID: StorageUUID(high: pool, low: 1),
      deviceUUIDs: (0..<deviceCount).map { StorageUUID(high: pool << 8, low: UInt64($0) + 1) },
      layout: PoolLayout.Options(journalBlocks: journalBlocks), isForced: isForced, logNonce: 5,
      opening: Opening(host: "test", process: 1, at: 1))
  }

  static func create(_ devices: [SimulatedDevice], journalBlocks: UInt32? = 16) throws {
    try PoolCreation.create(
      devices, settings: settings(devices.count, journalBlocks: journalBlocks))
  }

  // MARK: Changes

  @discardableResult
  func createVolume(_ name: String, sizeBytes: UInt64 = 1 << 30) throws -> VolumeSlot {
    let record = VolumeRecord(
      id: VolumeID(1), uuid: StorageUUID(high: 77, low: 1), name: name, sizeBytes: sizeBytes,
      logicalBlockBytes: 512, createdAt: 5, fullPolicy: .error)
    try pool.prepareCreate(record)
    _ = pool.applyCreate(record)
    copyToTail()
    guard let slot = pool.volume(named: name) else { preconditionFailure("it was created") }
    return slot
  }

  /// Maps `mask` of an extent as a write would. Makes room in the journal first.
  func write(_ volume: VolumeSlot, _ extent: UInt64, _ mask: BlockMask) throws {
    let x = VirtualExtent(index: extent)
    while true {
      switch pool.prepareMap(volume, x, tier: .hostWrite) {
      case .missing(let load): try supply(load)
      case .noSpace, .mustWaitForCheckpoint: try checkpoint()
      case .ready:
        switch WriteDecision(
          writing: mask, to: try entry(volume, x), shareEpoch: pool.shareEpoch(of: volume))
        {
        case .inPlace(let address):
          _ = pool.applyMap(volume, x, .wroteInPlace(extent: address, mask: mask))
        case .fresh(let copying):
          switch pool.takeExtent(for: volume, at: x) {
          case .missing(let load):
            try supply(load)
            continue
          case .noSpace:
            try checkpoint()
            continue
          case .extent(let address):
            _ = pool.applyMap(
              volume, x, .wroteFresh(extent: address, written: mask, copied: copying))
          }
        }
        copyToTail()
        return
      }
    }
  }

  func clear(_ volume: VolumeSlot, _ extent: UInt64, _ mask: BlockMask) throws {
    let x = VirtualExtent(index: extent)
    while true {
      switch pool.prepareMap(volume, x, tier: .reclaim) {
      case .missing(let load): try supply(load)
      case .noSpace, .mustWaitForCheckpoint: try checkpoint()
      case .ready:
        _ = pool.applyMap(volume, x, .cleared(mask: mask, keepsProvision: false))
        copyToTail()
        return
      }
    }
  }

  func delete(_ volume: VolumeSlot) throws {
    try pool.prepareDelete(volume)
    _ = pool.applyDelete(volume)
    copyToTail()
  }

  /// One step of dropping what is doomed.
  func drop() throws {
    while true {
      switch pool.prepareDrop() {
      case .missing(let load): try supply(load)
      case .ready:
        _ = pool.applyDrop()
        copyToTail()
        return
      case nil: return
      case .noSpace, .mustWaitForCheckpoint: try checkpoint()
      }
    }
  }

  private func copyToTail() {
    guard let tail else { return }
    let isWhole = tail.copyNew(from: pool.records)
    precondition(isWhole, "the test's tail is large enough")
  }

  func entry(_ volume: VolumeSlot, _ extent: VirtualExtent) throws -> MapEntry {
    while true {
      switch pool.lookup(volume, extent) {
      case .entry(let entry): return entry
      case .missing(let load): try supply(load)
      }
    }
  }

  private func supply(_ load: NodeLoad) throws {
    try NodeReader(devices: set, pool: pool).supply([load])
  }

  /// What every volume maps.
  func contents() throws -> [String: [UInt64: MapEntry]] {
    var all: [String: [UInt64: MapEntry]] = [:]
    for slot in pool.volumeSlots {
      var entries: [UInt64: MapEntry] = [:]
      let end = VirtualExtent(index: pool.sizeBytes(of: slot) >> 16)
      var from = VirtualExtent(index: 0)
      search: while from < end {
        switch pool.nextMapped(slot, from: from, before: end) {
        case .nothing: break search
        case .missing(let load): try supply(load)
        case .extent(let x, let entry):
          entries[x.index] = entry
          from = VirtualExtent(index: x.index + 1)
        }
      }
      all[pool.record(of: slot).name] = entries
    }
    return all
  }

  // MARK: Rounds and checkpoints

  /// A flush round: everything applied so far is durable when it returns.
  func flush() throws {
    while true {
      guard !(pool.records.hasWholeGroup && journal.freeBlocks < journal.blockCount / 4) else {
        try checkpoint()
        continue
      }
      try round()
      return
    }
  }

  private func round() throws {
    try set.flushAll()
    guard let batch = pool.records.cut() else { return }
    guard let append = unsafe journal.encode(batch, into: blocks.bytes) else {
      preconditionFailure("a quarter of the ring takes any batch")
    }
    for span in [append.head, append.wrapped].compactMap({ $0 }) {
      let bytes = unsafe UnsafeRawBufferPointer(
        rebasing: blocks.bytes[span.memoryOffset..<span.memoryOffset + span.byteCount])
      try unsafe set.write(bytes, at: span.place, span.secondPlace)
    }
    try set.flushAll()
    journal.batchDurable(append)
    tail?.truncate(through: batch.lastNumber)
    pool.records.finish(batch)
  }

  /// A checkpoint while the log generation goes on; `between` runs between its steps.
  func checkpoint(isOpen: Bool = true, between: () throws -> Void = {}) throws {
    if pool.isCheckpointRunning { preconditionFailure("one checkpoint at a time") }
    guard case .begun = pool.beginCheckpoint() else { preconditionFailure("no space") }
    let staging = AlignedMemory(byteCount: 256 << 10)
    steps: while true {
      switch unsafe pool.checkpointStep(staging: staging.bytes) {
      case .write(let address, let count):
        let places = pool.places(of: address)
        try write(staging, count, places.first, places.second)
      case .writeSystem(let first, let second, let count):
        try write(staging, count, first, second)
      case .load(let load): try supply(load)
      case .seal: break steps
      }
      try between()
    }
    try set.flushAll()
    let record = pool.checkpointRecord ?? pool.lastRecord
    let start = journal.replayStart(after: record)
    pool.sealCheckpoint(
      logGeneration: journal.logGeneration, nonce: journal.logNonce,
      firstSequence: start.sequence, previousChecksum: start.previousChecksum,
      opening: Opening(host: "test", process: 7, at: 100), isOpen: isOpen)
    for index in set.indices {
      try SuperblockSlots.write(pool.superblock(for: index), to: set.device(index))
    }
    try set.flushAll()
    journal.checkpointCompleted(pool.superblock(for: set.indices[0]))
    if let freed = pool.completeCheckpoint() { pool.release(freed) }
  }

  private func write(
    _ staging: borrowing AlignedMemory, _ count: Int, _ first: DevicePlace, _ second: DevicePlace?
  ) throws {
    let bytes = unsafe UnsafeRawBufferPointer(rebasing: staging.bytes[..<count])
    try unsafe set.write(bytes, at: first, second)
  }
}

/// The tail's memory, which outlives servers but not a boot.
@safe final class TailMemory {
  let bytes: UnsafeMutableRawBufferPointer
  var boot = StorageUUID(high: 3, low: 3)

  init() {
    unsafe bytes = .allocate(byteCount: 256 << 10, alignment: 4096)
    _ = unsafe bytes.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit { unsafe bytes.deallocate() }
}
