public import DiskSimulation
import PoolCore
import VolumeEngine

/// The administrator goes on although there is no space: from now on snapshots may be refused.
public struct ToleranceOperation: HostOperation {
  public init() {}

  public static let weight = 0

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> ToleranceOperation? { nil }

  public func issue(in session: HostSession) {
    session.toleratesResult = {
      switch $0 {
      case .refused(.noSpace), .refused(.owesDiscards): true
      default: false
      }
    }
  }

  public var description: String { "tolerate refusals" }
}
