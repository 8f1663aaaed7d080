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
