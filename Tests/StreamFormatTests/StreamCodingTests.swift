import Foundation
import StorageUnits
import Testing

@testable import StreamFormat

@Suite struct StreamCodingTests {
  @Test(arguments: [TestStream.header, TestStream.incrementalHeader])
  func aStreamIsReadAsItWasWritten(header: StreamHeader) throws {
    let events = TestStream.events(of: header)
    #expect(try TestStream.decode(TestStream.encode(events)) == events)
  }

  @Test(arguments: [1, 7, 40, 1000, 4096, 5000])
  func itDoesNotMatterInWhichPiecesItArrives(size: Int) throws {
    let bytes = TestStream.bytes(of: TestStream.header)
    #expect(
      try TestStream.decode(bytes, pieces: size) == TestStream.events(of: TestStream.header))
  }

  @Test func theLongestFrameIsRead() throws {
    var header = TestStream.header
    header.sizeBytes = 4 << 20
    let data = TestStream.pattern(3, StreamFormat.maximumDataBytes)
    let events: [StreamEvent] = [
      .header(header), .data(offset: 1 << 20, bytes: data),
      .zeros(offset: 2 << 20, length: 2 << 20), .end(VolumeHash().finish(sizeBytes: 4 << 20)),
    ]
    #expect(try TestStream.decode(TestStream.encode(events), pieces: 65536) == events)
  }

  // MARK: Golden images

  private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "Golden")

  /// The images are hexadecimal text, 32 bytes a line, and are never edited. Those that are missing
  /// are written with `LAMINA_ADD_GOLDEN=1`, and no others.
  @Test(arguments: [
    ("full-v1", TestStream.header), ("incremental-v1", TestStream.incrementalHeader),
  ])
  func theFormatHasNotChanged(name: String, header: StreamHeader) throws {
    let file = Self.folder.appending(path: "\(name).hex")
    let bytes = TestStream.bytes(of: header)
    let isMissing = !FileManager.default.fileExists(atPath: file.path)
    if isMissing, ProcessInfo.processInfo.environment["LAMINA_ADD_GOLDEN"] == "1" {
      try Self.hex(bytes).write(to: file, atomically: true, encoding: .utf8)
    }
    let text = try String(contentsOf: file, encoding: .utf8)
    #expect(text == Self.hex(bytes))
    #expect(try TestStream.decode(Self.bytes(text)) == TestStream.events(of: header))
  }

  private static func hex(_ bytes: [UInt8]) -> String {
    stride(from: 0, to: bytes.count, by: 32).map { start in
      bytes[start..<min(start + 32, bytes.count)]
        .map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "\n"
    }.joined()
  }

  private static func bytes(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count, by: 2).map {
      UInt8(digits[$0] << 4 | digits[$0 + 1])
    }
  }

  // MARK: The digest

  @Test func theDigestIsThatOfThePage() {
    // printf '\0\0\0\0\0\0\0\0' | sha256sum, and so on: by Python's hashlib, from the page's words.
    #expect(
      VolumeHash().finish(sizeBytes: 0).description
        == "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc")
    let hash = VolumeHash()
    let block = [UInt8](repeating: 7, count: 4096)
    unsafe block.withUnsafeBytes { unsafe hash.add(offset: 8192, $0) }
    #expect(hash.finish(sizeBytes: 16384).description == Self.digestOfOneBlock)
  }

  static let digestOfOneBlock = "ef91c5a30d266c6bf48996475927ed0d2ab64359b6a2ca206a9f968ac11fee2f"

  @Test func theDigestDependsOnContentsAndNotOnHowTheyAreHandedIn() {
    var bytes = [UInt8](repeating: 0, count: 10 * 4096 + 512)
    for block in [1, 2, 5, 10] { bytes[block * 4096 + 9] = UInt8(block) }
    let whole = VolumeHash()
    unsafe bytes.withUnsafeBytes { unsafe whole.add(offset: 0, $0) }
    let parts = VolumeHash()
    for range in [4096..<12288, 20480..<24576, 40960..<bytes.count] {
      unsafe bytes[range].withUnsafeBytes { unsafe parts.add(offset: UInt64(range.lowerBound), $0) }
    }
    let size = UInt64(bytes.count)
    let expected = whole.finish(sizeBytes: size)
    #expect(parts.finish(sizeBytes: size) == expected)
    let moved = VolumeHash()
    unsafe bytes[4096..<8192].withUnsafeBytes { unsafe moved.add(offset: 8192, $0) }
    #expect(moved.finish(sizeBytes: size) != expected)
  }
}
