public import DiskSimulation
public import StorageUnits
import VolumeEngine

/// The administrator places a hold on a volume or a snapshot, so that it is not deleted.
public struct HoldOperation: VolumeOperation {
  public var volume: VolumeID

  public init(_ volume: VolumeID) { self.volume = volume }

  public static let weight = 2

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> HoldOperation? {
    let drawn =
      random.oneIn(2)
      ? SectorRange.snapshot(&random, in: session) : SectorRange.volume(&random, in: session)
    return drawn.map { HoldOperation($0) }
  }

  public func isPossible(in session: HostSession) -> Bool {
    session.expectation.isServed(volume)
  }

  public func issue(in session: HostSession) {
    let tag = session.freshName().name
    session.change(volume, "hold") {
      $0.holds.insert(tag)
    } issue: {
      $0.placeHold(on: volume, tag: tag, reason: "asked for", createdAt: 1, token: $1)
    }
  }

  public var description: String { "hold \(volume.number)" }
}

/// The administrator releases a hold of a volume or snapshot: the first one by its tag.
public struct ReleaseOperation: VolumeOperation {
  public var volume: VolumeID

  public init(_ volume: VolumeID) { self.volume = volume }

  public static let weight = 2

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> ReleaseOperation? {
    let held = session.expectation.model.volumeIDs.map { ReleaseOperation($0) }.filter {
      $0.isPossible(in: session)
    }
    return SectorRange.one(of: held, &random)
  }

  public func isPossible(in session: HostSession) -> Bool {
    session.expectation.isServed(volume)
      && session.expectation.facts[volume]?.certainHolds.isEmpty == false
  }

  public func issue(in session: HostSession) {
    guard let tag = session.expectation.facts[volume]?.certainHolds.min() else { return }
    session.change(volume, "release") {
      $0.holds.remove(tag)
    } issue: {
      $0.releaseHold(on: volume, tag: tag, token: $1)
    }
  }

  public var description: String { "release \(volume.number)" }
}
