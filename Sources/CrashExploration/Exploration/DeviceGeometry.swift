/// On which devices the histories of a family are played: how many, and what they write at once.
public struct DeviceGeometry: Hashable, Sendable {
  /// 1 or 2.
  public var devices: Int
  /// 512 or 4096 bytes.
  public var sectorBytes: Int

  public init(devices: Int, sectorBytes: Int) {
    self.devices = devices
    self.sectorBytes = sectorBytes
  }

  /// What families have if they are not told otherwise.
  public static let usual = DeviceGeometry(devices: 2, sectorBytes: 512)
  public static let all: [DeviceGeometry] = [1, 2].flatMap { devices in
    [512, 4096].map { DeviceGeometry(devices: devices, sectorBytes: $0) }
  }

  /// Ends the name of a family on such devices.
  var suffix: String { "-on-\(devices)x\(sectorBytes)" }
}

extension ExplorationFamily {
  /// The same histories on such devices, which have as much space together; nil if they have no
  /// meaning there. Tables and the journal have one place on a single device.
  public func on(_ geometry: DeviceGeometry) -> ExplorationFamily? {
    if geometry == .usual { return self }
    if needsTwoDevices && geometry.devices < 2 { return nil }
    var family = self
    family.name += geometry.suffix
    family.media.logicalBlockBytes = geometry.sectorBytes
    if geometry.devices == 1 { family.media.deviceBytes = [media.deviceBytes.reduce(0, +)] }
    return family
  }
}
