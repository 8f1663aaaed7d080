public import DiskFormat
public import PoolCore
public import VolumeEngine

/// The sizes of a simulated server.
public struct ServerSettings: Hashable, Sendable {
  public var bounds: PoolBounds
  /// Memory for records between two rounds, in bytes; at most that of `SimulatedMedia.Options`.
  public var recordBytes: Int
  public var engine: EngineConfiguration

  public init(bounds: PoolBounds, recordBytes: Int, engine: EngineConfiguration) {
    self.bounds = bounds
    self.recordBytes = recordBytes
    self.engine = engine
  }

  /// Who opens pools, as their superblocks say.
  public var opening: Opening { engine.opening }

  /// Room for random histories of some hundred requests.
  public static let roomy: ServerSettings = {
    var engine = EngineConfiguration(opening: Opening(host: "test", process: 2, at: 2))
    engine.requestSlots = 32
    engine.parkedRequests = 8
    engine.commandSlots = 512
    engine.bounceExtents = 4
    engine.nodeLoads = 4
    engine.stagingBuffers = 2
    engine.stagingBytes = 64 << 10
    return ServerSettings(
      bounds: PoolBounds(
        nodeCacheBytes: 1 << 20, dirtyNodeBytes: 256 << 10, countDeltaBytes: 128 << 10),
      recordBytes: 16 << 10, engine: engine)
  }()
}

extension ServerSettings {
  /// As little memory as a server on a tiny pool can do with: starts are fast.
  public static let tiny: ServerSettings = {
    var settings = roomy
    settings.bounds = PoolBounds(
      nodeCacheBytes: 512 << 10, dirtyNodeBytes: 128 << 10, countDeltaBytes: 64 << 10)
    settings.recordBytes = 4320
    settings.engine.requestSlots = 8
    settings.engine.parkedRequests = 2
    settings.engine.commandSlots = 256
    settings.engine.bounceExtents = 2
    settings.engine.nodeLoads = 2
    settings.engine.stagingBuffers = 2
    settings.engine.stagingBytes = 16 << 10
    settings.engine.growsAhead = false
    return settings
  }()
}
