/// What happens to a write that needs space when the pool has none.
public enum FullPolicy: Hashable, Sendable {
  /// It waits for space for this long, then fails with the protocol's "no space" code.
  case wait(seconds: UInt32)
  /// It fails at once with the protocol's "no space" code.
  case error

  /// Seconds of `wait` where none are given.
  public static let defaultWaitSeconds: UInt32 = 60
  public static let waitSecondsRange: ClosedRange<UInt32> = 1...604_800
  public static let standard = FullPolicy.wait(seconds: defaultWaitSeconds)

  /// `wait`, `wait:SECONDS` or `error`. Throws `invalidArgument`.
  public init(_ text: String) throws(ManagementError) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    switch (parts.first, parts.count) {
    case ("error", 1): self = .error
    case ("wait", 1): self = .standard
    case ("wait", 2):
      guard parts[1].allSatisfy({ $0.isASCII && $0.isNumber }), let seconds = UInt32(parts[1])
      else { throw Self.refusal(text) }
      self = .wait(seconds: seconds)
      try check()
    default: throw Self.refusal(text)
    }
  }

  func check() throws(ManagementError) {
    guard case .wait(let seconds) = self, !Self.waitSecondsRange.contains(seconds) else { return }
    throw Self.refusal("wait:\(seconds)")
  }

  private static func refusal(_ text: String) -> ManagementError {
    ManagementError(
      .invalidArgument, "'\(text)' is not a policy for a full pool",
      correction:
        "Use 'error', 'wait' (\(defaultWaitSeconds) seconds) or 'wait:SECONDS' with"
        + " \(waitSecondsRange.lowerBound) to \(waitSecondsRange.upperBound) seconds.",
      objects: [ManagementObject(.option, "--full")])
  }
}

extension FullPolicy: CustomStringConvertible {
  public var description: String {
    switch self {
    case .wait(let seconds): "wait:\(seconds)"
    case .error: "error"
    }
  }
}

/// `{"mode": "wait", "waitSeconds": 60}` or `{"mode": "error"}`.
extension FullPolicy: Codable {
  enum CodingKeys: String, CodingKey, CaseIterable {
    case mode, waitSeconds
  }

  public init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    let mode = try fields.decode(String.self, forKey: .mode)
    let seconds = try fields.decodeIfPresent(UInt32.self, forKey: .waitSeconds)
    switch (mode, seconds) {
    case ("error", nil): self = .error
    case ("wait", _): self = .wait(seconds: seconds ?? Self.defaultWaitSeconds)
    default: throw Self.refusal(seconds.map { "\(mode):\($0)" } ?? mode)
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    switch self {
    case .wait(let seconds):
      try fields.encode("wait", forKey: .mode)
      try fields.encode(seconds, forKey: .waitSeconds)
    case .error:
      try fields.encode("error", forKey: .mode)
    }
  }
}
