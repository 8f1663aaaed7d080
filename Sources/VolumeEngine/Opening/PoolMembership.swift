import BlockIO
import DiskFormat
import StorageUnits

/// Judges what the superblocks of the devices say: which is the newest, and whether the devices are
/// the pool's, all of them, each once. Pure.
struct PoolMembership {
  /// What was found on one device.
  struct Found {
    /// Its path.
    var name: String
    var sizeBytes: UInt64
    /// The four copies, slot by slot.
    var copies: [SuperblockSlots.Copy]
  }

  /// The newest superblock of all devices.
  let newest: Superblock
  /// Of each device that was handed in, its index in the pool, in the same order.
  let indices: [DeviceIndex]
  /// Of each member that is active, where its own system area lies.
  let systemRanges: [DeviceIndex: [SystemRange]]
  let deviceUUIDs: [DeviceIndex: StorageUUID]
  /// Members that do not have the newest superblock: a crash came between the members.
  let behind: [DeviceIndex]
  /// Copies of superblocks that were damaged or could not be read.
  let damagedCopies: Int
  private let names: [DeviceIndex: String]

  /// `expected`: the pool that is meant; nil: the first device says it.
  init(
    _ devices: [Found], expecting expected: PoolOpening.ExpectedPool? = nil
  ) throws(PoolOpeningError) {
    guard !devices.isEmpty else { throw .noDevices }
    var own: [Superblock] = []
    for device in devices { own.append(try Self.newest(of: device)) }
    let meant =
      expected ?? PoolOpening.ExpectedPool(uuid: own[0].poolUUID, name: own[0].poolName)
    for (superblock, device) in zip(own, devices) where superblock.poolUUID != meant.uuid {
      throw .foreignDevice(device.name, pool: superblock.poolName, expected: meant.name)
    }
    let newest = own.reduce(own[0]) { $1.sequence > $0.sequence ? $1 : $0 }
    var indices: [DeviceIndex] = []
    var names: [DeviceIndex: String] = [:]
    for (superblock, device) in zip(own, devices) {
      let index = try Self.judge(device, superblock, in: newest)
      if let other = names[index] { throw .duplicateDevice(device.name, other) }
      names[index] = device.name
      indices.append(index)
    }
    for member in newest.members where member.state == .active && names[member.index] == nil {
      throw .memberMissing(pool: newest.poolName, uuid: member.uuid, index: member.index)
    }
    self.newest = newest
    self.indices = indices
    self.names = names
    var ranges: [DeviceIndex: [SystemRange]] = [:]
    for (index, superblock) in zip(indices, own) { ranges[index] = superblock.systemRanges }
    systemRanges = ranges
    behind = zip(indices, own).filter { $1.sequence < newest.sequence }.map { $0.0 }
    deviceUUIDs = Dictionary(
      newest.members.map { ($0.index, $0.uuid) }, uniquingKeysWith: { first, _ in first })
    damagedCopies = devices.reduce(0) { sum, device in
      sum
        + device.copies.count { copy in
          switch copy {
          case .damaged, .unreadable, .otherVersion: true
          case .superblock, .absent, .unknownFeatures: false
          }
        }
    }
  }

  /// `durable`: a superblock that was durable on every member, as the journal says. A member
  /// without it is not one that a crash left behind but an old copy of itself.
  func refuseOldMembers(durable sequence: UInt64) throws(PoolOpeningError) {
    guard sequence >= newest.sequence, let index = behind.first, let name = names[index] else {
      return
    }
    throw .staleMember(name, has: newest.sequence - 1, newest: newest.sequence)
  }

  /// The newest superblock on one device, from the copies that are good.
  static func newest(of device: Found) throws(PoolOpeningError) -> Superblock {
    var best: Superblock?
    var damage: FormatError?
    var failure: DeviceError?
    var looksLikeOne = false
    for copy in device.copies {
      switch copy {
      case .superblock(let superblock):
        if superblock.sequence > best?.sequence ?? 0 { best = superblock }
      // It is intact, so whoever wrote it meant it; an older one beside it must not be used.
      case .unknownFeatures(let bits): throw .unknownFeatures(device.name, bits)
      case .damaged(let problem):
        damage = problem
        looksLikeOne = true
      case .unreadable(let problem): failure = problem
      case .otherVersion: looksLikeOne = true
      case .absent: break
      }
    }
    // One copy may be rotten; both of a slot say that another version wrote it.
    for slot in 0..<device.copies.count / 2
    where device.copies[2 * slot] == .otherVersion && device.copies[2 * slot + 1] == .otherVersion {
      throw .unknownVersion(device.name)
    }
    if let best { return best }
    if let failure { throw .device(failure) }
    if looksLikeOne {
      throw .superblockDamaged(device.name, damage ?? .unknownVersion(.superblock))
    }
    throw .notAPoolDevice(device.name)
  }

  private static func judge(
    _ device: Found, _ own: Superblock, in newest: Superblock
  ) throws(PoolOpeningError) -> DeviceIndex {
    guard let member = newest.members.first(where: { $0.uuid == own.deviceUUID }),
      member.index == own.device
    else { throw .notAMember(device.name, pool: newest.poolName) }
    guard member.state == .active else {
      throw .expelledMember(device.name, pool: newest.poolName)
    }
    // A superblock write is on every member before the next one starts; a start sees to that for
    // one that a crash interrupted.
    guard own.sequence + 1 >= newest.sequence else {
      throw .staleMember(device.name, has: own.sequence, newest: newest.sequence)
    }
    guard device.sizeBytes >= member.sizeBytes else {
      throw .deviceShrunk(
        device.name, sizeBytes: device.sizeBytes, recordedBytes: member.sizeBytes)
    }
    return member.index
  }
}

extension PoolMembership.Found {
  init(reading device: any SynchronousDevice) {
    self.init(
      name: device.name, sizeBytes: device.sizeBytes, copies: SuperblockSlots.read(from: device))
  }
}
