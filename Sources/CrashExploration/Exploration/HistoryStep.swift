/// One operation of a history, and when it is issued.
public struct HistoryStep: Sendable, CustomStringConvertible {
  public enum Timing: Hashable, Sendable {
    /// When everything before it has ended.
    case settled
    /// After so many more I/O completions, while earlier operations may still be on their way.
    case after(completions: Int)
    /// When everything before it has ended but what hosts read of devices, in families that leave
    /// that to the last.
    case beforeHostReads
  }
  public var operation: any HostOperation
  public var timing: Timing

  public init(_ operation: any HostOperation, _ timing: Timing = .settled) {
    self.operation = operation
    self.timing = timing
  }

  public var description: String {
    switch timing {
    case .settled: "\(operation)"
    case .after(let completions): "\(operation) (after \(completions) completions)"
    case .beforeHostReads: "\(operation) (before reads have ended)"
    }
  }

  /// Every operation at every timing.
  public static func choices(
    _ operations: [any HostOperation], _ timings: [Timing] = [.settled, .after(completions: 0)]
  ) -> [HistoryStep] {
    operations.flatMap { operation in timings.map { HistoryStep(operation, $0) } }
  }
}
