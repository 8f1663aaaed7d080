public import StorageUnits

/// Something that an inspection found to be other than the format says.
public struct InspectionFinding: Hashable, Sendable {
  /// How bad it is; ordered.
  public enum Severity: Int, Hashable, Sendable, Comparable {
    /// Nothing is lost and nothing needs to be done: a copy to be refreshed, a hint that is off.
    case notice
    /// Data reads right, but a table is wrong: space is leaked or a number is off.
    case mismatch
    /// Data or a table cannot be read, or will be overwritten while it is in use, or the pool will
    /// not open.
    case damage

    public static func < (a: Severity, b: Severity) -> Bool { a.rawValue < b.rawValue }
  }

  public var problem: InspectionProblem
  public var place: InspectionPlace
  /// Every volume that it touches, in the order of their numbers; empty for what belongs to the
  /// pool or to volumes that were deleted.
  public var volumes: [VolumeID]
  /// Where on the devices the bytes lie that are meant, as far as they are bytes of one structure:
  /// of a structure with two copies, those that are bad.
  public var locations: [DeviceLocation]
  /// The bytes of those volumes that are concerned; the last volume may end before.
  public var volumeBytes: Range<UInt64>?

  public init(
    _ problem: InspectionProblem, at place: InspectionPlace, volumes: [VolumeID] = [],
    locations: [DeviceLocation] = []
  ) {
    self.problem = problem
    self.place = place
    self.volumes = volumes
    self.locations = locations
  }

  public var severity: Severity { problem.severity }
}

/// Bytes on one of the devices that were given.
public struct DeviceLocation: Hashable, Sendable {
  /// The device's position in the list that was given.
  public var position: Int
  public var offset: DeviceByteOffset

  public init(position: Int, offset: DeviceByteOffset) {
    self.position = position
    self.offset = offset
  }
}

/// Where a finding was made.
public enum InspectionPlace: Hashable, Sendable {
  case pool
  /// A device, by its position in the list that was given.
  case device(position: Int)
  case superblock(position: Int, slot: Int, copy: Int)
  /// A page of the system area.
  case systemPage(DevicePlace)
  case segment(SegmentIndex)
  case node(PoolAddress)
  case extent(PoolExtent)
  case volume(VolumeID)
  /// An entry of the doomed list.
  case doomed(RecordNumber)
  case journalBlock(sequence: UInt64)
  /// A record of the journal.
  case record(RecordNumber)
}
