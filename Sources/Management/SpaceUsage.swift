/// What deleting some volumes and snapshots together would free, and who else holds what stays.
public struct SpaceEstimate: Codable, Hashable, Sendable {
  /// As asked for, in this order: `VOLUME` or `VOLUME@SNAPSHOT`.
  public var names: [String]
  /// What their maps name, each by itself: data that two of them share counts twice.
  public var referencedBytes: UInt64
  /// Data and tables that nothing else names.
  public var freedBytes: UInt64
  /// The part of `freedBytes` that is data.
  public var freedDataBytes: UInt64
  /// Of the same origin, and not among the names: what may hold the rest. At most
  /// `sharersAtMost`, in the order of their names.
  public var sharedWith: [String]

  public static let sharersAtMost = 1000

  /// Data that stays since others hold it too.
  public var sharedBytes: UInt64 { referencedBytes - min(freedDataBytes, referencedBytes) }

  public init(
    names: [String], referencedBytes: UInt64, freedBytes: UInt64, freedDataBytes: UInt64,
    sharedWith: [String]
  ) {
    self.names = names
    self.referencedBytes = referencedBytes
    self.freedBytes = freedBytes
    self.freedDataBytes = freedDataBytes
    self.sharedWith = sharedWith
  }
}

/// The body of a request for an estimate.
public struct SpaceQuery: Codable, Hashable, Sendable {
  /// `VOLUME` or `VOLUME@SNAPSHOT`.
  public var names: [String]

  public init(names: [String]) { self.names = names }

  private enum CodingKeys: String, CodingKey, CaseIterable { case names }

  public init(from decoder: any Decoder) throws {
    try UnknownFields.refuse(in: decoder, known: CodingKeys.self)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    self.init(names: try fields.decode([String].self, forKey: .names))
  }
}

/// Where the space of a pool is. The parts add up to `usedBytes`.
public struct SpaceUsage: Codable, Hashable, Sendable {
  /// One volume or snapshot.
  public struct Holder: Codable, Hashable, Sendable {
    /// `VOLUME` or `VOLUME@SNAPSHOT`.
    public var name: String
    public var sizeBytes: UInt64
    /// Data that its map names.
    public var referencedBytes: UInt64
    /// Data that nothing else names: what deleting it alone would free, tables not counted.
    public var exclusiveBytes: UInt64
    /// True for one in the trash, else nil.
    public var inTrash: Bool?
    /// Discarded while there was no space for it in the tables: read as zeros, part of
    /// `referencedBytes` as far as something is stored there, and on its way back. Nil for none.
    public var owedBytes: UInt64?

    /// Data that others hold too.
    public var sharedBytes: UInt64 { referencedBytes - min(exclusiveBytes, referencedBytes) }

    public init(
      name: String, sizeBytes: UInt64, referencedBytes: UInt64, exclusiveBytes: UInt64,
      inTrash: Bool? = nil, owedBytes: UInt64? = nil
    ) {
      self.name = name
      self.sizeBytes = sizeBytes
      self.referencedBytes = referencedBytes
      self.exclusiveBytes = exclusiveBytes
      self.inTrash = inTrash
      self.owedBytes = owedBytes
    }
  }

  public var usedBytes: UInt64
  /// The sum over all holders.
  public var exclusiveBytes: UInt64
  /// Data that more than one of them holds, once; with it, data of deleted volumes and snapshots
  /// that has not come back yet.
  public var sharedBytes: UInt64
  /// Taken ahead of streams of writes; given back under pressure and when the pool is closed.
  public var aheadBytes: UInt64
  /// Named by nothing any more, and on its way back.
  public var reclaimableBytes: UInt64
  /// Tables, journals and superblocks.
  public var metadataBytes: UInt64
  /// Deleted maps that are still being given back.
  public var deletedMaps: Int
  /// What all volumes owe: no part of the sum, for it is counted with whoever holds it.
  public var owedBytes: UInt64
  /// Volumes and snapshots in the order of their names.
  public var holders: [Holder]

  /// What is left of `usedBytes` is `sharedBytes`.
  public init(
    usedBytes: UInt64, aheadBytes: UInt64, reclaimableBytes: UInt64, dataBytes: UInt64,
    deletedMaps: Int, holders: [Holder]
  ) {
    self.usedBytes = usedBytes
    self.holders = holders
    self.deletedMaps = deletedMaps
    owedBytes = holders.reduce(0) { $0 + ($1.owedBytes ?? 0) }
    self.aheadBytes = aheadBytes
    self.reclaimableBytes = reclaimableBytes
    exclusiveBytes = holders.reduce(0) { $0 + $1.exclusiveBytes }
    // While hosts write, the parts are of different moments.
    exclusiveBytes = min(exclusiveBytes, dataBytes)
    sharedBytes = dataBytes - exclusiveBytes
    metadataBytes = usedBytes - min(usedBytes, dataBytes + aheadBytes + reclaimableBytes)
  }
}
