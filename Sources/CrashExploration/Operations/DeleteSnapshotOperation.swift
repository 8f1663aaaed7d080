public import DiskSimulation
public import StorageUnits

/// The administrator deletes a snapshot.
public struct DeleteSnapshotOperation: HostOperation {
  public var snapshot: VolumeID

  public init(_ snapshot: VolumeID) { self.snapshot = snapshot }

  public static let weight = 3

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> DeleteSnapshotOperation? {
    SectorRange.snapshot(&random, in: session).map { DeleteSnapshotOperation($0) }
  }

  public func isPossible(in session: HostSession) -> Bool {
    session.expectation.isCertainSnapshot(snapshot)
      && !session.expectation.mayBeReceiveBase(snapshot)
      && !session.expectation.mayBecomeHeld(snapshot)
  }

  public func issue(in session: HostSession) { session.delete(snapshot) }

  public var description: String { "delete snapshot \(snapshot.number)" }
}
