public import DiskSimulation

/// What random histories have done.
public struct SimulationFigures: Hashable, Sendable {
  public var histories = 0
  public var operations = 0
  public var answers = 0
  /// Answers of hosts that were errors.
  public var errorsTold = 0
  public var starts = 0
  public var powerCuts = 0
  public var kills = 0
  public var stops = 0
  /// Starts that a failing device made impossible, and that were tried again.
  public var failedStarts = 0
  /// Starts that were refused for damage; their histories ended.
  public var refusedStarts = 0
  /// Old copies of a device that were refused.
  public var oldDevices = 0
  public var faults = FaultCounts()

  public init() {}

  public mutating func add(_ other: SimulationFigures) {
    histories += other.histories
    operations += other.operations
    answers += other.answers
    errorsTold += other.errorsTold
    starts += other.starts
    powerCuts += other.powerCuts
    kills += other.kills
    stops += other.stops
    failedStarts += other.failedStarts
    refusedStarts += other.refusedStarts
    oldDevices += other.oldDevices
    faults = faults + other.faults
  }
}

extension SimulationFigures: CustomStringConvertible {
  public var description: String {
    let hits = faults.byName.filter { $0.count > 0 }.map { "\($0.name) \($0.count)" }
    return """
      \(histories) histories, \(operations) operations, \(answers) answers (\(errorsTold) errors)
      \(starts) starts after \(powerCuts) power cuts, \(kills) kills and \(stops) stops; \
      \(failedStarts) failed for a device, \(refusedStarts) were refused for damage, \
      \(oldDevices) old devices refused
      faults: \(hits.isEmpty ? "none" : hits.joined(separator: ", "))
      """
  }
}
