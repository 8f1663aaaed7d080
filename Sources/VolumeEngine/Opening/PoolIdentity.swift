public import BlockIO
public import DiskFormat

/// What a device says of the pool that it belongs to: its superblocks, read once. Nothing is
/// written, and no lock is needed: it is as it was at that moment.
public struct PoolIdentity {
  private let found: PoolMembership.Found

  public init(reading device: any SynchronousDevice) {
    found = PoolMembership.Found(reading: device)
  }

  /// The newest good superblock.
  public func superblock() throws(PoolOpeningError) -> Superblock {
    try PoolMembership.newest(of: found)
  }

  /// Checks that these are the devices of one pool, all of them and each once.
  public static func check(_ devices: [PoolIdentity]) throws(PoolOpeningError) {
    _ = try PoolMembership(devices.map(\.found))
  }
}
