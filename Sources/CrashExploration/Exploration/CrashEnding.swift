public import DiskSimulation

/// How a server ends in an exploration.
public enum CrashEnding: String, CaseIterable, Hashable, Sendable {
  /// What was not flushed is there or not; the tail is gone.
  case powerCut = "cut"
  /// What was completed is there, what was in flight ends before the next start reads; the tail is
  /// kept.
  case kill

  public var modelEnding: ReferenceModel.Ending {
    self == .powerCut ? .powerCut : .processDeath
  }
}
