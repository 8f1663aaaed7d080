import BlockExport
public import StorageUnits

/// The counters behind `EngineStatistics`, kept where counting costs one addition.
@safe final class StatisticsCounters {
  // Indexed by device index; owned from init to deinit.
  private let devices: UnsafeMutablePointer<DeviceStatistics>
  private let deviceCount: Int
  var errors: UInt64 = 0
  var zeroBlocks: UInt64 = 0
  var rounds: UInt64 = 0
  var checkpoints: UInt64 = 0
  var merges: UInt64 = 0
  var punchedBytes: UInt64 = 0
  var owedDiscards: UInt64 = 0
  private var reads: UInt64 = 0
  private var writes: UInt64 = 0
  private var flushes: UInt64 = 0
  private var discards: UInt64 = 0
  private var writeZeroes: UInt64 = 0
  private var blockStatuses: UInt64 = 0

  init(deviceCount: Int) {
    self.deviceCount = deviceCount
    unsafe devices = .allocate(capacity: deviceCount)
    unsafe devices.initialize(repeating: DeviceStatistics(), count: deviceCount)
  }

  deinit { unsafe devices.deallocate() }

  func count(_ operation: ExportRequest.Operation) {
    switch operation {
    case .read: reads += 1
    case .write: writes += 1
    case .flush: flushes += 1
    case .discard: discards += 1
    case .writeZeroes: writeZeroes += 1
    case .blockStatus: blockStatuses += 1
    }
  }

  func count(_ purpose: IOPurpose, on device: DeviceIndex) {
    let i = Int(device.index)
    precondition(i < deviceCount)
    switch purpose {
    case .partRead, .resizeRead: unsafe devices[i].dataReads += 1
    case .partWrite, .resizeWrite: unsafe devices[i].dataWrites += 1
    case .nodeLoad: unsafe devices[i].nodeReads += 1
    case .stagingWrite, .superblockWrite: unsafe devices[i].nodeWrites += 1
    case .journalWrite: unsafe devices[i].journalWrites += 1
    case .roundBarrier, .journalBarrier, .checkpointBarrier: unsafe devices[i].flushes += 1
    case .reserve, .punch: break
    }
  }

  func device(_ device: DeviceIndex) -> DeviceStatistics {
    let i = Int(device.index)
    guard i < deviceCount else { return DeviceStatistics() }
    return unsafe devices[i]
  }

  var all: EngineStatistics {
    var all = EngineStatistics()
    all.reads = reads
    all.writes = writes
    all.flushes = flushes
    all.discards = discards
    all.writeZeroes = writeZeroes
    all.blockStatuses = blockStatuses
    all.errors = errors
    all.zeroBlocks = zeroBlocks
    all.rounds = rounds
    all.checkpoints = checkpoints
    all.merges = merges
    all.punchedBytes = punchedBytes
    all.owedDiscards = owedDiscards
    return all
  }
}

extension VolumeEngine {
  /// What has been done since the start.
  public var statistics: EngineStatistics {
    var all = counters.all
    all.parkedRequests = parkedRequests
    return all
  }

  /// What has been done on one device since the start.
  public func statistics(of device: DeviceIndex) -> DeviceStatistics { counters.device(device) }
}
