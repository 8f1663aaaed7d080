import BlockIO
import DiskFormat
import PoolCore
import StorageUnits

/// A whole checkpoint, one operation after the other: what creation and a start end with.
///
/// Order (design §4 rule 6): the image; barrier on all devices; superblocks; barrier on all
/// devices. Nobody is served meanwhile, so what becomes free has no quarantine.
struct SynchronousCheckpoint {
  let pool: Pool
  let devices: DeviceSet

  /// Writes the image of everything applied so far under a new log generation, which only its
  /// superblock carries. When this returns it is durable.
  func run(
    logGeneration: UInt64, logNonce: UInt64, opening: Opening, isOpen: Bool
  ) throws(CheckpointFailure) {
    try begin()
    let staging = AlignedMemory(byteCount: 256 << 10)
    try writeImage(staging)
    do throws(DeviceError) {
      try devices.flushAll()
      // A new generation's first block has sequence 1.
      pool.sealCheckpoint(
        logGeneration: logGeneration, nonce: logNonce, firstSequence: 1, previousChecksum: 0,
        opening: opening, isOpen: isOpen)
      for index in devices.indices {
        try SuperblockSlots.write(pool.superblock(for: index), to: devices.device(index))
      }
      try devices.flushAll()
    } catch { throw .device(error) }
    if let freed = pool.completeCheckpoint() { pool.release(freed) }
  }

  private func begin() throws(CheckpointFailure) {
    while true {
      let outcome = pool.beginCheckpoint()
      // The image holds these records, and the log generation that they would belong to ends.
      if let batch = pool.records.cut() { pool.records.finish(batch) }
      switch outcome {
      case .begun: return
      case .mustWaitForRound: continue
      case .noSpace: throw .noSpace
      case .alreadyRunning: preconditionFailure("nothing else runs during a start")
      }
    }
  }

  private func writeImage(_ staging: borrowing AlignedMemory) throws(CheckpointFailure) {
    let reader = NodeReader(devices: devices, pool: pool)
    while true {
      switch unsafe pool.checkpointStep(staging: staging.bytes) {
      case .write(let address, let byteCount):
        let places = pool.places(of: address)
        try write(staging, byteCount, places.first, places.second)
      case .writeSystem(let first, let second, let byteCount):
        try write(staging, byteCount, first, second)
      case .load(let load):
        do throws(TableDamage) { try reader.supply([load]) } catch { throw .damage(error) }
      case .seal: return
      }
    }
  }

  private func write(
    _ staging: borrowing AlignedMemory, _ byteCount: Int, _ first: DevicePlace,
    _ second: DevicePlace?
  ) throws(CheckpointFailure) {
    let bytes = unsafe UnsafeRawBufferPointer(rebasing: staging.bytes[..<byteCount])
    do throws(DeviceError) {
      try unsafe devices.write(bytes, at: first, second)
    } catch { throw .device(error) }
  }
}

/// Why a checkpoint could not be completed; what was durable before still is.
enum CheckpointFailure: Error {
  case device(DeviceError)
  case damage(TableDamage)
  /// The reserves should have prevented it.
  case noSpace
}
