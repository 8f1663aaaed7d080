public import DiskSimulation
import PoolCore
public import StorageUnits
import VolumeEngine

/// The administrator places holds on a volume until there is no space left for their list: what
/// volumes have stays, and hardly anything is left for nodes.
public struct UseUpNodesOperation: VolumeOperation {
  public var volume: VolumeID

  public init(_ volume: VolumeID) { self.volume = volume }

  public static let weight = 0

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> UseUpNodesOperation? { nil }

  public func issue(in session: HostSession) { place(1, in: session) }

  /// The bound on holds ends it at the latest.
  private func place(_ number: Int, in session: HostSession) {
    let tag = "t\(number)"
    session.change(volume, "hold", refusal: { $0 == .noSpace(.nodeSpace) }) {
      $0.holds.insert(tag)
    } issue: {
      $0.placeHold(on: volume, tag: tag, reason: "", createdAt: 1, token: $1)
    } done: {
      place(number + 1, in: $0)
    }
  }

  public var description: String { "hold \(volume.number) until nothing is left for nodes" }
}
