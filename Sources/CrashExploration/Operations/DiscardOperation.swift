import BlockExport
public import DiskSimulation
public import StorageUnits

/// A host discards sectors: whole blocks of it become zeros.
public struct DiscardOperation: VolumeOperation {
  public var volume: VolumeID
  public var sectors: Range<UInt64>
  public var isDurable: Bool

  public init(_ volume: VolumeID, _ sectors: Range<UInt64>, fua: Bool = false) {
    self.volume = volume
    self.sectors = sectors
    isDurable = fua
  }

  public static let weight = 10

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> DiscardOperation? {
    guard let volume = SectorRange.writable(&random, in: session) else { return nil }
    let longest = random.oneIn(4) ? 700 : 60
    let sectors = SectorRange.draw(&random, of: volume, atMost: longest, in: session)
    return DiscardOperation(volume, sectors, fua: random.oneIn(6))
  }

  public func isPossible(in session: HostSession) -> Bool {
    session.expectation.isWritable(volume)
  }

  public func issue(in session: HostSession) {
    let operation = session.expectation.model.issueDiscard(volume, sectors: sectors)
    session.submit(.discard, isDurable ? .forceUnitAccess : [], volume, sectors: sectors) {
      [isDurable] in $0.changeEnded(operation, isDurable: isDurable, $1)
    }
  }

  public var description: String {
    "discard \(SectorRange.text(volume, sectors))" + (isDurable ? " fua" : "")
  }
}
