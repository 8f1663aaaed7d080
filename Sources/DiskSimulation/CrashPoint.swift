/// Where a history of I/O is cut off, over all devices that share it.
///
/// Every submission and every completion (a synchronous call is one event) counts; those after
/// `limit` do not happen: a submission or completion is swallowed, a synchronous call throws EIO.
/// The first synchronous write that is cut off has been submitted and is in flight.
public final class CrashPoint {
  public private(set) var events = 0
  private var hasInterruptedOne = false
  /// How many events happen; nil for all.
  public var limit: Int?

  /// Called before each event happens: what is there then is what a crash after the events so far
  /// finds.
  public var beforeEvent: (() -> Void)?

  public init(limit: Int? = nil) { self.limit = limit }

  public var isReached: Bool { limit.map { events >= $0 } ?? false }

  /// True once, for the operation that the crash interrupts.
  func interrupt() -> Bool {
    if hasInterruptedOne { return false }
    hasInterruptedOne = true
    return true
  }

  /// Counts an event; false if it does not happen.
  func admit() -> Bool {
    if isReached { return false }
    beforeEvent?()
    events += 1
    return true
  }
}
