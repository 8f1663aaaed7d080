import Management

/// The values of options, from their texts.
enum OptionText {
  static func size(_ text: String?) throws(ManagementError) -> UInt64? {
    guard let text else { return nil }
    return try SizeText.parse(text)
  }

  static func cacheMode(_ text: String) throws(ManagementError) -> CacheMode {
    guard let mode = CacheMode(rawValue: text) else {
      throw ManagementError(
        .invalidArgument, "'\(text)' is not a cache mode",
        correction: "Use \(CacheMode.allCases.map(\.rawValue).joined(separator: " or ")).",
        objects: [ManagementObject(.option, "--cache")])
    }
    return mode
  }

  /// A whole number in a range.
  static func count(
    _ value: Int, option: String, range: ClosedRange<Int>
  ) throws(ManagementError) -> Int {
    guard range.contains(value) else {
      throw ManagementError(
        .invalidArgument, "\(option) cannot be \(value)",
        correction: "Use \(range.lowerBound) to \(range.upperBound).",
        objects: [ManagementObject(.option, option)])
    }
    return value
  }
}
