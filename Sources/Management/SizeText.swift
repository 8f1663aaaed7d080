/// The one spelling of sizes: a whole or decimal number, then nothing or `B` for bytes, or a suffix
/// `K M G T P`, each also as `KiB` …, in either case. Every suffix is a power of 1024, as in QEMU
/// and LVM. `GB` and its kin are refused, because to some they mean powers of 1000.
///
/// Nothing is rounded: a text that does not name a whole number of bytes is refused.
public enum SizeText {
  private static let suffixes = ["K", "M", "G", "T", "P"]
  private static let maximumFractionDigits = 64

  /// The size that the text names. Throws `invalidSize`.
  public static func parse(_ text: String) throws(ManagementError) -> UInt64 {
    guard !text.isEmpty else { throw refusal(text, "It is empty.") }
    var rest = text[...]
    let whole = takeDigits(&rest)
    var fraction: [UInt64] = []
    if rest.first == "." {
      rest.removeFirst()
      fraction = takeDigits(&rest)
      guard !fraction.isEmpty else { throw refusal(text, "A digit is missing behind the '.'.") }
    }
    guard !whole.isEmpty else { throw refusal(text, "It does not start with a digit.") }
    guard fraction.count <= maximumFractionDigits else {
      throw refusal(text, "It has more than \(maximumFractionDigits) digits behind the '.'.")
    }
    if rest.first == " " { rest.removeFirst() }
    let power = try powerOf1024(of: rest, in: text)
    guard var value = number(of: whole) else { throw refusal(text, "It is beyond 2^64 bytes.") }
    for _ in 0..<power {
      guard let next = timesKibi(value, plusCarryOf: &fraction) else {
        throw refusal(text, "It is beyond 2^64 bytes.")
      }
      value = next
    }
    guard fraction.allSatisfy({ $0 == 0 }) else {
      throw refusal(text, "It is not a whole number of bytes, and nothing is rounded.")
    }
    return value
  }

  /// The shortest text without a fraction that `parse` reads back as exactly this size: `10T`,
  /// `1536M`, `513`.
  public static func exact(_ bytes: UInt64) -> String {
    var value = bytes
    var suffix = ""
    for next in suffixes where value != 0 && value % 1024 == 0 {
      value /= 1024
      suffix = next
    }
    return "\(value)\(suffix)"
  }

  /// The size for a person, with at most two decimals: `1.5 GiB`, `512 B`. Halves are rounded up,
  /// so it may be off by half a hundredth of its unit.
  public static func human(_ bytes: UInt64) -> String {
    guard bytes >= 1024 else { return "\(bytes) B" }
    var index = min((63 - bytes.leadingZeroBitCount) / 10, suffixes.count)
    var hundredths = hundredths(of: bytes, power: index)
    if hundredths >= 1024 * 100, index < suffixes.count {
      index += 1
      hundredths = Self.hundredths(of: bytes, power: index)
    }
    let whole = hundredths / 100
    let part = hundredths % 100
    let decimals =
      part == 0 ? "" : part % 10 == 0 ? ".\(part / 10)" : part < 10 ? ".0\(part)" : ".\(part)"
    return "\(whole)\(decimals) \(suffixes[index - 1])iB"
  }

  private static func hundredths(of bytes: UInt64, power: Int) -> UInt64 {
    let unit = UInt64(1) << UInt64(10 * power)
    let (high, low) = (bytes / unit, bytes % unit)
    // Exact: 100 × low fits, because low < 2^50.
    return high * 100 + (low * 100 + unit / 2) / unit
  }

  private static func takeDigits(_ text: inout Substring) -> [UInt64] {
    var digits: [UInt64] = []
    while let c = text.first, let value = c.wholeNumberValue, c.isASCII {
      digits.append(UInt64(value))
      text.removeFirst()
    }
    return digits
  }

  private static func number(of digits: [UInt64]) -> UInt64? {
    var value: UInt64 = 0
    for digit in digits {
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(digit)
      if overflow || carry { return nil }
      value = sum
    }
    return value
  }

  private static func powerOf1024(
    of suffix: Substring, in text: String
  ) throws(ManagementError) -> Int {
    let upper = suffix.uppercased()
    if upper.isEmpty || upper == "B" { return 0 }
    for (i, letter) in suffixes.enumerated() {
      if upper == letter || upper == letter + "IB" { return i + 1 }
      if upper == letter + "B" {
        throw refusal(text, "'\(suffix)' means powers of 1000 to some and of 1024 to others.")
      }
    }
    throw refusal(text, "'\(suffix)' is not a unit.")
  }

  /// `value` × 1024 plus what the decimal fraction carries over, leaving the rest of the fraction.
  private static func timesKibi(_ value: UInt64, plusCarryOf fraction: inout [UInt64]) -> UInt64? {
    var carry: UInt64 = 0
    for i in fraction.indices.reversed() {
      let sum = fraction[i] * 1024 + carry
      fraction[i] = sum % 10
      carry = sum / 10
    }
    let (product, overflow) = value.multipliedReportingOverflow(by: 1024)
    let (sum, overflowOfSum) = product.addingReportingOverflow(carry)
    return overflow || overflowOfSum ? nil : sum
  }

  private static func refusal(_ text: String, _ cause: String) -> ManagementError {
    ManagementError(
      .invalidSize, "'\(text)' is not a size", cause: cause,
      correction:
        "Write bytes, or a number with K, M, G, T or P (powers of 1024): 512, 64MiB, 10T.",
      objects: [ManagementObject(.option, text)])
  }
}
