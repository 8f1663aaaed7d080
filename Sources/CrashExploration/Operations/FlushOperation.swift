import BlockExport
public import DiskSimulation
public import StorageUnits

/// A host flushes a volume. The model takes it for that volume alone, which is what hosts rely on.
public struct FlushOperation: VolumeOperation {
  public var volume: VolumeID

  public init(_ volume: VolumeID) { self.volume = volume }

  public static let weight = 16

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> FlushOperation? {
    SectorRange.volume(&random, in: session).map { FlushOperation($0) }
  }

  public func issue(in session: HostSession) {
    let arrival = session.expectation.model.issueFlush()
    session.submit(.flush, [], volume, sectors: 0..<0) { [volume] session, error in
      if error == nil { session.expectation.model.flushed(volume, arrival: arrival) }
    }
  }

  public var description: String { "flush \(volume.number)" }
}
