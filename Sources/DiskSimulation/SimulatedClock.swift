public import StorageUnits

/// A clock that stands still until it is told to advance.
public struct SimulatedClock: Hashable, Sendable {
  public private(set) var now: MonotonicTime

  public init(now: MonotonicTime = MonotonicTime(nanoseconds: 0)) { self.now = now }

  public mutating func advance(nanoseconds: UInt64) {
    now = MonotonicTime(nanoseconds: now.nanoseconds + nanoseconds)
  }

  public mutating func advance(milliseconds: UInt64) {
    now = now.adding(milliseconds: milliseconds)
  }

  /// Jumps to `time`; does nothing if that is past.
  public mutating func advance(to time: MonotonicTime) { now = max(now, time) }
}
