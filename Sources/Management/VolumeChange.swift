/// The body of a request that changes a volume: another size, or another name; one of them.
public struct VolumeChange: Codable, Hashable, Sendable {
  /// A multiple of the volume's logical block size.
  public var sizeBytes: UInt64?
  /// What lies beyond a smaller size may be cut off.
  public var shrink: Bool?
  public var name: VolumeName?

  public init(sizeBytes: UInt64, shrink: Bool) {
    self.sizeBytes = sizeBytes
    self.shrink = shrink
  }

  public init(name: VolumeName) { self.name = name }

  private enum CodingKeys: String, CodingKey, CaseIterable { case sizeBytes, shrink, name }

  public init(from decoder: any Decoder) throws {
    try UnknownFields.refuse(in: decoder, known: CodingKeys.self)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    sizeBytes = try fields.decodeIfPresent(UInt64.self, forKey: .sizeBytes)
    shrink = try fields.decodeIfPresent(Bool.self, forKey: .shrink)
    name = try fields.decodeIfPresent(VolumeName.self, forKey: .name)
    guard (sizeBytes == nil) != (name == nil), shrink == nil || name == nil else {
      throw ManagementError(
        .invalidRequest, "a change of a volume is a new size or a new name",
        correction: "Send 'sizeBytes' (with 'shrink' where it is smaller) or 'name'.")
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
