public import StorageUnits

/// What was found on devices, without changing anything on them. Its coding keys are the public
/// contract (`Docs/CommandLine.md`).
public struct PoolScan: Codable, Hashable, Sendable {
  /// In the order of their names.
  public var pools: [ScannedPool]
  /// What carries nothing of Lamina, or cannot be read.
  public var others: [UnrecognizedDevice]

  public init(pools: [ScannedPool], others: [UnrecognizedDevice]) {
    self.pools = pools
    self.others = others
  }
}

/// A pool of which devices were found.
public struct ScannedPool: Codable, Hashable, Sendable {
  public enum State: String, Codable, Hashable, Sendable {
    /// All devices are there, each once.
    case complete
    case incomplete
    /// Two devices claim to be the same one.
    case ambiguous
    /// All are there, and do not fit each other.
    case inconsistent
  }

  public var name: String
  public var uuid: StorageUUID
  public var state: State
  /// What is wrong; absent if nothing is.
  public var problem: String?
  /// It was stopped cleanly; what was not is recovered by the next start.
  public var isClean: Bool
  /// A process holds one of the devices now.
  public var isInUse: Bool
  /// Who opened it last, and when.
  public var openedByHost: String
  public var openedAt: Timestamp
  public var devices: [ScannedDevice]
  public var missingDevices: [MissingDevice]

  public init(
    name: String, uuid: StorageUUID, state: State, problem: String?, isClean: Bool,
    isInUse: Bool, openedByHost: String, openedAt: Timestamp, devices: [ScannedDevice],
    missingDevices: [MissingDevice]
  ) {
    self.name = name
    self.uuid = uuid
    self.state = state
    self.problem = problem
    self.isClean = isClean
    self.isInUse = isInUse
    self.openedByHost = openedByHost
    self.openedAt = openedAt
    self.devices = devices
    self.missingDevices = missingDevices
  }
}

/// A device that belongs to a pool.
public struct ScannedDevice: Codable, Hashable, Sendable {
  public var path: String
  public var uuid: StorageUUID
  public var index: UInt16
  public var sizeBytes: UInt64
  /// Grows with every checkpoint: of two copies of one device the one with less is older.
  public var superblockSequence: UInt64
  public var openedByHost: String
  public var openedAt: Timestamp
  public var isInUse: Bool

  public init(
    path: String, uuid: StorageUUID, index: UInt16, sizeBytes: UInt64, superblockSequence: UInt64,
    openedByHost: String, openedAt: Timestamp, isInUse: Bool
  ) {
    self.path = path
    self.uuid = uuid
    self.index = index
    self.sizeBytes = sizeBytes
    self.superblockSequence = superblockSequence
    self.openedByHost = openedByHost
    self.openedAt = openedAt
    self.isInUse = isInUse
  }
}

/// A device that the others name and that was not found.
public struct MissingDevice: Codable, Hashable, Sendable {
  public var uuid: StorageUUID
  public var index: UInt16
  public var sizeBytes: UInt64

  public init(uuid: StorageUUID, index: UInt16, sizeBytes: UInt64) {
    self.uuid = uuid
    self.index = index
    self.sizeBytes = sizeBytes
  }
}

/// A path on which no pool was found.
public struct UnrecognizedDevice: Codable, Hashable, Sendable {
  public var path: String
  public var reason: String

  public init(path: String, reason: String) {
    self.path = path
    self.reason = reason
  }
}

/// How a pool is to be made known to a state folder.
public struct PoolImport: Hashable, Sendable {
  /// Absolute: devices, and folders whose files are looked at.
  public var paths: [String]
  /// The pool gets this name, on its devices too; nil: it keeps its own.
  public var newName: PoolName?
  public var cacheMode: CacheMode

  public init(paths: [String], newName: PoolName? = nil, cacheMode: CacheMode = .direct) {
    self.paths = paths
    self.newName = newName
    self.cacheMode = cacheMode
  }
}
