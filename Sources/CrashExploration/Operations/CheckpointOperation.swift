public import DiskSimulation
import VolumeEngine

/// The administrator asks for a checkpoint.
public struct CheckpointOperation: HostOperation {
  public init() {}

  public static let weight = 3

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> CheckpointOperation? { CheckpointOperation() }

  public func issue(in session: HostSession) {
    session.manage {
      $0.checkpoint(token: $1)
    } answered: { session, result in
      session.judge(result, of: "checkpoint")
    }
  }

  public var description: String { "checkpoint" }
}
