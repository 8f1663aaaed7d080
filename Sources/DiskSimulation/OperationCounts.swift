import BlockIO

/// How many operations a device was given, per kind.
public struct OperationCounts: Hashable, Sendable {
  public internal(set) var reads = 0
  public internal(set) var writes = 0
  public internal(set) var flushes = 0
  public internal(set) var spaceReservations = 0
  public internal(set) var punches = 0
  public internal(set) var bytesRead: UInt64 = 0
  public internal(set) var bytesWritten: UInt64 = 0

  public var total: Int { reads + writes + flushes + spaceReservations + punches }

  mutating func count(_ operation: IOCommand.Operation, length: Int) {
    switch operation {
    case .read:
      reads += 1
      bytesRead += UInt64(length)
    case .write:
      writes += 1
      bytesWritten += UInt64(length)
    case .flush: flushes += 1
    case .reserveSpace: spaceReservations += 1
    case .punchHole: punches += 1
    }
  }
}
