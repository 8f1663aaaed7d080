import BlockExport
import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import Testing
import VolumeEngine

/// What a test varies of a pool and its engine.
struct RigOptions {
  /// Segments of each device.
  var segments = [40, 24]
  /// Blocks of a segment: 2^shift.
  var shift: UInt8 = 8
  var bounds = PoolBounds(
    nodeCacheBytes: 4 << 20, dirtyNodeBytes: 1 << 20, countDeltaBytes: 1 << 20)
  var journalBlocks: UInt32 = 256
  var recordBytes = 64 << 10
  var allocationRun: UInt16 = 4
  var hasTail = true
  var seed: UInt64 = 1
  var configuration = EngineConfiguration(opening: Opening(host: "test", process: 1, at: 0))

  init() {
    configuration.requestSlots = 64
    configuration.parkedRequests = 16
    configuration.bounceExtents = 4
    configuration.commandSlots = 1024
    configuration.nodeLoads = 8
    configuration.growsAhead = false
    configuration.punchesFreedSpace = false
  }
}

/// An engine on a new pool of simulated devices, driven as the server drives it: submissions,
/// completions in an order drawn from the seed, turns, and a clock that moves when it is told to.
@safe final class EngineRig {
  let disks: SimulatedDisks
  let pool: Pool
  let engine: VolumeEngine
  var clock = SimulatedClock(now: MonotonicTime(nanoseconds: 1_000_000_000))
  /// Answers by token.
  private(set) var answers: [UInt64: ExportAnswer] = [:]
  private(set) var statuses: [UInt64: [BlockStatusExtent]] = [:]
  private(set) var managementAnswers: [UInt64: ManagementResult] = [:]
  private var buffers: [UInt64: HostBuffer] = [:]
  private var nextToken: UInt64 = 1
  private let tailMemory: UnsafeMutableRawBufferPointer

  init(_ options: RigOptions = RigOptions()) {
    let image = Self.image(options)
    disks = SimulatedDisks(
      devices: options.segments.indices.map { i in
        SimulatedDevice(
          name: "disk\(i)",
          sizeBytes: UInt64(8192 + options.segments[i] << Int(options.shift)) << 12)
      }, seed: options.seed)
    pool = Pool(image, bounds: options.bounds, recordCapacity: options.recordBytes)
    unsafe tailMemory = .allocate(
      byteCount: TailRing.bytes(forRecordBytes: options.recordBytes), alignment: 4096)
    let tail =
      options.hasTail
      ? unsafe TailRing(
        memory: tailMemory, pool: pool.uuid, logGeneration: 1, bootID: .zero) : nil
    engine = VolumeEngine(
      pool: pool, configuration: options.configuration,
      journal: JournalRing(superblock: image.superblock), tail: tail)
  }

  deinit { unsafe tailMemory.deallocate() }

  private static func image(_ options: RigOptions) -> PoolImage {
    var entries: [SegmentEntry] = []
    var ranges: [DeviceIndex: [SystemRange]] = [:]
    var uuids: [DeviceIndex: StorageUUID] = [:]
    var members: [PoolMember] = []
    for (device, count) in options.segments.enumerated() {
      let index = DeviceIndex(index: UInt16(device))
      ranges[index] = [SystemRange(firstBlock: 256, blockCount: 4096)]
      uuids[index] = StorageUUID(high: 9, low: UInt64(device + 1))
      members.append(
        PoolMember(
          uuid: StorageUUID(high: 9, low: UInt64(device + 1)), index: index, state: .active,
          sizeBytes: UInt64(8192 + count << Int(options.shift)) << 12, superblockSequence: 1))
      for i in 0..<count {
        let block = UInt64(8192 + i << Int(options.shift))
        entries.append(SegmentEntry(place: DevicePlace(device: index, block: block)))
      }
    }
    let second =
      options.segments.count > 1
      ? DevicePlace(device: DeviceIndex(index: 1), block: 256) : nil
    let superblock = Superblock(
      features: FeatureMasks(), poolUUID: StorageUUID(high: 7, low: 8), poolName: "test",
      deviceUUID: members[0].uuid, device: DeviceIndex(index: 0), sequence: 1,
      checkpointSequence: 0, checkpointRecord: RecordNumber(0), logGeneration: 1, logNonce: 1,
      applyVersion: ApplyVersion.current, shareEpoch: ShareEpoch(1), segmentShift: options.shift,
      segmentCount: UInt32(entries.count), allocationRunExtents: options.allocationRun,
      nextVolumeID: 1, bounds: WriterBounds(dirtyNodeBytes: 0, countDeltaBytes: 0),
      catalogue: .none, doomed: .none, segmentTable: SystemTreeRoot(pointer: nil, level: 0),
      streams: [
        JournalStream(
          place: DevicePlace(device: DeviceIndex(index: 0), block: 256), secondPlace: second,
          blockCount: options.journalBlocks, firstSequence: 1, previousChecksum: 0)
      ], systemRanges: ranges[DeviceIndex(index: 0)] ?? [], members: members, fenceEpoch: 0,
      openedBy: Opening(host: "test", process: 1, at: 0), isOpen: false)
    return PoolImage(
      superblock: superblock, segments: entries, nodeCounts: [:], segmentPages: [],
      catalogue: PoolImage.emptyCatalogue, volumes: [], doomedTree: PoolImage.emptyDoomed,
      doomed: [], systemRanges: ranges, deviceUUIDs: uuids)
  }

