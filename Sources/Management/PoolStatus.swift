public import StorageUnits

/// What a pool is, holds and has done. Its coding keys are the public contract
/// (`Docs/CommandLine.md`).
public struct PoolStatus: Codable, Hashable, Sendable {
  public enum State: String, Codable, Hashable, Sendable, CaseIterable {
    case online
    /// A barrier failed; reads go on, nothing is written until the server is started again.
    case readOnly
  }

  public var name: String
  public var uuid: StorageUUID
  public var state: State
  /// Why the pool is not online.
  public var stateReason: String?
  /// All devices together.
  public var sizeBytes: UInt64
  /// Everything that is taken: extents, run tails, tables, journals, superblocks.
  public var usedBytes: UInt64
  /// `sizeBytes - usedBytes`.
  public var freeBytes: UInt64
  /// The part of `usedBytes` that holds tables, journals and superblocks.
  public var metadataBytes: UInt64
  /// The part of `usedBytes` that nothing names any more and that a checkpoint will free.
  public var reclaimableBytes: UInt64
  /// Items in the trash, and the extents that their maps name × 64 KiB, shared ones included: a
  /// part of `usedBytes` that is given back before a host is told that there is no space.
  public var trashCount: Int
  public var trashBytes: UInt64
  /// How long what is deleted stays in the trash; 0: it does not go there.
  public var trashExpirySeconds: UInt32
  /// Discarded while there was no space for it in the tables; it is done when there is.
  public var owedBytes: UInt64
  public var volumeCount: Int
  /// Deleted or cut off trees whose space still comes back in the background.
  public var pendingDropCount: Int
  public var segmentSizeBytes: UInt64
  public var allocationRunBytes: UInt64
  public var cacheMode: CacheMode
  /// The sequence of the last complete checkpoint.
  public var checkpointSequence: UInt64
  public var devices: [DeviceStatus]

  public init(
    name: String, uuid: StorageUUID, state: State, stateReason: String? = nil, sizeBytes: UInt64,
    usedBytes: UInt64, metadataBytes: UInt64, reclaimableBytes: UInt64, volumeCount: Int,
    segmentSizeBytes: UInt64, allocationRunBytes: UInt64, cacheMode: CacheMode,
    checkpointSequence: UInt64, devices: [DeviceStatus], trashCount: Int = 0,
    trashBytes: UInt64 = 0, trashExpirySeconds: UInt32 = 0, owedBytes: UInt64 = 0,
    pendingDropCount: Int = 0
  ) {
    self.pendingDropCount = pendingDropCount
    precondition(usedBytes <= sizeBytes)
    self.name = name
    self.uuid = uuid
    self.state = state
    self.stateReason = stateReason
    self.sizeBytes = sizeBytes
    self.usedBytes = usedBytes
    self.freeBytes = sizeBytes - usedBytes
    self.metadataBytes = metadataBytes
    self.reclaimableBytes = reclaimableBytes
    self.trashCount = trashCount
    self.trashBytes = trashBytes
    self.trashExpirySeconds = trashExpirySeconds
    self.owedBytes = owedBytes
    self.volumeCount = volumeCount
    self.segmentSizeBytes = segmentSizeBytes
    self.allocationRunBytes = allocationRunBytes
    self.cacheMode = cacheMode
    self.checkpointSequence = checkpointSequence
    self.devices = devices
  }
}

/// One device of a pool. The counters count since the pool was opened.
public struct DeviceStatus: Codable, Hashable, Sendable {
  public var path: String
  public var uuid: StorageUUID
  public var index: UInt16
  public var sizeBytes: UInt64
  public var usedBytes: UInt64
  /// Reads of hosts' data that went to the device; reads of unmapped space do not count here.
  public var dataReads: UInt64
  public var dataWrites: UInt64
  /// Reads of tables and journals.
  public var nodeReads: UInt64
  public var nodeWrites: UInt64
  /// Barriers.
  public var flushes: UInt64

  public init(
    path: String, uuid: StorageUUID, index: UInt16, sizeBytes: UInt64, usedBytes: UInt64,
    dataReads: UInt64, dataWrites: UInt64, nodeReads: UInt64, nodeWrites: UInt64, flushes: UInt64
  ) {
    self.path = path
    self.uuid = uuid
    self.index = index
    self.sizeBytes = sizeBytes
    self.usedBytes = usedBytes
    self.dataReads = dataReads
    self.dataWrites = dataWrites
    self.nodeReads = nodeReads
    self.nodeWrites = nodeWrites
    self.flushes = flushes
  }
}
