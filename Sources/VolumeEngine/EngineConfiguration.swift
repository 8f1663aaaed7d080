public import DiskFormat
import StorageUnits

/// The engine's fixed sizes. All memory that requests need is taken at start.
public struct EngineConfiguration: Hashable, Sendable {
  /// Requests in work at once; beyond it `VolumeEngine.submit` refuses.
  public var requestSlots = 2048
  /// Requests that may wait for space at once; beyond it they fail with `noSpace`, so that the
  /// discard, flush or delete that helps always finds a slot.
  public var parkedRequests = 1024
  /// Device commands in flight.
  public var commandSlots = 4096
  /// Extents of 64 KiB for merges and for reads of scattered extents.
  public var bounceExtents = 64
  /// Reads of table nodes in flight.
  public var nodeLoads = 64
  /// Checkpoint writes in flight, of at most 256 KiB each.
  public var stagingBuffers = 4
  /// Bytes of one staging buffer.
  public var stagingBytes = 256 << 10
  /// Records are journalled at the latest so long after they arose.
  public var journalDelayMilliseconds: UInt64 = 1000
  /// Space that nothing names any more comes back by a checkpoint at the latest so long after it
  /// was noticed, also where nobody is short of space.
  public var reclaimDelayMilliseconds: UInt64 = 2000
  /// Parts of requests that one turn steps at most.
  public var stepsPerTurn = 512
  /// Extents that one step of a discard, write-zeroes or block status looks at.
  public var extentsPerStep = 64
  /// Steps of dropping deleted trees in a turn without host work; with it, an eighth.
  public var dropsPerTurn = 64
  /// Nodes that scans of maps go into in a turn without host work; with it, an eighth.
  public var scanNodesPerTurn = 64
  /// Extents of one block-status answer at most.
  public var blockStatusExtents = 4096
  /// The longest delay of a mutation near a bound of the pool, in microseconds.
  public var longestDelayMicroseconds: UInt64 = 2000
  /// Reserve file space for a segment when it is written for the first time since the start.
  public var growsAhead = true
  /// Give the file space of freed extents back by punching holes.
  public var punchesFreedSpace = true
  /// Freed space is punched so long after it became usable: what is taken again at once is not.
  public var punchDelayMilliseconds: UInt64 = 1000
  /// Holes in the making at once; each blocks a worker of the kernel for up to some milliseconds.
  public var punchesInFlight = 4
  /// After a start that follows no clean stop, a segment is swept so long after the one before.
  public var sweepMilliseconds: UInt64 = 50
  /// What a clean stop may spend on giving freed space back.
  public var stopPunchMilliseconds: UInt64 = 2000
  /// Who opens the pool, as its superblocks say.
  public var opening: Opening

  public init(opening: Opening) { self.opening = opening }
}
