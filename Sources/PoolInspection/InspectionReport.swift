public import DiskFormat

/// What an inspection says of a pool.
public struct InspectionReport: Sendable {
  /// In the order in which they were made; the same devices give the same list.
  public var findings: [InspectionFinding] = []
  public var totals = InspectionTotals()
  /// The superblock that the inspection took as the newest.
  public var superblock: Superblock?

  /// Nothing is wrong, not even a notice.
  public var isClean: Bool { findings.isEmpty }
  /// The worst finding's severity.
  public var severity: InspectionFinding.Severity? { findings.map(\.severity).max() }
}

/// What was counted.
public struct InspectionTotals: Hashable, Sendable {
  public var volumes = 0
  public var doomedTrees = 0
  public var freeSegments = 0
  public var dataSegments = 0
  public var nodeSegments = 0
  public var lentSegments = 0
  /// Extents that something names.
  public var usedExtents: UInt64 = 0
  /// Extents of data segments that nothing names.
  public var freeExtents: UInt64 = 0
  /// Blocks of node segments that something names.
  public var usedNodes: UInt64 = 0
  /// Blocks of node segments that nothing names, count images not included.
  public var freeNodes: UInt64 = 0
  /// Records in the journal that are not in the checkpoint.
  public var journalRecords: UInt64 = 0
}
