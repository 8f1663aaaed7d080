public import BlockIO
public import DiskFormat
public import StorageUnits

/// A block of a table that no place holds well.
public struct TableDamage: Error, Hashable, Sendable {
  /// What the block should be.
  public enum Table: String, Sendable {
    case segmentTable = "segment table"
    case nodeCounts = "counts of a node segment"
    case catalogue = "catalogue"
    case doomedList = "list of doomed trees"
    case versionTree = "version tree"
    case bookmarks = "list of bookmarks"
    case holds = "list of holds"
    case owed = "list of owed discards"
    case map = "map or counts of a volume"
  }
  public var table: Table
  /// The place that was tried last.
  public var place: DevicePlace
  public var problem: Problem

  public enum Problem: Hashable, Sendable {
    case format(FormatError)
    case device(DeviceError)
    /// The place lies on no member, or beyond its end.
    case badPlace
  }
}
