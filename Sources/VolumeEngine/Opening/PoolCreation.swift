public import BlockIO
public import DiskFormat
import PoolCore
public import StorageUnits

/// Makes a pool of devices.
public enum PoolCreation {
  /// What the new pool is to be; identifiers and time are handed in.
  public struct Settings: Sendable {
    /// 1 to 127 characters of `[A-Za-z0-9._-]`.
    public var name: String
    public var poolUUID: StorageUUID
    /// One for each device, in order.
    public var deviceUUIDs: [StorageUUID]
    public var layout: PoolLayout.Options
    /// Extents taken ahead of a stream, 1 to 4096.
    public var allocationRunExtents: Int
    /// How long what is deleted stays in the trash; 0: it does not go there.
    public var trashExpirySeconds: UInt32
    /// Devices that carry a Lamina superblock are taken, and what they hold is lost.
    public var isForced: Bool
    public var logNonce: UInt64
    public var opening: Opening

    public init(
      name: String, poolUUID: StorageUUID, deviceUUIDs: [StorageUUID],
      layout: PoolLayout.Options = PoolLayout.Options(), allocationRunExtents: Int = 16,
      trashExpirySeconds: UInt32 = 0, isForced: Bool = false, logNonce: UInt64, opening: Opening
    ) {
      self.name = name
      self.poolUUID = poolUUID
      self.deviceUUIDs = deviceUUIDs
      self.layout = layout
      self.allocationRunExtents = allocationRunExtents
      self.trashExpirySeconds = trashExpirySeconds
      self.isForced = isForced
      self.logNonce = logNonce
      self.opening = opening
    }
  }

  /// The longest run that may be taken ahead: 256 MiB.
  public static let longestRun = 4096

  /// Writes an empty pool: the image as any checkpoint writes it, superblocks last. When this
  /// returns it is durable. A crash before leaves devices that are no pool.
  ///
  /// Everything is checked before anything is written. Signatures of other kinds (file systems,
  /// partition tables) are the caller's to check.
  public static func create(
    _ devices: [any SynchronousDevice], settings: Settings
  ) throws(PoolCreationError) {
    let layout = try check(devices, settings)
    do throws(DeviceError) {
      // An old superblock must not outlive what it describes.
      for device in devices { try SuperblockSlots.erase(on: device) }
    } catch { throw .device(error) }
    let pool = Pool(
      image(devices, settings, layout),
      bounds: PoolBounds(
        nodeCacheBytes: 8 << 20, dirtyNodeBytes: 4 << 20, countDeltaBytes: 4 << 20),
      recordCapacity: 64 << 10)
    var members: [DeviceIndex: any SynchronousDevice] = [:]
    for (i, device) in devices.enumerated() { members[DeviceIndex(index: UInt16(i))] = device }
    do throws(CheckpointFailure) {
      try SynchronousCheckpoint(pool: pool, devices: DeviceSet(members)).run(
        logGeneration: 1, logNonce: settings.logNonce, opening: settings.opening, isOpen: false)
    } catch {
      switch error {
      case .device(let problem): throw .device(problem)
      case .noSpace: throw .layout(.tooFewSegments(layout.segmentCount))
      case .damage: preconditionFailure("a new pool has nothing to load")
      }
    }
  }

  private static func check(
    _ devices: [any SynchronousDevice], _ settings: Settings
  ) throws(PoolCreationError) -> PoolLayout {
    precondition(settings.deviceUUIDs.count == devices.count)
    precondition(Set(settings.deviceUUIDs).count == devices.count)
    guard Pool.isValidName(settings.name) else { throw .badName(settings.name) }
    guard settings.allocationRunExtents >= 1, settings.allocationRunExtents <= longestRun else {
      throw .badAllocationRun(extents: settings.allocationRunExtents)
    }
    let layout: PoolLayout
    do throws(PoolLayoutError) {
      layout = try PoolLayout(
        devices.map { PoolLayout.Candidate(name: $0.name, sizeBytes: $0.sizeBytes) },
        options: settings.layout)
    } catch { throw .layout(error) }
    for device in devices where !settings.isForced {
      for copy in SuperblockSlots.read(from: device) {
        switch copy {
        case .absent: break
        case .unreadable(let problem): throw .device(problem)
        case .superblock(let superblock):
          throw .carriesPool(device.name, pool: superblock.poolName)
        case .damaged, .otherVersion, .unknownFeatures:
          throw .carriesPool(device.name, pool: nil)
        }
      }
    }
    return layout
  }

