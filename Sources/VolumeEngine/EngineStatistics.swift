import StorageUnits

/// What the engine has done on one device since the start.
@frozen public struct DeviceStatistics: Hashable, Sendable {
  /// Commands, not blocks.
  public var dataReads: UInt64 = 0
  public var dataWrites: UInt64 = 0
  public var nodeReads: UInt64 = 0
  /// Writes of the checkpoint: table nodes, count images, segment table.
  public var nodeWrites: UInt64 = 0
  public var journalWrites: UInt64 = 0
  public var flushes: UInt64 = 0
  public init() {}
}

/// What the engine has done since the start.
@frozen public struct EngineStatistics: Hashable, Sendable {
  /// Requests by kind, as submitted.
  public var reads: UInt64 = 0
  public var writes: UInt64 = 0
  public var flushes: UInt64 = 0
  public var discards: UInt64 = 0
  public var writeZeroes: UInt64 = 0
  public var blockStatuses: UInt64 = 0
  /// Requests answered with an error.
  public var errors: UInt64 = 0
  /// Blocks of 4 KiB that a host wrote as zeros where nothing was: nothing was allocated.
  public var zeroBlocks: UInt64 = 0
  /// Flush rounds and checkpoints that ended well.
  public var rounds: UInt64 = 0
  public var checkpoints: UInt64 = 0
  /// Requests that wait for space now.
  public var parkedRequests: Int = 0
  /// Writes that merged two older layers into a new extent.
  public var merges: UInt64 = 0
  /// Freed space that was given back to the files and devices underneath.
  public var punchedBytes: UInt64 = 0
  /// Discards that were taken on as owed.
  public var owedDiscards: UInt64 = 0
  public init() {}
}