  // MARK: Driving

  /// A turn, then the engine's commands go to the disks and its answers are taken.
  func turn() {
    engine.turn(now: clock.now)
    collect()
  }

  func collect() {
    while let command = engine.commands.removeFirst() { disks.submit(command) }
    while let answer = engine.answers.removeFirst() {
      precondition(answers[answer.token] == nil, "answered twice")
      answers[answer.token] = answer
      if answer.extentCount > 0 {
        let range = answer.firstExtent..<answer.firstExtent + answer.extentCount
        statuses[answer.token] = Array(engine.blockStatusExtents[range])
      }
    }
    while let answer = engine.nextManagementAnswer() {
      managementAnswers[answer.token] = answer.result
    }
  }

  /// Completes the command at this place in the order of submission.
  func complete(at index: Int = 0) {
    if let completion = disks.complete(at: index) { engine.complete(completion) }
    turn()
  }

  /// Completes commands of this kind until none is left.
  func completeAll(_ operation: IOCommand.Operation) {
    while let index = disks.inFlight.firstIndex(where: { $0.operation == operation }) {
      complete(at: index)
    }
  }

  /// One random completion; false if nothing is in flight.
  func completeOne() -> Bool {
    guard let completion = disks.completeOne() else { return false }
    engine.complete(completion)
    turn()
    return true
  }

  /// Runs until nothing is in flight and nothing is to do at once.
  func settle() {
    var turns = 0
    repeat {
      turn()
      turns += 1
      precondition(turns < 1_000_000, "the engine does not come to rest")
    } while completeOne() || engine.nextDeadline.map { $0 <= clock.now } == true
  }

  // MARK: Requests

  /// Submits a request; `bytes` is what a write carries.
  @discardableResult
  func submit(
    _ operation: ExportRequest.Operation, _ volume: VolumeID, at offset: UInt64 = 0,
    length: UInt64 = 0, bytes: [UInt8]? = nil, flags: ExportRequest.Flags = []
  ) -> UInt64 {
    let token = nextToken
    nextToken += 1
    let count = bytes.map { UInt64($0.count) } ?? length
    var pointer: UnsafeMutableRawPointer?
    if operation == .read || operation == .write {
      let skip = Int(offset % 4096)
      let size = (skip + Int(count) + 4095) / 4096 * 4096
      let buffer = HostBuffer(byteCount: max(size, 4096))
      buffers[token] = buffer
      unsafe pointer = buffer.base + skip
      if let bytes { unsafe pointer?.copyMemory(from: bytes, byteCount: bytes.count) }
    }
    let request = unsafe ExportRequest(
      operation, flags: flags, volume: volume, offset: offset, length: count, buffer: pointer,
      token: token)
    precondition(engine.submit(request), "no slot")
    collect()
    return token
  }

  /// The outcome of a request that has been answered: nil is success.
  func outcome(_ token: UInt64) -> ExportError? {
    guard let answer = answers[token] else { preconditionFailure("not answered") }
    return answer.error
  }

  func isAnswered(_ token: UInt64) -> Bool { answers[token] != nil }

  /// What a read has brought.
  func bytes(_ token: UInt64, at offset: UInt64, count: Int) -> [UInt8] {
    guard let buffer = buffers[token] else { return [] }
    let start = unsafe buffer.base + Int(offset % 4096)
    return unsafe Array(UnsafeRawBufferPointer(start: start, count: count))
  }

  func forget(_ token: UInt64) {
    buffers[token] = nil
    answers[token] = nil
  }

  // MARK: One after the other

