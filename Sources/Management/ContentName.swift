/// What has content inside a pool: a volume, or a snapshot as `VOLUME@SNAPSHOT`. It is also the
/// name of the export.
public enum ContentName: Hashable, Sendable, CustomStringConvertible {
  case volume(VolumeName)
  case snapshot(SnapshotName)

  /// Throws `invalidName`.
  public init(_ text: String) throws(ManagementError) {
    self =
      text.contains("@") ? .snapshot(try SnapshotName(text)) : .volume(try VolumeName(text))
  }

  public var description: String {
    switch self {
    case .volume(let name): name.description
    case .snapshot(let name): name.description
    }
  }

  /// The volume, or that of the snapshot.
  public var volume: VolumeName {
    switch self {
    case .volume(let name): name
    case .snapshot(let name): name.volume
    }
  }

  /// That there is no such thing in the pool.
  public func notFound(pool: String) -> ManagementError {
    switch self {
    case .volume(let name): .volumeNotFound(name, pool: pool)
    case .snapshot(let name): .snapshotNotFound(name, pool: pool)
    }
  }
}

extension ContentName: Codable {
  public init(from decoder: any Decoder) throws {
    try self.init(String(from: decoder))
  }

  public func encode(to encoder: any Encoder) throws {
    try description.encode(to: encoder)
  }
}

/// A volume or snapshot as a person names it: `POOL/VOLUME` or `POOL/VOLUME@SNAPSHOT`.
public struct ContentReference: Hashable, Sendable, CustomStringConvertible {
  public var pool: PoolName
  public var content: ContentName

  public init(pool: PoolName, content: ContentName) {
    self.pool = pool
    self.content = content
  }

  /// Throws `invalidName`.
  public init(_ text: String) throws(ManagementError) {
    try self.init(text, example: "lamina snapshot diff demo/disk@monday demo/disk")
  }

  /// As what is held, or was deleted. Throws `invalidName`.
  public init(holdable text: String) throws(ManagementError) {
    try self.init(text, example: "lamina hold demo/disk --tag backup")
  }

  private init(_ text: String, example: String) throws(ManagementError) {
    let (pool, name) = try PoolName.split(
      text, of: .volume, form: "POOL/VOLUME or POOL/VOLUME@SNAPSHOT", example: example)
    self.init(pool: pool, content: try ContentName(name))
  }

  public var description: String { "\(pool)/\(content)" }
}
