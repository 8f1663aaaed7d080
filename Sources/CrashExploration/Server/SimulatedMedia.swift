import BlockIO
import DiskFormat
public import DiskSimulation
import PoolInspection
import StorageUnits
public import VolumeEngine

/// What outlives a server: its devices, and the tail as long as the machine is not started anew.
public struct SimulatedMedia {
  public var devices: [SimulatedDevice]
  public var tail: [UInt8]
  /// Counts the starts of the machine: another boot ignores the tail.
  public var boot: UInt64

  public init(devices: [SimulatedDevice], tail: [UInt8], boot: UInt64) {
    self.devices = devices
    self.tail = tail
    self.boot = boot
  }

  /// What can be varied of a pool.
  public struct Options: Hashable, Sendable {
    public var deviceBytes: [UInt64] = [20 << 20, 14 << 20]
    public var logicalBlockBytes = 512
    public var segmentBytes: UInt64 = 256 << 10
    public var journalBlocks: UInt32 = 12
    public var allocationRunExtents = 3
    /// Memory for records between two rounds, in bytes; it decides the size of the tail.
    public var recordBytes = 16 << 10

    public init() {}

    /// A tail in which nothing was written yet.
    public var emptyTail: [UInt8] {
      [UInt8](repeating: 0, count: TailRing.bytes(forRecordBytes: recordBytes))
    }
  }

  /// A new, empty pool.
  public static func create(_ options: Options) throws(PoolCreationError) -> SimulatedMedia {
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
        allocationRunExtents: options.allocationRunExtents, logNonce: 5,
        opening: Opening(host: "test", process: 1, at: 1)))
    return SimulatedMedia(devices: devices, tail: options.emptyTail, boot: 1)
  }

  /// The same media once more, to be tried another way.
  public func fork() -> SimulatedMedia {
    SimulatedMedia(devices: devices.map { $0.fork() }, tail: tail, boot: boot)
  }

  /// The power goes: each unflushed write is kept, lost or torn as the chooser says, and the
  /// machine is started anew.
  public mutating func cutPower(_ chooser: some CrashChooser) {
    var chooser = chooser
    SimulatedDisks(devices: devices, seed: 0).powerCut(choosing: &chooser)
    boot += 1
  }

  /// The process is killed: what it gave to the kernel ends before the next one gets the lock.
  public func kill(seed: UInt64) {
    for device in devices {
      device.processDeath(seed % 3 == 0 ? .inFlightLands : .seeded(seed))
      device.landLateWrites()
    }
  }

  /// What a recount of the devices finds; notices (a superblock copy that a crash tore) left out
  /// unless the pool was closed. A receiver that is cut off with its server leaves one in any case.
  public func inspect(isClosed: Bool = false) -> [String] {
    let findings = PoolInspector.inspect(devices: devices).findings.filter {
      if case .receiveUnfinished = $0.problem { return false }
      return isClosed || $0.severity > .notice
    }
    return findings.prefix(5).map {
      "inspection: \($0.problem) at \($0.place)"
    }
  }
}
