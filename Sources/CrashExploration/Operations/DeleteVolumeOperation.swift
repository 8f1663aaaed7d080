public import DiskSimulation
public import StorageUnits
import VolumeEngine

/// The administrator deletes a volume.
public struct DeleteVolumeOperation: VolumeOperation {
  public var volume: VolumeID

  public init(_ volume: VolumeID) { self.volume = volume }

  public static let weight = 2

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> DeleteVolumeOperation? {
    SectorRange.volume(&random, in: session).map { DeleteVolumeOperation($0) }
  }

  public func issue(in session: HostSession) {
    session.expectation.model.volumeDeleteIssued(volume)
    session.manage {
      $0.deleteVolume(volume, token: $1)
    } answered: { [volume] session, result in
      session.judge(result, of: "delete")
      switch result {
      case .done: session.expectation.model.volumeDeleted(volume)
      case .refused: session.expectation.model.volumeDeleteRefused(volume)
      // It may be gone.
      case .created, .branched, .failed: break
      }
    }
  }

  public var description: String { "delete \(volume.number)" }
}
