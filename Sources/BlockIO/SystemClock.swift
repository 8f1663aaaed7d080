import Glibc
public import StorageUnits

/// The machine's clocks. Only the outermost code reads them; everything below is given the time.
public enum SystemClock {
  /// The monotonic clock (CLOCK_MONOTONIC).
  public static func now() -> MonotonicTime {
    MonotonicTime(nanoseconds: nanoseconds(CLOCK_MONOTONIC))
  }

  /// The wall clock: seconds since 1970.
  public static func secondsSince1970() -> UInt64 { nanoseconds(CLOCK_REALTIME) / 1_000_000_000 }

  private static func nanoseconds(_ clock: clockid_t) -> UInt64 {
    var t = timespec()
    unsafe clock_gettime(clock, &t)
    return UInt64(t.tv_sec) * 1_000_000_000 + UInt64(t.tv_nsec)
  }
}