  func createVolume(
    _ name: String = "v", size: UInt64, blockBytes: UInt32 = 512,
    policy: FullPoolPolicy = .error
  ) -> VolumeID {
    let token = nextToken
    nextToken += 1
    engine.createVolume(
      VolumeRecord(
        id: VolumeID(0), uuid: StorageUUID(high: 1, low: token), name: name, sizeBytes: size,
        logicalBlockBytes: blockBytes, createdAt: 0, fullPolicy: policy), token: token)
    settle()
    guard case .created(let id) = managementAnswers[token] else {
      preconditionFailure("not created: \(String(describing: managementAnswers[token]))")
    }
    return id
  }

  func run(
    _ operation: ExportRequest.Operation, _ volume: VolumeID, at offset: UInt64 = 0,
    length: UInt64 = 0, bytes: [UInt8]? = nil, flags: ExportRequest.Flags = []
  ) -> ExportError? {
    let token = submit(
      operation, volume, at: offset, length: length, bytes: bytes, flags: flags)
    settle()
    defer { forget(token) }
    return outcome(token)
  }

  func write(_ volume: VolumeID, at offset: UInt64, _ bytes: [UInt8]) -> ExportError? {
    run(.write, volume, at: offset, bytes: bytes)
  }

  func read(_ volume: VolumeID, at offset: UInt64, _ count: Int) -> [UInt8] {
    let token = submit(.read, volume, at: offset, length: UInt64(count))
    settle()
    defer { forget(token) }
    precondition(outcome(token) == nil, "read failed")
    return bytes(token, at: offset, count: count)
  }

  func status(
    _ volume: VolumeID, at offset: UInt64, _ length: UInt64, flags: ExportRequest.Flags = []
  ) -> [BlockStatusExtent] {
    let token = submit(.blockStatus, volume, at: offset, length: length, flags: flags)
    settle()
    precondition(outcome(token) == nil)
    return statuses[token] ?? []
  }

  /// A management operation, run to its answer.
  func manage(_ begin: (VolumeEngine, UInt64) -> Void) -> ManagementResult? {
    let token = beginManagement(begin)
    settle()
    return managementAnswers[token]
  }

  func beginManagement(_ begin: (VolumeEngine, UInt64) -> Void) -> UInt64 {
    let token = nextToken
    nextToken += 1
    begin(engine, token)
    turn()
    return token
  }

  // MARK: What is seen

  var dataReads: UInt64 { sum(\.dataReads) }
  var dataWrites: UInt64 { sum(\.dataWrites) }
  var flushes: UInt64 { sum(\.flushes) }
  private func sum(_ path: KeyPath<DeviceStatistics, UInt64>) -> UInt64 {
    pool.devices.reduce(0) { $0 + engine.statistics(of: $1)[keyPath: path] }
  }

  func record(_ volume: VolumeID) -> VolumeRecord {
    guard let slot = pool.volume(volume) else { preconditionFailure("no such volume") }
    return pool.record(of: slot)
  }

  func inFlight(_ operation: IOCommand.Operation) -> Int {
    disks.inFlight.filter { $0.operation == operation }.count
  }
}

/// `count` bytes that differ by seed and place; none is zero.
func pattern(_ seed: Int, _ count: Int) -> [UInt8] {
  var random = SeededRandom(seed: UInt64(seed))
  let words = (0..<(count + 7) / 8).map { _ in random.next() | 0x0101_0101_0101_0101 }
  return unsafe words.withUnsafeBytes { unsafe Array($0[..<count]) }
}

/// Says where bytes differ, not what all of them are.
func expectSame(
  _ found: [UInt8], _ expected: [UInt8], sourceLocation: SourceLocation = #_sourceLocation
) {
  if found == expected { return }
  let place = zip(found, expected).enumerated().first { $0.element.0 != $0.element.1 }?.offset
  Issue.record(
    "\(found.count) bytes for \(expected.count), different from \(place ?? -1) on",
    sourceLocation: sourceLocation)
}

func expectZeros(_ found: [UInt8], sourceLocation: SourceLocation = #_sourceLocation) {
  expectSame(
    found, [UInt8](repeating: 0, count: found.count), sourceLocation: sourceLocation)
}

/// The buffer of a request, as a target would hand it in.
@safe private final class HostBuffer {
  let base: UnsafeMutableRawPointer

  init(byteCount: Int) {
    unsafe base = .allocate(byteCount: byteCount, alignment: 4096)
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0xEE, count: byteCount)
  }

  deinit { unsafe base.deallocate() }
}
