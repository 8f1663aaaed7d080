/// A point on a clock that never goes back, in nanoseconds since an arbitrary start. Nothing below
/// the server reads a clock: the time is handed in.
@frozen public struct MonotonicTime: Hashable, Comparable, Sendable {
  public var nanoseconds: UInt64

  @inlinable public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }
  @inlinable public static func < (a: MonotonicTime, b: MonotonicTime) -> Bool {
    a.nanoseconds < b.nanoseconds
  }
  /// The time `milliseconds` later.
  @inlinable public func adding(milliseconds: UInt64) -> MonotonicTime {
    MonotonicTime(nanoseconds: nanoseconds + milliseconds * 1_000_000)
  }
  /// Never; later than any other time.
  public static let distantFuture = MonotonicTime(nanoseconds: .max)
}
