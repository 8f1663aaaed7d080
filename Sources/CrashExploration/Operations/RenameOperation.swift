public import DiskSimulation
public import StorageUnits
import VolumeEngine

/// The administrator gives a volume or a snapshot a name that nothing else has.
public struct RenameOperation: VolumeOperation {
  public var volume: VolumeID

  public init(_ volume: VolumeID) { self.volume = volume }

  public static let weight = 2

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> RenameOperation? {
    let drawn =
      random.oneIn(3)
      ? SectorRange.snapshot(&random, in: session) : SectorRange.volume(&random, in: session)
    return drawn.map { RenameOperation($0) }
  }

  public func isPossible(in session: HostSession) -> Bool {
    session.expectation.isServed(volume)
  }

  public func issue(in session: HostSession) {
    let name = session.freshName().name
    session.change(volume, "rename") {
      $0.name = name
    } issue: {
      $0.renameVolume(volume, to: name, token: $1)
    }
  }

  public var description: String { "rename \(volume.number)" }
}
