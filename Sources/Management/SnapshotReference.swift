/// A snapshot inside its pool: `VOLUME@SNAPSHOT`, also the name of its export.
public struct SnapshotName: Hashable, Sendable, CustomStringConvertible {
  public var volume: VolumeName
  /// Keeps `NameRule`; unique among the volume's snapshots.
  public let snapshot: String

  /// Throws `invalidName`.
  public init(_ text: String) throws(ManagementError) {
    let parts = text.split(separator: "@", omittingEmptySubsequences: false)
    guard parts.count == 2 else {
      throw ManagementError(
        .invalidName, "'\(text)' does not name a snapshot",
        cause: parts.count == 1
          ? "The snapshot's own name is missing." : "It has more than one '@'.",
        correction: "Write VOLUME@SNAPSHOT.", objects: [ManagementObject(.snapshot, text)])
    }
    volume = try VolumeName(String(parts[0]))
    try NameRule.check(String(parts[1]), of: .snapshot)
    snapshot = String(parts[1])
  }

  public var description: String { "\(volume)@\(snapshot)" }
}

extension SnapshotName: Codable {
  public init(from decoder: any Decoder) throws {
    try self.init(String(from: decoder))
  }

  public func encode(to encoder: any Encoder) throws {
    try description.encode(to: encoder)
  }
}

/// A snapshot as a person names it: `POOL/VOLUME@SNAPSHOT`.
public struct SnapshotReference: Hashable, Sendable, CustomStringConvertible {
  public var pool: PoolName
  public var snapshot: SnapshotName

  public init(pool: PoolName, snapshot: SnapshotName) {
    self.pool = pool
    self.snapshot = snapshot
  }

  /// Throws `invalidName`.
  public init(_ text: String) throws(ManagementError) {
    let (pool, name) = try PoolName.split(
      text, of: .snapshot, form: "POOL/VOLUME@SNAPSHOT",
      example: "lamina snapshot create demo/disk@monday")
    self.init(pool: pool, snapshot: try SnapshotName(name))
  }

  public var description: String { "\(pool)/\(snapshot)" }
}