  private static func image(
    _ devices: [any SynchronousDevice], _ settings: Settings, _ layout: PoolLayout
  ) -> PoolImage {
    var members: [PoolMember] = []
    var ranges: [DeviceIndex: [SystemRange]] = [:]
    var uuids: [DeviceIndex: StorageUUID] = [:]
    for (i, device) in devices.enumerated() {
      let index = DeviceIndex(index: UInt16(i))
      members.append(
        PoolMember(
          uuid: settings.deviceUUIDs[i], index: index, state: .active,
          sizeBytes: device.sizeBytes, superblockSequence: 0))
      ranges[index] = layout.devices[i].systemRanges
      uuids[index] = settings.deviceUUIDs[i]
    }
    var superblock = Superblock(
      features: FeatureMasks(), poolUUID: settings.poolUUID, poolName: settings.name,
      deviceUUID: settings.deviceUUIDs[0], device: DeviceIndex(index: 0), sequence: 0,
      checkpointSequence: 0, checkpointRecord: RecordNumber(0), logGeneration: 1,
      logNonce: settings.logNonce, applyVersion: ApplyVersion.current, shareEpoch: ShareEpoch(1),
      segmentShift: layout.segmentShift, segmentCount: UInt32(layout.segmentCount),
      allocationRunExtents: UInt16(settings.allocationRunExtents), nextVolumeID: 1,
      bounds: WriterBounds(dirtyNodeBytes: 0, countDeltaBytes: 0), catalogue: .none,
      doomed: .none, segmentTable: SystemTreeRoot(pointer: nil, level: 0),
      streams: [layout.stream], systemRanges: layout.devices[0].systemRanges, members: members,
      fenceEpoch: 0, openedBy: settings.opening, isOpen: false)
    superblock.settings.trashExpirySeconds = settings.trashExpirySeconds
    return PoolImage(
      superblock: superblock, segments: layout.segments(), nodeCounts: [:], segmentPages: [],
      catalogue: PoolImage.emptyCatalogue, volumes: [], doomedTree: PoolImage.emptyDoomed,
      doomed: [], systemRanges: ranges, deviceUUIDs: uuids)
  }
}

/// Why a pool was not created.
public enum PoolCreationError: Error, Hashable, Sendable, CustomStringConvertible {
  case badName(String)
  case badAllocationRun(extents: Int)
  case layout(PoolLayoutError)
  /// The device carries a superblock, or the remains of one (nil). Nothing was changed.
  case carriesPool(String, pool: String?)
  /// The devices are no pool now.
  case device(DeviceError)

  public var description: String {
    switch self {
    case .badName(let name):
      "\"\(name)\" is no name for a pool: use 1 to 127 characters of A-Z a-z 0-9 . _ -"
    case .badAllocationRun(let extents):
      "an allocation run of \(extents) extents is not possible: choose 64 KiB to 256 MiB"
    case .layout(let problem): problem.description
    case .carriesPool(let name, let pool?):
      "\(name) belongs to pool \(pool): use another device, or --force to lose what it holds"
    case .carriesPool(let name, nil):
      "\(name) carries a damaged or newer Lamina superblock: use another device, or --force to "
        + "lose "
        + "what it holds"
    case .device(let problem): problem.description
    }
  }
}
