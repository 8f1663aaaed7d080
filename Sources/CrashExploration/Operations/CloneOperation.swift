public import DiskSimulation
public import StorageUnits
import VolumeEngine

/// The administrator makes a volume with the content of a snapshot.
public struct CloneOperation: HostOperation {
  public var snapshot: VolumeID

  public init(_ snapshot: VolumeID) { self.snapshot = snapshot }

  public static let weight = 2

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> CloneOperation? {
    guard session.expectation.certainVolumes.count < CreateVolumeOperation.mostVolumes else {
      return nil
    }
    return SectorRange.snapshot(&random, in: session).map { CloneOperation($0) }
  }

  public func isPossible(in session: HostSession) -> Bool {
    session.expectation.isCertainSnapshot(snapshot)
  }

  public func issue(in session: HostSession) {
    let issued = session.expectation.model.issueBranch()
    let (name, number) = session.freshName()
    let uuid = StorageUUID(high: number, low: 1)
    let size = session.expectation.model.sizeBytes(of: snapshot)
    let creation = CrashExpectation.Creation(
      uuid: uuid, facts: VolumeFacts(name: name, sizeBytes: size),
      branch: CrashExpectation.Branch(source: snapshot, issued: issued, isSnapshot: false))
    session.branch(into: [creation], "clone") {
      $0.cloneSnapshot(
        snapshot, as: name, uuid: uuid, createdAt: 0, token: $1)
    }
  }

  public var description: String { "clone \(snapshot.number)" }
}
