import StorageUnits

/// A volume that is to be created. Whoever holds one holds a valid one; nothing was rounded.
public struct VolumeSpecification: Hashable, Sendable {
  public let name: VolumeName
  /// A multiple of `logicalBlockBytes`, above zero, at most 32 PiB.
  public let sizeBytes: UInt64
  /// 512 or 4096.
  public let logicalBlockBytes: Int
  public let fullPolicy: FullPolicy

  public static let defaultLogicalBlockBytes = 512

  /// Throws `invalidSize` or `invalidArgument`.
  public init(
    name: VolumeName, sizeBytes: UInt64, logicalBlockBytes: Int = defaultLogicalBlockBytes,
    fullPolicy: FullPolicy = .standard
  ) throws(ManagementError) {
    guard logicalBlockBytes == 512 || logicalBlockBytes == 4096 else {
      throw ManagementError(
        .invalidArgument, "\(logicalBlockBytes) is not a logical block size",
        correction: "Use 512 or 4096.", objects: [ManagementObject(.volume, name.text)])
    }
    try Self.check(sizeBytes: sizeBytes, logicalBlockBytes: UInt64(logicalBlockBytes), of: name)
    try fullPolicy.check()
    self.name = name
    self.sizeBytes = sizeBytes
    self.logicalBlockBytes = logicalBlockBytes
    self.fullPolicy = fullPolicy
  }

  private static func check(
    sizeBytes: UInt64, logicalBlockBytes: UInt64, of name: VolumeName
  ) throws(ManagementError) {
    let objects = [ManagementObject(.volume, name.text)]
    guard sizeBytes > 0 else {
      throw ManagementError(
        .invalidSize, "volume '\(name)' cannot have a size of 0",
        correction: "Give a size of at least \(logicalBlockBytes) bytes.", objects: objects)
    }
    guard sizeBytes <= StorageSizes.maximumVolumeBytes else {
      throw ManagementError(
        .invalidSize, "volume '\(name)' cannot have \(sizeBytes) bytes",
        cause: "A volume has at most 32 PiB.", correction: "Give at most 32P.", objects: objects)
    }
    let excess = sizeBytes % logicalBlockBytes
    guard excess == 0 else {
      let below = sizeBytes - excess
      let above = below + logicalBlockBytes
      throw ManagementError(
        .invalidSize, "volume '\(name)' cannot have \(sizeBytes) bytes",
        cause: "A size is a multiple of the logical block size, here \(logicalBlockBytes) bytes;"
          + " nothing is rounded.",
        correction: below == 0
          ? "The next size is \(above)." : "The next sizes are \(below) and \(above).",
        objects: objects)
    }
  }
}

/// The body of a request that creates a volume: `name` and `sizeBytes`, optionally
/// `logicalBlockBytes` and `fullPolicy`. An unknown field is refused.
extension VolumeSpecification: Codable {
  private enum CodingKeys: String, CodingKey, CaseIterable {
    case name, sizeBytes, logicalBlockBytes, fullPolicy
  }

  public init(from decoder: any Decoder) throws {
    try UnknownFields.refuse(in: decoder, known: CodingKeys.self)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    try self.init(
      name: fields.decode(VolumeName.self, forKey: .name),
      sizeBytes: fields.decode(UInt64.self, forKey: .sizeBytes),
      logicalBlockBytes: fields.decodeIfPresent(Int.self, forKey: .logicalBlockBytes)
        ?? Self.defaultLogicalBlockBytes,
      fullPolicy: fields.decodeIfPresent(FullPolicy.self, forKey: .fullPolicy) ?? .standard)
  }

  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode(name, forKey: .name)
    try fields.encode(sizeBytes, forKey: .sizeBytes)
    try fields.encode(logicalBlockBytes, forKey: .logicalBlockBytes)
    try fields.encode(fullPolicy, forKey: .fullPolicy)
  }
}
