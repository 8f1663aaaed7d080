/// What an exploration looks at. Where a bound leaves legal crash states out, they are counted.
public struct ExplorationBounds: Hashable, Sendable {
  /// Operations of a history at most; nil: as many as the family has.
  public var operations: Int?
  /// Torn writes of one crash state at most.
  public var tornWrites = 1
  /// With so many volatile writes or fewer, every subset of them is tried.
  public var fullSubsetWrites = 7
  /// With more: subsets that keep or lose at most so many writes, all that were submitted up to
  /// some point, and seeded samples.
  public var subsetSize = 2
  /// Seeded subsets beside those.
  public var samples = 16
  /// Beside a torn write, every subset of the others is tried if there are so many or fewer.
  public var fullTornSubsetWrites = 3
  /// One of so many recoveries is itself cut off at every point, and those states are recovered.
  public var recoveryCrashShare: UInt64 = 128
  /// One of so many recovered pools is recovered once more, written, emptied, stopped and counted.
  public var afterlifeShare: UInt64 = 16
  /// One of so many states that are told by the tables of an earlier one is recovered all the
  /// same, and must come to the same.
  public var sharingCheckShare: UInt64 = 128
  public var seed: UInt64 = 1

  public init() {}
}
