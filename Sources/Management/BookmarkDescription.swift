public import StorageUnits

/// What a bookmark is. Its coding keys are the public contract (`Docs/CommandLine.md`).
public struct BookmarkDescription: Codable, Hashable, Sendable {
  /// `VOLUME#MARK`.
  public var name: String
  /// The name of its pool.
  public var pool: String
  /// `VOLUME@SNAPSHOT`, as the snapshot was called when the bookmark was made.
  public var snapshot: String
  public var snapshotUUID: StorageUUID
  /// The snapshot is still there.
  public var snapshotExists: Bool
  /// What its volume changed since can be told. Not so once the volume was rolled back to before
  /// it and its snapshot is gone.
  public var usable: Bool
  /// The snapshot's size.
  public var sizeBytes: UInt64
  public var createdAt: Timestamp
  public var snapshotCreatedAt: Timestamp

  public init(
    name: String, pool: String, snapshot: String, snapshotUUID: StorageUUID,
    snapshotExists: Bool, usable: Bool, sizeBytes: UInt64, createdAt: Timestamp,
    snapshotCreatedAt: Timestamp
  ) {
    self.name = name
    self.pool = pool
    self.snapshot = snapshot
    self.snapshotUUID = snapshotUUID
    self.snapshotExists = snapshotExists
    self.usable = usable
    self.sizeBytes = sizeBytes
    self.createdAt = createdAt
    self.snapshotCreatedAt = snapshotCreatedAt
  }
}

/// The bookmarks of a pool, oldest first.
public struct BookmarkList: Codable, Hashable, Sendable {
  public var bookmarks: [BookmarkDescription]

  public init(bookmarks: [BookmarkDescription]) { self.bookmarks = bookmarks }
}

/// The body of a request that makes a bookmark of a snapshot.
public struct BookmarkSpecification: Codable, Hashable, Sendable {
  public var snapshot: SnapshotName
  /// Of the same volume.
  public var bookmark: BookmarkName

  public init(snapshot: SnapshotName, bookmark: BookmarkName) {
    self.snapshot = snapshot
    self.bookmark = bookmark
  }

  private enum CodingKeys: String, CodingKey, CaseIterable { case snapshot, bookmark }

  public init(from decoder: any Decoder) throws {
    try UnknownFields.refuse(in: decoder, known: CodingKeys.self)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      snapshot: try fields.decode(SnapshotName.self, forKey: .snapshot),
      bookmark: try fields.decode(BookmarkName.self, forKey: .bookmark))
    guard snapshot.volume == bookmark.volume else {
      throw ManagementError(
        .invalidArgument, "'\(bookmark)' and '\(snapshot)' are of different volumes",
        correction: "A bookmark belongs to the volume of its snapshot.",
        objects: [ManagementObject(.bookmark, bookmark.description)])
    }
  }
}
