/// A span of time as people write it: seconds, or with `s`, `m`, `h`, `d` or `w`; whole numbers.
public enum DurationText {
  private static let units: [(suffix: Character, seconds: UInt64)] = [
    ("w", 7 * 86400), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1),
  ]

  /// In seconds, at most 2³² − 1. Throws `invalidArgument`.
  public static func parse(_ text: String) throws(ManagementError) -> UInt32 {
    let unit = units.first { $0.suffix == text.last }
    let digits = unit == nil ? text[...] : text.dropLast()
    guard !digits.isEmpty, digits.allSatisfy({ ("0"..."9").contains($0) }),
      let count = UInt64(digits),
      case let (seconds, isTooLong) = count.multipliedReportingOverflow(
        by: unit?.seconds ?? 1), !isTooLong, let result = UInt32(exactly: seconds)
    else {
      throw ManagementError(
        .invalidArgument, "'\(text)' is not a span of time",
        correction: "Write seconds, or a whole number with s, m, h, d or w, as in 7d.")
    }
    return result
  }

  /// With the largest unit that fits: 604800 is `1w`.
  public static func text(seconds: UInt32) -> String {
    let seconds = UInt64(seconds)
    guard seconds > 0, let unit = units.first(where: { seconds % $0.seconds == 0 }) else {
      return "0"
    }
    return "\(seconds / unit.seconds)\(unit.suffix)"
  }
}
