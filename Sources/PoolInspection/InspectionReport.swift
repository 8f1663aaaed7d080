public import DiskFormat
public import StorageUnits

/// What an inspection says of a pool.
public struct InspectionReport: Sendable {
  /// In the order in which they were made; the same devices give the same list. At most
  /// `findingsPerCode` of each code.
  public var findings: [InspectionFinding] = []
  /// By code: findings that are not in the list, since so many of the same code are.
  public var unlisted: [String: UInt64] = [:]
  public var totals = InspectionTotals()
  /// The superblock that the inspection took as the newest.
  public var superblock: Superblock?
  /// False: the superblocks or the segment table could not be read, so that most of the pool was
  /// not looked at.
  public var isComplete = false
  /// The pool was being served: its newest checkpoint was looked at, and not its journal.
  public var isServed = false
  /// False: a node or a record could not be read, so that something may be named that no count of
  /// this inspection knows.
  public var isRecountWhole = true
  /// The paths of the devices, in the order in which they were given.
  public var deviceNames: [String] = []
  /// Where in that list the members are.
  public var memberPositions: [DeviceIndex: Int] = [:]
  public var volumeNames: [VolumeID: String] = [:]

  public static let findingsPerCode = 1000

  /// Nothing is wrong, not even a notice.
  public var isClean: Bool { findings.isEmpty }
  /// The worst finding's severity.
  public var severity: InspectionFinding.Severity? { findings.map(\.severity).max() }

  /// The number of findings of one severity, unlisted ones included.
  public func count(of severity: InspectionFinding.Severity) -> UInt64 {
    var codes: Set<String> = []
    var count: UInt64 = 0
    for finding in findings where finding.severity == severity {
      count += 1
      if !unlisted.isEmpty { codes.insert(finding.problem.code) }
    }
    return codes.reduce(count) { $0 + (unlisted[$1] ?? 0) }
  }
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
  /// Blocks of the journal that a start would replay.
  public var journalBlocks: UInt64 = 0
  /// Records in the journal that are not in the checkpoint.
  public var journalRecords: UInt64 = 0
  /// Of them, those of a group whose end was never written: a start drops them.
  public var droppedRecords: UInt64 = 0
}
