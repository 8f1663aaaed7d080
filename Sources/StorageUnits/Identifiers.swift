/// A volume's number in its pool; never reused.
@frozen public struct VolumeID: Hashable, Comparable, Sendable {
  public var number: UInt64

  @inlinable public init(_ number: UInt64) { self.number = number }
  @inlinable public static func < (a: VolumeID, b: VolumeID) -> Bool { a.number < b.number }
}

/// The pool's share epoch at some moment, or the birth of a layer or pointer: who may change what
/// in place (design, "Birth decides, not counts").
@frozen public struct ShareEpoch: Hashable, Comparable, Sendable {
  public var number: UInt32

  @inlinable public init(_ number: UInt32) { self.number = number }
  @inlinable public static func < (a: ShareEpoch, b: ShareEpoch) -> Bool { a.number < b.number }
  /// The share epoch of a volume of which nobody else shares anything.
  public static let zero = ShareEpoch(0)
}

/// The number of a journal record, counted from 1 over the pool's life.
@frozen public struct RecordNumber: Hashable, Comparable, Sendable {
  public var number: UInt64

  @inlinable public init(_ number: UInt64) { self.number = number }
  @inlinable public static func < (a: RecordNumber, b: RecordNumber) -> Bool {
    a.number < b.number
  }
  @inlinable public var next: RecordNumber { RecordNumber(number + 1) }
}

/// A 128-bit identifier of a pool, device or volume, written as RFC 9562 does.
@frozen public struct StorageUUID: Hashable, Sendable, CustomStringConvertible {
  /// The first eight bytes, big-endian.
  public var high: UInt64
  /// The last eight bytes, big-endian.
  public var low: UInt64

  @inlinable public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  public static let zero = StorageUUID(high: 0, low: 0)

  /// A version 4 identifier from 128 random bits.
  public init(randomHigh: UInt64, randomLow: UInt64) {
    self.high = randomHigh & 0xFFFF_FFFF_FFFF_0FFF | 0x4000
    self.low = randomLow & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
  }

  /// Parses the 8-4-4-4-12 hexadecimal form; nil if the text has any other form.
  public init?(_ text: String) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.map(\.utf8.count) == [8, 4, 4, 4, 12] else { return nil }
    guard text.utf8.allSatisfy({ $0 == 0x2D || Self.isHexadecimalDigit($0) }) else { return nil }
    guard let high = UInt64(parts[0] + parts[1] + parts[2], radix: 16),
      let low = UInt64(parts[3] + parts[4], radix: 16)
    else { return nil }
    self.init(high: high, low: low)
  }

  private static func isHexadecimalDigit(_ c: UInt8) -> Bool {
    (0x30...0x39).contains(c) || (0x41...0x46).contains(c) || (0x61...0x66).contains(c)
  }

  public var description: String {
    let digits = Self.hexadecimal(high) + Self.hexadecimal(low)
    var text = ""
    for (i, c) in digits.enumerated() {
      if [8, 12, 16, 20].contains(i) { text.append("-") }
      text.append(c)
    }
    return text
  }

  private static func hexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
