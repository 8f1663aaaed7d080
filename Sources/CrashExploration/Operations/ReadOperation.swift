import BlockExport
public import DiskSimulation
public import StorageUnits

/// A host reads sectors; what it gets is compared with what it may get.
public struct ReadOperation: VolumeOperation {
  public var volume: VolumeID
  public var sectors: Range<UInt64>

  public init(_ volume: VolumeID, _ sectors: Range<UInt64>) {
    self.volume = volume
    self.sectors = sectors
  }

  public static let weight = 16

  public static func draw(_ random: inout SeededRandom, in session: HostSession) -> ReadOperation? {
    let drawn =
      random.oneIn(4)
      ? SectorRange.snapshot(&random, in: session) : SectorRange.volume(&random, in: session)
    guard let volume = drawn else { return nil }
    return ReadOperation(
      volume, SectorRange.draw(&random, of: volume, atMost: 200, in: session))
  }

  public func issue(in session: HostSession) {
    let issued = session.expectation.model.issueRead()
    let buffer = RequestBuffer(sectors: sectors)
    session.submit(.read, [], volume, sectors: sectors, buffer: buffer) {
      [volume, sectors] session, error in
      guard error == nil else {
        session.expectation.model.readEnded(issued: issued)
        return
      }
      let violations = unsafe session.expectation.model.checkRead(
        volume, firstSector: sectors.lowerBound,
        bytes: UnsafeRawBufferPointer(buffer.memory(of: sectors)), issued: issued)
      for violation in violations.prefix(3) { session.note(problem: "read: \(violation)") }
      // What a snapshot was seen to hold it holds for ever.
      if session.expectation.model.isSnapshot(volume) {
        unsafe session.expectation.model.settle(
          volume, firstSector: sectors.lowerBound,
          bytes: UnsafeRawBufferPointer(buffer.memory(of: sectors)))
      }
    }
  }

  public var description: String { "read \(SectorRange.text(volume, sectors))" }
}
