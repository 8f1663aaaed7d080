/// The body of a request that makes snapshots: of several volumes at one instant, all or none.
public struct SnapshotSpecification: Codable, Hashable, Sendable {
  public var snapshots: [SnapshotName]

  public init(snapshots: [SnapshotName]) { self.snapshots = snapshots }

  private enum CodingKeys: String, CodingKey, CaseIterable { case snapshots }

  public init(from decoder: any Decoder) throws {
    try UnknownFields.refuse(in: decoder, known: CodingKeys.self)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    self.init(snapshots: try fields.decode([SnapshotName].self, forKey: .snapshots))
  }
}

/// The body of a request that makes a clone: its name.
public struct CloneSpecification: Codable, Hashable, Sendable {
  public var name: VolumeName

  public init(name: VolumeName) { self.name = name }

  private enum CodingKeys: String, CodingKey, CaseIterable { case name }

  public init(from decoder: any Decoder) throws {
    try UnknownFields.refuse(in: decoder, known: CodingKeys.self)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    self.init(name: try fields.decode(VolumeName.self, forKey: .name))
  }
}

/// The snapshots of a pool, in the order of their volumes and ages.
public struct SnapshotList: Codable, Hashable, Sendable {
  public var snapshots: [VolumeDescription]

  public init(snapshots: [VolumeDescription]) { self.snapshots = snapshots }
}
