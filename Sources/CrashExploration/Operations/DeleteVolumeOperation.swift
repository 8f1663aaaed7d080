public import DiskSimulation
import PoolCore
public import StorageUnits
import VolumeEngine

/// The administrator deletes a volume that has no snapshots.
public struct DeleteVolumeOperation: VolumeOperation {
  public var volume: VolumeID

  public init(_ volume: VolumeID) { self.volume = volume }

  public static let weight = 2

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> DeleteVolumeOperation? {
    guard let volume = SectorRange.volume(&random, in: session) else { return nil }
    let operation = DeleteVolumeOperation(volume)
    return operation.isPossible(in: session) ? operation : nil
  }

  public func isPossible(in session: HostSession) -> Bool {
    let expectation = session.expectation
    return expectation.isReachable(volume) && !expectation.model.isSnapshot(volume)
      && !expectation.hasSnapshots(volume) && !expectation.mayBecomeHeld(volume)
  }

  public func issue(in session: HostSession) {
    session.delete(volume)
  }

  public var description: String { "delete \(volume.number)" }
}

extension HostSession {
  /// Deletes a volume or a snapshot for good. One that is held stays.
  func delete(_ volume: VolumeID) {
    let isHeld = expectation.isHeld(volume)
    if !isHeld { expectation.model.volumeDeleteIssued(volume) }
    manage {
      $0.deleteVolume(volume, token: $1)
    } answered: { session, result in
      switch result {
      case .done:
        if isHeld { session.note(problem: "\(volume.number) was deleted although it is held") }
        session.expectation.model.volumeDeleted(volume)
      case .refused(let error):
        if case .held = error, isHeld { return }
        session.judge(result, of: "delete")
        session.expectation.model.volumeDeleteRefused(volume)
      // It may be gone.
      case .created, .branched, .failed: session.judge(result, of: "delete")
      }
    }
  }
}
