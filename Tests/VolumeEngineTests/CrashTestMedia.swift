import BlockIO
import DiskFormat
import DiskSimulation
import StorageUnits
import VolumeEngine

/// What outlives a server: its devices, and the tail as long as the machine is not started anew.
struct CrashTestMedia {
  var devices: [SimulatedDevice]
  var tail: [UInt8]
  var boot: UInt64

  /// What a test varies of a pool.
  struct Options {
    var deviceBytes: [UInt64] = [20 << 20, 14 << 20]
    var logicalBlockBytes = 512
    var segmentBytes: UInt64 = 256 << 10
    var journalBlocks: UInt32 = 12
  }

  static let recordBytes = 16 << 10

  /// A new, empty pool.
  static func create(_ options: Options) throws -> CrashTestMedia {
    let devices = options.deviceBytes.enumerated().map { i, bytes in
      SimulatedDevice(
        name: "disk\(i)", sizeBytes: bytes, logicalBlockBytes: options.logicalBlockBytes)
    }
    try PoolCreation.create(
      devices,
      settings: PoolCreation.Settings(
        name: "pool", poolUUID: StorageUUID(high: 5, low: 1),
        deviceUUIDs: devices.indices.map { StorageUUID(high: 6, low: UInt64($0) + 1) },
        layout: PoolLayout.Options(
          segmentBytes: options.segmentBytes, journalBlocks: options.journalBlocks),
        allocationRunExtents: 3, logNonce: 5, opening: Opening(host: "test", process: 1, at: 1)))
    return CrashTestMedia(
      devices: devices,
      tail: [UInt8](repeating: 0, count: TailRing.bytes(forRecordBytes: recordBytes)), boot: 1)
  }

  /// The same media once more, to be tried another way.
  func fork() -> CrashTestMedia {
    CrashTestMedia(devices: devices.map { $0.fork() }, tail: tail, boot: boot)
  }

  /// The power goes: each unflushed write is kept, lost or torn as the seed says, and the machine
  /// is started anew.
  mutating func cutPower(_ chooser: some CrashChooser) {
    var chooser = chooser
    SimulatedDisks(devices: devices, seed: 0).powerCut(choosing: &chooser)
    boot += 1
  }

  /// The process is killed: what it gave to the kernel ends before the next one gets the lock.
  func kill(seed: UInt64) {
    for device in devices {
      device.processDeath(seed % 3 == 0 ? .inFlightLands : .seeded(seed))
      device.landLateWrites()
    }
  }
}
