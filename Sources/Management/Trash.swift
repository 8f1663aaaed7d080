/// What was deleted and can be restored. Its coding keys are the public contract
/// (`Docs/CommandLine.md`).
public struct TrashItem: Codable, Hashable, Sendable {
  /// As it was: `VOLUME`, or `VOLUME@SNAPSHOT`. Several items may have the same.
  public var name: String
  /// The number of the volume or snapshot in its pool: tells items of one name apart.
  public var id: UInt64
  public var sizeBytes: UInt64
  /// Extents that the maps of all of it name × 64 KiB, shared ones included.
  public var allocatedBytes: UInt64
  /// Of a volume, its snapshots, which come back with it.
  public var snapshotCount: Int
  public var trashedAt: Timestamp
  public var expiresAt: Timestamp

  public init(
    name: String, id: UInt64, sizeBytes: UInt64, allocatedBytes: UInt64, snapshotCount: Int,
    trashedAt: Timestamp, expiresAt: Timestamp
  ) {
    self.name = name
    self.id = id
    self.sizeBytes = sizeBytes
    self.allocatedBytes = allocatedBytes
    self.snapshotCount = snapshotCount
    self.trashedAt = trashedAt
    self.expiresAt = expiresAt
  }
}

/// The trash of a pool, in the order in which things were thrown away.
public struct TrashList: Codable, Hashable, Sendable {
  public var items: [TrashItem]

  public init(items: [TrashItem]) { self.items = items }
}

/// The body of a request that restores an item: optionally `name`, its new one (of a snapshot,
/// `VOLUME@NEW`), and `id`, which of several of one name; without, the one thrown away last.
public struct RestoreSpecification: Codable, Hashable, Sendable {
  public var name: ContentName?
  public var id: UInt64?

  public init(name: ContentName? = nil, id: UInt64? = nil) {
    self.name = name
    self.id = id
  }

  private enum CodingKeys: String, CodingKey, CaseIterable { case name, id }

  public init(from decoder: any Decoder) throws {
    try UnknownFields.refuse(in: decoder, known: CodingKeys.self)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      name: try fields.decodeIfPresent(ContentName.self, forKey: .name),
      id: try fields.decodeIfPresent(UInt64.self, forKey: .id))
  }
}

/// The body of a request that changes settings of a pool.
public struct PoolChange: Codable, Hashable, Sendable {
  /// How long what is deleted stays in the trash; 0: it does not go there.
  public var trashExpirySeconds: UInt32

  public init(trashExpirySeconds: UInt32) { self.trashExpirySeconds = trashExpirySeconds }

  private enum CodingKeys: String, CodingKey, CaseIterable { case trashExpirySeconds }

  public init(from decoder: any Decoder) throws {
    try UnknownFields.refuse(in: decoder, known: CodingKeys.self)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    self.init(trashExpirySeconds: try fields.decode(UInt32.self, forKey: .trashExpirySeconds))
  }
}
