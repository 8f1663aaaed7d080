import BlockIO
import DiskFormat
import Management
import StorageUnits
import VolumeEngine

/// Reads what is on devices, for whoever looks for pools.
struct PoolScanner {
  /// A device of a pool, with what it says.
  private struct Found {
    var path: String
    var sizeBytes: UInt64
    var identity: PoolIdentity
    var superblock: Superblock
    var isInUse: Bool

    var described: ScannedDevice {
      ScannedDevice(
        path: path, uuid: superblock.deviceUUID, index: superblock.device.index,
        sizeBytes: sizeBytes, superblockSequence: superblock.sequence,
        openedByHost: superblock.openedBy.host,
        openedAt: Timestamp(secondsSince1970: Int64(clamping: superblock.openedBy.at)),
        isInUse: isInUse)
    }
  }

  private var found: [Found] = []
  private var others: [UnrecognizedDevice] = []

  /// Looks at each path; at a folder's files, if it is one. Throws `deviceMissing` if a path is not
  /// there.
  static func scan(_ paths: [String]) throws(ManagementError) -> PoolScan {
    var scanner = PoolScanner()
    for path in paths { try scanner.look(at: path) }
    return scanner.result
  }

  private mutating func look(at path: String) throws(ManagementError) {
    let devices = try DevicePaths(at: path)
    for path in devices.paths { lookAtDevice(path, isNamed: !devices.isFolder) }
  }

  private mutating func lookAtDevice(_ path: String, isNamed: Bool) {
    guard !found.contains(where: { $0.path == path }) else { return }
    do throws(DeviceOpenError) {
      let device = try FileDevice.open(
        path, cache: .buffered, access: .readOnly, exclusion: .none)
      defer { try? device.close() }
      do throws(PoolOpeningError) {
        let identity = PoolIdentity(reading: device)
        found.append(
          Found(
            path: path, sizeBytes: device.sizeBytes, identity: identity,
            superblock: try identity.superblock(), isInUse: Self.isInUse(path)))
      } catch {
        if case .notAPoolDevice = error, !isNamed { return }
        others.append(UnrecognizedDevice(path: path, reason: error.description))
      }
    } catch {
      // Sockets and folders beside the devices are nothing that anybody asked for.
      if error.problem == .wrongKind && !isNamed { return }
      others.append(UnrecognizedDevice(path: path, reason: error.description))
    }
  }

  /// Somebody serves or repairs it: a reader's lock is not to be had. A block device can only be
  /// claimed.
  private static func isInUse(_ path: String) -> Bool {
    do throws(DeviceOpenError) {
      let device = try FileDevice.open(
        path, cache: .buffered, access: .readOnly, exclusion: .shared)
      let isBlockDevice = device.isBlockDevice
      try? device.close()
      guard isBlockDevice else { return false }
      let claimed = try FileDevice.open(
        path, cache: .buffered, access: .readOnly, exclusion: .exclusive)
      try? claimed.close()
      return false
    } catch { return error.problem == .heldByAnother }
  }

  // MARK: Pools

  private var result: PoolScan {
    let groups = Dictionary(grouping: found) { $0.superblock.poolUUID }
    return PoolScan(
      pools: groups.values.map(Self.pool).sorted {
        ($0.name, $0.uuid.description)
          < ($1.name, $1.uuid.description)
      },
      others: others)
  }

  private static func pool(_ members: [Found]) -> ScannedPool {
    let newest = members.map(\.superblock).reduce(members[0].superblock) {
      $1.sequence > $0.sequence ? $1 : $0
    }
    let missing = newest.members.filter { member in
      member.state == .active
        && !members.contains { $0.superblock.deviceUUID == member.uuid }
    }
    var pool = ScannedPool(
      name: newest.poolName, uuid: newest.poolUUID, state: .complete, problem: nil,
      isClean: !newest.isOpen, isInUse: members.contains { $0.isInUse },
      openedByHost: newest.openedBy.host,
      openedAt: Timestamp(secondsSince1970: Int64(clamping: newest.openedBy.at)),
      devices: members.map(\.described).sorted { ($0.index, $0.path) < ($1.index, $1.path) },
      missingDevices: missing.map {
        MissingDevice(uuid: $0.uuid, index: $0.index.index, sizeBytes: $0.sizeBytes)
      })
    judge(&pool, members)
    return pool
  }

  private static func judge(_ pool: inout ScannedPool, _ members: [Found]) {
    let claims = Dictionary(grouping: pool.devices) { $0.uuid }.values.filter { $0.count > 1 }
    if let twins = claims.min(by: { $0[0].index < $1[0].index }) {
      pool.state = .ambiguous
      pool.problem =
        twins.map(\.path).joined(separator: " and ") + " both claim to be device"
        + " \(twins[0].index)"
    } else if !pool.missingDevices.isEmpty {
      pool.state = .incomplete
      let indices = pool.missingDevices.map { "\($0.index)" }.joined(separator: ", ")
      pool.problem =
        pool.missingDevices.count == 1
        ? "device \(indices) is missing" : "devices \(indices) are missing"
    } else if let problem = contradiction(members.map(\.identity)) {
      pool.state = .inconsistent
      pool.problem = problem
    }
  }

  /// What keeps the devices from being one pool; nil: nothing.
  private static func contradiction(_ devices: [PoolIdentity]) -> String? {
    do throws(PoolOpeningError) {
      try PoolIdentity.check(devices)
      return nil
    } catch { return error.description }
  }
}
