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
  /// What the receiver has: only what changed since is sent. Nil: everything.
  public var base: StreamBase?

  public init(_ snapshot: SnapshotName, since base: StreamBase? = nil) {
    self.snapshot = snapshot
    self.base = base
  }

  /// The base as a person names it behind `--since`: the own name of a snapshot of the volume,
  /// also with `@` before it, or that of a bookmark with `#` before it. Throws `invalidName`.
  public static func base(
    _ text: String, of snapshot: SnapshotName
  ) throws(ManagementError) -> StreamBase {
    let name = String(text.drop { $0 == "@" || $0 == "#" })
    guard text.hasPrefix("#") else {
      return .snapshot(try SnapshotName("\(snapshot.volume)@\(name)"))
    }
    return .bookmark(try BookmarkName(volume: snapshot.volume, mark: name))
  }
}

/// What the receiver of a stream has already: another snapshot of the volume, which is still there
/// or of which a bookmark is.
public enum StreamBase: Hashable, Sendable, CustomStringConvertible {
  case snapshot(SnapshotName)
  case bookmark(BookmarkName)

  public var description: String {
    switch self {
    case .snapshot(let name): name.description
    case .bookmark(let name): name.description
    }
  }

  /// As `SendOrder.base` reads it, in a query of a URL.
  public var queryText: String {
    switch self {
    case .snapshot(let name): name.snapshot
    case .bookmark(let name): "%23\(name.mark)"
    }
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
