import Management
import Testing

struct SizeTextTests {
  static let exactTexts: [(String, UInt64)] = [
    ("0", 0), ("512", 512), ("513B", 513), ("1k", 1024), ("1K", 1024), ("1KiB", 1024),
    ("64MiB", 64 << 20), ("64mib", 64 << 20), ("1.5GiB", 3 << 29), ("1.5 GiB", 3 << 29),
    ("10T", 10 << 40), ("32P", 32 << 50), ("0.5K", 512), ("1.0009765625K", 1025),
    ("1.50000K", 1536), ("18446744073709551615", UInt64.max), ("16383P", 16383 << 50),
    ("0.00000000000000088817841970012523233890533447265625P", 1), ("528K", 528 << 10),
  ]

  @Test(arguments: exactTexts)
  func `a size text means exactly its bytes`(text: String, bytes: UInt64) throws {
    #expect(try SizeText.parse(text) == bytes)
  }

  @Test(arguments: [
    "", " ", "K", ".5K", "1.", "1.K", "-1", "+1", "1e3", "0x10", "1 000", "1,5G", "1.1.1K", "1GB",
    "1kb", "10TB", "1E", "1X", "1Ki", "1K ", " 1K", "1  K", "0.3", "1.5", "1.1K", "1.0001K",
    "18446744073709551616", "16384P", "99999999999999999999999999", "١", "1\u{0301}",
    "1.00000000000000000000000000000000000000000000000000000000000000000",
  ])
  func `a text that is no size, or no whole number of bytes, is refused`(text: String) {
    let error = #expect(throws: ManagementError.self) { try SizeText.parse(text) }
    #expect(error?.code == .invalidSize)
  }

  @Test func `the exact text of any size reads back as the same size`() throws {
    var generator = SystemRandomNumberGenerator()
    var sizes: [UInt64] = [0, 1, 511, 1023, 1024, 1025, .max, .max - 1023, 1 << 63]
    for _ in 0..<2000 {
      sizes.append(UInt64.random(in: .min ... .max, using: &generator) >> UInt64.random(in: 0..<64))
      sizes.append(UInt64.random(in: 0..<1024) << UInt64.random(in: 0..<54))
    }
    for size in sizes {
      #expect(try SizeText.parse(SizeText.exact(size)) == size, "size \(size)")
    }
  }

  static let humanTexts: [(UInt64, String)] = [
    (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (1025, "1 KiB"),
    (1034, "1.01 KiB"), (3 << 29, "1.5 GiB"), (10 << 40, "10 TiB"), (32 << 50, "32 PiB"),
    ((1 << 20) - 1, "1 MiB"), ((1 << 30) - (1 << 20), "1023 MiB"), (540672, "528 KiB"),
    (UInt64.max, "16384 PiB"),
  ]

  @Test(arguments: humanTexts)
  func `a size for a person has at most two decimals`(bytes: UInt64, text: String) {
    #expect(SizeText.human(bytes) == text)
  }

  @Test func `a size for a person is off by less than a hundredth of its unit`() throws {
    for _ in 0..<2000 {
      let size = UInt64.random(in: .min ... .max) >> UInt64.random(in: 14..<64)
      let parts = SizeText.human(size).split(separator: " ")
      let unit = try SizeText.parse("1\(parts[1])")
      let shown = try #require(Double(parts[0])) * Double(unit)
      #expect(abs(shown - Double(size)) <= Double(unit) / 190, "size \(size)")
    }
  }
}
