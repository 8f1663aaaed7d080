import BlockExport
public import DiskSimulation
public import StorageUnits

/// A host makes sectors zeros; with `holdsSpace` (NO_HOLE) space is provisioned for them.
public struct WriteZeroesOperation: VolumeOperation {
  public var volume: VolumeID
  public var sectors: Range<UInt64>
  public var holdsSpace: Bool
  public var isDurable: Bool

  public init(
    _ volume: VolumeID, _ sectors: Range<UInt64>, noHole: Bool = false, fua: Bool = false
  ) {
    self.volume = volume
    self.sectors = sectors
    holdsSpace = noHole
    isDurable = fua
  }

  public static let weight = 10

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> WriteZeroesOperation? {
    guard let volume = SectorRange.writable(&random, in: session) else { return nil }
    let longest = random.oneIn(4) ? 700 : 60
    let sectors = SectorRange.draw(&random, of: volume, atMost: longest, in: session)
    return WriteZeroesOperation(volume, sectors, noHole: random.oneIn(2), fua: random.oneIn(6))
  }

  public func isPossible(in session: HostSession) -> Bool {
    session.expectation.isWritable(volume)
  }

  public func issue(in session: HostSession) {
    let operation = session.expectation.model.issueWriteZeroes(volume, sectors: sectors)
    var flags: ExportRequest.Flags = isDurable ? .forceUnitAccess : []
    if holdsSpace { flags.insert(.noHole) }
    session.submit(.writeZeroes, flags, volume, sectors: sectors) { [isDurable] in
      $0.changeEnded(operation, isDurable: isDurable, $1)
    }
  }

  public var description: String {
    "write-zeroes \(SectorRange.text(volume, sectors))" + (holdsSpace ? " no-hole" : "")
      + (isDurable ? " fua" : "")
  }
}
