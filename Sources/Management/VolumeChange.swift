/// The body of a request that changes a volume: another size, name or policy; one of them.
public struct VolumeChange: Codable, Hashable, Sendable {
  /// A multiple of the volume's logical block size.
  public var sizeBytes: UInt64?
  /// What lies beyond a smaller size may be cut off.
  public var shrink: Bool?
  public var name: VolumeName?
  /// What writes do when the pool has no space.
  public var fullPolicy: FullPolicy?

  public init(sizeBytes: UInt64, shrink: Bool) {
    self.sizeBytes = sizeBytes
    self.shrink = shrink
  }

  public init(name: VolumeName) { self.name = name }

  public init(fullPolicy: FullPolicy) { self.fullPolicy = fullPolicy }

  private enum CodingKeys: String, CodingKey, CaseIterable {
    case sizeBytes, shrink, name, fullPolicy
  }

  public init(from decoder: any Decoder) throws {
    try UnknownFields.refuse(in: decoder, known: CodingKeys.self)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    sizeBytes = try fields.decodeIfPresent(UInt64.self, forKey: .sizeBytes)
    shrink = try fields.decodeIfPresent(Bool.self, forKey: .shrink)
    name = try fields.decodeIfPresent(VolumeName.self, forKey: .name)
    fullPolicy = try fields.decodeIfPresent(FullPolicy.self, forKey: .fullPolicy)
    try fullPolicy?.check()
    let count = [sizeBytes != nil, name != nil, fullPolicy != nil].count { $0 }
    guard count == 1, shrink == nil || sizeBytes != nil else {
      throw ManagementError(
        .invalidRequest, "a change of a volume is a new size, a new name or a new policy",
        correction: "Send 'sizeBytes' (with 'shrink' where it is smaller), 'name' or 'fullPolicy'.")
    }
  }
}

/// The body of a request that changes a snapshot: another name, of the same volume.
public struct SnapshotChange: Codable, Hashable, Sendable {
  public var name: SnapshotName

  public init(name: SnapshotName) { self.name = name }

  private enum CodingKeys: String, CodingKey, CaseIterable { case name }

  public init(from decoder: any Decoder) throws {
    try UnknownFields.refuse(in: decoder, known: CodingKeys.self)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    self.init(name: try fields.decode(SnapshotName.self, forKey: .name))
  }
}
