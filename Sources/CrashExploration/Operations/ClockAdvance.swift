public import DiskSimulation

/// Time passes: what the engine does by itself after a while becomes due.
public struct ClockAdvance: HostOperation {
  public var milliseconds: UInt64

  public init(milliseconds: UInt64) { self.milliseconds = milliseconds }

  public static let weight = 3

  public static func draw(_ random: inout SeededRandom, in session: HostSession) -> ClockAdvance? {
    ClockAdvance(milliseconds: 1100)
  }

  public func issue(in session: HostSession) {
    session.server.advance(milliseconds: milliseconds)
  }

  public var description: String { "wait \(milliseconds)" }
}
