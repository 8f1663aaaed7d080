public import DiskSimulation
public import StorageUnits
import VolumeEngine

/// The administrator gives a volume the content that a snapshot of it has.
public struct RollbackOperation: VolumeOperation {
  public var volume: VolumeID
  public var snapshot: VolumeID

  public init(_ volume: VolumeID, to snapshot: VolumeID) {
    self.volume = volume
    self.snapshot = snapshot
  }

  public static let weight = 2

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> RollbackOperation? {
    guard let snapshot = SectorRange.snapshot(&random, in: session),
      let volume = session.expectation.origins[snapshot]
    else { return nil }
    let operation = RollbackOperation(volume, to: snapshot)
    return operation.isPossible(in: session) ? operation : nil
  }

  public func isPossible(in session: HostSession) -> Bool {
    let expectation = session.expectation
    return expectation.isServed(volume) && expectation.isCertainSnapshot(snapshot)
      && expectation.origins[snapshot] == volume && !expectation.model.isBeingReplaced(volume)
  }

  public func issue(in session: HostSession) {
    let issued = session.expectation.model.issueRollback(of: volume, to: snapshot)
    session.expectation.rolledBack.insert(volume)
    let size = session.expectation.model.sizeBytes(of: snapshot)
    session.change(volume, "rollback", replacement: issued) {
      $0.sizeBytes = size
    } issue: {
      $0.rollBack(volume, to: snapshot, token: $1)
    }
  }

  public var description: String { "roll \(volume.number) back to \(snapshot.number)" }
}
