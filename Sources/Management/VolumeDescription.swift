public import StorageUnits

/// What a volume is and holds. Its coding keys are the public contract (`Docs/CommandLine.md`).
public struct VolumeDescription: Codable, Hashable, Sendable {
  public var name: String
  /// The name of its pool.
  public var pool: String
  public var uuid: StorageUUID
  /// The volume's number in its pool, never reused.
  public var id: UInt64
  /// Exact.
  public var sizeBytes: UInt64
  /// Extents that its map names × 64 KiB, shared ones included, run tails and tables not.
  public var allocatedBytes: UInt64
  /// Valid blocks × 4 KiB.
  public var mappedBytes: UInt64
  /// 512 or 4096.
  public var logicalBlockBytes: Int
  public var readOnly: Bool
  public var fullPolicy: FullPolicy
  public var createdAt: Timestamp
  /// Of a snapshot, the name of its volume.
  public var snapshotOf: String?
  /// True: a stream is being received into it, and no host gets to see it. Else nil.
  public var receiving: Bool?
  /// Of a snapshot that was received, what identifies the one that was sent.
  public var receivedFrom: StorageUUID?
  /// Blocks × 4 KiB that were discarded while there was no space for it in the tables: they read as
  /// zeros, and what they hold comes back when there is space. Nil for none.
  public var owedBytes: UInt64?

  public init(
    name: String, pool: String, uuid: StorageUUID, id: UInt64, sizeBytes: UInt64,
    allocatedBytes: UInt64, mappedBytes: UInt64, logicalBlockBytes: Int, readOnly: Bool,
    fullPolicy: FullPolicy, createdAt: Timestamp, snapshotOf: String? = nil,
    receiving: Bool? = nil, receivedFrom: StorageUUID? = nil, owedBytes: UInt64? = nil
  ) {
    self.name = name
    self.pool = pool
    self.uuid = uuid
    self.id = id
    self.sizeBytes = sizeBytes
    self.allocatedBytes = allocatedBytes
    self.mappedBytes = mappedBytes
    self.logicalBlockBytes = logicalBlockBytes
    self.readOnly = readOnly
    self.fullPolicy = fullPolicy
    self.createdAt = createdAt
    self.snapshotOf = snapshotOf
    self.receiving = receiving
    self.receivedFrom = receivedFrom
    self.owedBytes = owedBytes
  }
}

/// The volumes of a pool, in the order of their names.
public struct VolumeList: Codable, Hashable, Sendable {
  public var volumes: [VolumeDescription]

  public init(volumes: [VolumeDescription]) {
    self.volumes = volumes
  }
}
