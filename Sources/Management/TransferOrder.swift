/// A stream of bytes that is drawn piece by piece. One task uses it.
public protocol ByteSource: Sendable {
  /// The next bytes, at least one; nil at the end.
  func next() async throws(ManagementError) -> [UInt8]?
}

/// Where a stream of bytes goes, piece by piece. One task uses it.
public protocol ByteSink: Sendable {
  /// Returns when there is room for more.
  func write(_ bytes: [UInt8]) async throws(ManagementError)
}

/// What is to be sent as a stream (`Docs/StreamFormat.md`).
public struct SendOrder: Hashable, Sendable {
  public var snapshot: SnapshotName
  /// Another snapshot of the volume, which the receiver has: only what changed since is sent. Nil:
  /// everything.
  public var base: SnapshotName?

  public init(_ snapshot: SnapshotName, since base: SnapshotName? = nil) {
    self.snapshot = snapshot
    self.base = base
  }

  /// The base as a person names it behind `--since`: the own name of a snapshot of the volume,
  /// also with `@` before it. Throws `invalidName`.
  public static func base(
    _ text: String, of snapshot: SnapshotName
  ) throws(ManagementError) -> SnapshotName {
    try SnapshotName("\(snapshot.volume)@\(text.hasPrefix("@") ? String(text.dropFirst()) : text)")
  }
}

/// Into what a stream is to be received.
public struct ReceiveOrder: Hashable, Sendable {
  /// A volume that is made, if the stream holds everything; one that has the base, if it does not.
  public var volume: VolumeName
  /// What was written to the volume since the base may be lost.
  public var rollsBack: Bool
  /// Of a volume that is made.
  public var fullPolicy: FullPolicy

  public init(
    _ volume: VolumeName, rollsBack: Bool = false, fullPolicy: FullPolicy = .standard
  ) {
    self.volume = volume
    self.rollsBack = rollsBack
    self.fullPolicy = fullPolicy
  }
}
