import DiskFormat
import StorageUnits

/// The checkpoint in work, and the memory from which it is written.
///
///     idle ─▶ image ─▶ image barrier ─▶ superblocks ─▶ superblock barrier ─▶ idle
///
/// One superblock sequence is in flight at a time: the next checkpoint begins after the last
/// barrier of this one.
@safe final class CheckpointRun {
  enum Phase {
    case idle
    /// The pieces of the image are being written, then awaited.
    case image
    case imageBarrier, superblocks, superblockBarrier
  }

  var phase = Phase.idle
  /// Somebody waits for a checkpoint to begin.
  var isWanted = false
  /// S of the newest complete checkpoint, and of the one in work.
  var completedRecord: RecordNumber
  var record = RecordNumber(0)
  /// The pool has handed out the whole image.
  var isImageComplete = false
  var pendingCommands = 0
  /// The superblocks say that the pool was stopped in good order.
  var closes = false
  /// The checkpoint before the closing one has been asked for.
  var isPrepared = false
  /// Management operations that wait for the next checkpoint, and for the one in work.
  var nextTokens: [UInt64] = []
  var tokens: [UInt64] = []

  // All owned from init to deinit and never moved: writes in flight point into them.
  private let staging: UnsafeMutableRawPointer
  private let stagingBytes: Int
  private var pendingWrites: [Int]
  private let superblocks: UnsafeMutableRawPointer
  private let superblockCount: Int

  var isRunning: Bool { phase != .idle }

  init(_ configuration: EngineConfiguration, deviceCount: Int, record: RecordNumber) {
    completedRecord = record
    stagingBytes = configuration.stagingBytes
    pendingWrites = Array(repeating: 0, count: configuration.stagingBuffers)
    unsafe staging = .allocate(
      byteCount: configuration.stagingBytes * configuration.stagingBuffers,
      alignment: FormatConstants.blockBytes)
    superblockCount = deviceCount
    unsafe superblocks = .allocate(
      byteCount: deviceCount * FormatConstants.superblockBytes,
      alignment: FormatConstants.blockBytes)
  }

  deinit {
    unsafe staging.deallocate()
    unsafe superblocks.deallocate()
  }

  // MARK: Staging buffers

  var freeStaging: Int? { pendingWrites.firstIndex(of: 0) }

  func memory(ofStaging index: Int) -> UnsafeMutableRawBufferPointer {
    precondition(index < pendingWrites.count)
    return unsafe UnsafeMutableRawBufferPointer(
      start: staging + index * stagingBytes, count: stagingBytes)
  }

  func writeStarted(fromStaging index: Int) {
    pendingWrites[index] += 1
    pendingCommands += 1
  }

  func writeEnded(fromStaging index: Int) {
    precondition(pendingWrites[index] > 0)
    pendingWrites[index] -= 1
  }

  // MARK: Superblocks

  func superblockMemory(_ device: DeviceIndex) -> UnsafeMutableRawBufferPointer {
    let index = Int(device.index)
    precondition(index < superblockCount)
    return unsafe UnsafeMutableRawBufferPointer(
      start: superblocks + index * FormatConstants.superblockBytes,
      count: FormatConstants.superblockBytes)
  }
}
