import FoundationEssentials

/// A moment in whole seconds since 1970 (UTC), written as RFC 3339 does: `2026-01-31T08:15:00Z`.
public struct Timestamp: Hashable, Comparable, Sendable, CustomStringConvertible {
  public var secondsSince1970: Int64

  public init(secondsSince1970: Int64) {
    self.secondsSince1970 = secondsSince1970
  }

  /// Nil if the text is not a moment in RFC 3339's form with seconds.
  public init?(_ text: String) {
    guard let date = try? Date(text, strategy: .iso8601) else { return nil }
    self.init(secondsSince1970: Int64(date.timeIntervalSince1970))
  }

  public static func < (a: Timestamp, b: Timestamp) -> Bool {
    a.secondsSince1970 < b.secondsSince1970
  }

  public var description: String {
    Date(timeIntervalSince1970: Double(secondsSince1970)).formatted(.iso8601)
  }
}

extension Timestamp: Codable {
  public init(from decoder: any Decoder) throws {
    let text = try String(from: decoder)
    guard let time = Timestamp(text) else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "not an RFC 3339 time: \(text)"))
    }
    self = time
  }

  public func encode(to encoder: any Encoder) throws {
    try description.encode(to: encoder)
  }
}
