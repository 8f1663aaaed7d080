public import BlockIO
public import DiskFormat

/// What devices say of the pool that they belong to, found by reading their superblocks only.
/// Nothing is written, and no lock is needed: what is read is as it was at that moment.
public enum PoolIdentity {
  /// The newest good superblock on a device.
  public static func superblock(
    on device: any SynchronousDevice
  ) throws(PoolOpeningError) -> Superblock {
    try PoolMembership.newest(of: found(on: device))
  }

  /// Checks that these are the devices of one pool, all of them and each once; returns its newest
  /// superblock.
  public static func check(
    _ devices: [any SynchronousDevice]
  ) throws(PoolOpeningError) -> Superblock {
    try PoolMembership(devices.map(found(on:))).newest
  }

  private static func found(on device: any SynchronousDevice) -> PoolMembership.Found {
    PoolMembership.Found(
      name: device.name, sizeBytes: device.sizeBytes, copies: SuperblockSlots.read(from: device))
  }
}
