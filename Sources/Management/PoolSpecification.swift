/// A pool that is to be created. Sizes are checked here as far as that needs no device.
public struct PoolSpecification: Hashable, Sendable {
  public let name: PoolName
  /// 1 to 60.
  public let devices: [DeviceArgument]
  /// A power of two from 64 KiB to 64 MiB; nil: the pool chooses by its size.
  public let segmentSizeBytes: UInt64?
  /// A multiple of 64 KiB up to 64 MiB; nil: the pool chooses.
  public let allocationRunBytes: UInt64?
  public let cacheMode: CacheMode
  /// How long what is deleted stays in the trash; 0: it does not go there.
  public let trashExpirySeconds: UInt32
  /// Take devices although they carry a known signature.
  public let overwriteForeignData: Bool

  public static let maximumDevices = 60
  private static let extentBytes: UInt64 = 64 << 10
  private static let largestBytes: UInt64 = 64 << 20

  /// Throws `invalidArgument` or `invalidSize`.
  public init(
    name: PoolName, devices: [DeviceArgument], segmentSizeBytes: UInt64? = nil,
    allocationRunBytes: UInt64? = nil, cacheMode: CacheMode = .direct,
    overwriteForeignData: Bool = false, trashExpirySeconds: UInt32 = 0
  ) throws(ManagementError) {
    try Self.check(devices: devices, of: name)
    if let bytes = segmentSizeBytes,
      !(Self.extentBytes...Self.largestBytes).contains(bytes) || bytes.nonzeroBitCount != 1
    {
      throw ManagementError(
        .invalidSize, "a segment cannot have \(bytes) bytes",
        correction: "Use a power of two from 64K to 64M, or leave --segment-size out.",
        objects: [ManagementObject(.option, "--segment-size")])
    }
    if let bytes = allocationRunBytes,
      !(Self.extentBytes...Self.largestBytes).contains(bytes) || bytes % Self.extentBytes != 0
    {
      throw ManagementError(
        .invalidSize, "an allocation run cannot have \(bytes) bytes",
        correction: "Use a multiple of 64K up to 64M, or leave --allocation-run out.",
        objects: [ManagementObject(.option, "--allocation-run")])
    }
    self.name = name
    self.devices = devices
    self.segmentSizeBytes = segmentSizeBytes
    self.allocationRunBytes = allocationRunBytes
    self.cacheMode = cacheMode
    self.overwriteForeignData = overwriteForeignData
    self.trashExpirySeconds = trashExpirySeconds
  }

  private static func check(
    devices: [DeviceArgument], of name: PoolName
  ) throws(ManagementError) {
    guard !devices.isEmpty else {
      throw ManagementError(
        .invalidArgument, "pool '\(name)' needs a device",
        correction: "Name at least one: --device PATH, or --device PATH:SIZE for a new file.",
        objects: [ManagementObject(.option, "--device")])
    }
    guard devices.count <= maximumDevices else {
      throw ManagementError(
        .invalidArgument, "pool '\(name)' cannot have \(devices.count) devices",
        correction: "Use at most \(maximumDevices).",
        objects: [ManagementObject(.option, "--device")])
    }
    var paths: Set<String> = []
    for device in devices where !paths.insert(device.path).inserted {
      throw ManagementError(
        .invalidArgument, "the device \(device.path) is named twice",
        correction: "Name each device once.", objects: [ManagementObject(.device, device.path)])
    }
  }
}
