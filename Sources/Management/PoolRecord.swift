public import StorageUnits

/// What the state folder remembers of a pool: where its devices are. The devices themselves are the
/// authority; this file can be lost and rebuilt.
public struct PoolRecord: Codable, Hashable, Sendable {
  public struct Device: Codable, Hashable, Sendable {
    /// Absolute.
    public var path: String
    public var uuid: StorageUUID
    public var index: UInt16
    public var sizeBytes: UInt64

    public init(path: String, uuid: StorageUUID, index: UInt16, sizeBytes: UInt64) {
      self.path = path
      self.uuid = uuid
      self.index = index
      self.sizeBytes = sizeBytes
    }
  }

  /// The version of this file's own format.
  public private(set) var recordVersion = 1
  public var name: PoolName
  public var uuid: StorageUUID
  public var cacheMode: CacheMode
  /// In bytes; nil: the engine's default.
  public var allocationRunBytes: UInt64?
  public var devices: [Device]

  public init(
    name: PoolName, uuid: StorageUUID, cacheMode: CacheMode, allocationRunBytes: UInt64? = nil,
    devices: [Device]
  ) {
    self.name = name
    self.uuid = uuid
    self.cacheMode = cacheMode
    self.allocationRunBytes = allocationRunBytes
    self.devices = devices
  }
}
