public import StorageUnits

/// What happens to a write that needs space when the pool has none.
@frozen public enum FullPoolPolicy: Hashable, Sendable {
  /// Answered at once with the protocol's "no space".
  case error
  /// Waits for space up to so many seconds, then as `error`. `UInt32.max`: as long as it takes.
  case wait(seconds: UInt32)
}

/// A volume or snapshot as the catalogue keeps it, 448 bytes.
public struct VolumeRecord: Hashable, Sendable {
  public var id: VolumeID
  public var uuid: StorageUUID
  /// 1 to 127 bytes of UTF-8.
  public var name: String
  /// The volumes that share a history: one data key, one reactor.
  public var family: UInt64
  public var isReadOnly: Bool
  /// A stream is being received into it: it is not served, and what was received goes again when
  /// that ends early (`lineage`).
  public var isReceiving: Bool
  /// Of a snapshot, the identity of the sender's snapshot that it was received from. Of a volume
  /// that is being received, the UUID of the snapshot of it that it goes back to if that ends
  /// early; it is deleted if there is none. Zero for all others.
  public var lineage: StorageUUID
  /// Of a snapshot, the volume that it was made of; nil for volumes. A snapshot's name is unique
  /// among those of its volume.
  public var origin: VolumeID?
  /// The epoch of the branch point below which the volume lives, 0 for none (version tree).
  public var versionNode: UInt64
  /// What has a greater birth may be changed in place.
  public var shareEpoch: ShareEpoch
  /// The newest bookmark on the volume's line, 0 for none.
  public var bookmarkEpoch: ShareEpoch
  /// Exact, any multiple of the logical block size.
  public var sizeBytes: UInt64
  /// 512 or 4096.
  public var logicalBlockBytes: UInt32
  /// Seconds since 1970.
  public var createdAt: UInt64
  public var root: TreeRoot
  /// The extents that the map names (one for each naming entry and layer).
  public var allocatedExtents: UInt64
  /// The blocks whose bit is set.
  public var mappedBlocks: UInt64
  public var fullPolicy: FullPoolPolicy
  /// Space held for the volume, in bytes; 0 for none.
  public var guaranteeBytes: UInt64
  /// The most space the volume may take, in bytes; 0 for no limit.
  public var limitBytes: UInt64
  /// Copies of its data, 1 in version 1.
  public var copies: UInt8
  /// The number of holds that refuse its deletion.
  public var holds: UInt32
  /// The key that its data is encrypted with; 0 for none.
  public var keyID: UInt64
  /// Typed properties; none in version 1.
  public var properties: TreeRoot
  /// Deleted, and kept for a while: its name is free.
  public var isInTrash = false
  /// In seconds since 1970; 0 unless it is in the trash.
  public var trashedAt: UInt64 = 0
  /// In seconds since 1970; 0 for never, and unless it is in the trash.
  public var expiresAt: UInt64 = 0

  /// A new, empty, writable volume.
  public init(
    id: VolumeID, uuid: StorageUUID, name: String, sizeBytes: UInt64, logicalBlockBytes: UInt32,
    createdAt: UInt64, fullPolicy: FullPoolPolicy
  ) {
    self.id = id
    self.uuid = uuid
    self.name = name
    family = id.number
    isReadOnly = false
    isReceiving = false
    lineage = .zero
    origin = nil
    versionNode = 0
    shareEpoch = .zero
    bookmarkEpoch = .zero
    self.sizeBytes = sizeBytes
    self.logicalBlockBytes = logicalBlockBytes
    self.createdAt = createdAt
    root = .none
    allocatedExtents = 0
    mappedBlocks = 0
    self.fullPolicy = fullPolicy
    guaranteeBytes = 0
    limitBytes = 0
    copies = 1
    holds = 0
    keyID = 0
    properties = .none
  }

  /// What a snapshot is to those who send and receive: the same in every pool that has it.
  public var identity: StorageUUID { lineage == .zero ? uuid : lineage }
}
