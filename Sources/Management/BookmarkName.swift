/// A bookmark inside its pool: `VOLUME#MARK`.
public struct BookmarkName: Hashable, Sendable, CustomStringConvertible {
  public var volume: VolumeName
  /// Keeps `NameRule`; unique among the volume's bookmarks.
  public let mark: String

  /// Throws `invalidName`.
  public init(_ text: String) throws(ManagementError) {
    let parts = text.split(separator: "#", omittingEmptySubsequences: false)
    guard parts.count == 2 else {
      throw ManagementError(
        .invalidName, "'\(text)' does not name a bookmark",
        cause: parts.count == 1
          ? "The bookmark's own name is missing." : "It has more than one '#'.",
        correction: "Write VOLUME#MARK.", objects: [ManagementObject(.bookmark, text)])
    }
    try self.init(volume: VolumeName(String(parts[0])), mark: String(parts[1]))
  }

  public init(volume: VolumeName, mark: String) throws(ManagementError) {
    try NameRule.check(mark, of: .bookmark)
    self.volume = volume
    self.mark = mark
  }

  public var description: String { "\(volume)#\(mark)" }
}

/// What changes are counted from: a volume, a snapshot, or a bookmark.
public enum BaseName: Hashable, Sendable, CustomStringConvertible {
  case content(ContentName)
  case bookmark(BookmarkName)

  /// Throws `invalidName`.
  public init(_ text: String) throws(ManagementError) {
    self =
      text.contains("#")
      ? .bookmark(try BookmarkName(text)) : .content(try ContentName(text))
  }

  public var description: String {
    switch self {
    case .content(let name): name.description
    case .bookmark(let name): name.description
    }
  }
}

extension BookmarkName: Codable {
  public init(from decoder: any Decoder) throws {
    try self.init(String(from: decoder))
  }

  public func encode(to encoder: any Encoder) throws {
    try description.encode(to: encoder)
  }
}

extension BaseName: Codable {
  public init(from decoder: any Decoder) throws {
    try self.init(String(from: decoder))
  }

  public func encode(to encoder: any Encoder) throws {
    try description.encode(to: encoder)
  }
}

/// A base as a person names it: `POOL/VOLUME`, `POOL/VOLUME@SNAPSHOT` or `POOL/VOLUME#MARK`.
public struct BaseReference: Hashable, Sendable, CustomStringConvertible {
  public var pool: PoolName
  public var base: BaseName

  /// Throws `invalidName`.
  public init(_ text: String) throws(ManagementError) {
    let (pool, name) = try PoolName.split(
      text, of: .snapshot, form: "POOL/VOLUME@SNAPSHOT or POOL/VOLUME#MARK",
      example: "lamina snapshot diff demo/disk@monday demo/disk")
    self.pool = pool
    base = try BaseName(name)
  }

  public var description: String { "\(pool)/\(base)" }
}

/// A bookmark as a person names it: `POOL/VOLUME#MARK`.
public struct BookmarkReference: Hashable, Sendable, CustomStringConvertible {
  public var pool: PoolName
  public var bookmark: BookmarkName

  /// Throws `invalidName`.
  public init(_ text: String) throws(ManagementError) {
    let (pool, name) = try PoolName.split(
      text, of: .bookmark, form: "POOL/VOLUME#MARK",
      example: "lamina bookmark delete demo/disk#monday")
    self.pool = pool
    bookmark = try BookmarkName(name)
  }

  public var description: String { "\(pool)/\(bookmark)" }
}

/// A bookmark to be made, as a person names it: `POOL/VOLUME@SNAPSHOT#MARK`.
public struct NewBookmarkReference: Hashable, Sendable {
  public var pool: PoolName
  public var snapshot: SnapshotName
  public var bookmark: BookmarkName

  /// Throws `invalidName`.
  public init(_ text: String) throws(ManagementError) {
    let (pool, name) = try PoolName.split(
      text, of: .bookmark, form: "POOL/VOLUME@SNAPSHOT#MARK",
      example: "lamina bookmark create demo/disk@monday#monday")
    let parts = name.split(separator: "#", omittingEmptySubsequences: false)
    guard parts.count == 2 else {
      throw ManagementError(
        .invalidName, "'\(text)' does not name a snapshot and a bookmark",
        correction: "Write POOL/VOLUME@SNAPSHOT#MARK.",
        objects: [ManagementObject(.bookmark, text)])
    }
    self.pool = pool
    snapshot = try SnapshotName(String(parts[0]))
    bookmark = try BookmarkName(volume: snapshot.volume, mark: String(parts[1]))
  }
}
