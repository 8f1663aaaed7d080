import Foundation
import StorageUnits
import Testing

@testable import StreamFormat

/// Bytes that no sender wrote.
@Suite struct HostileStreamTests {
  private let bytes = TestStream.bytes(of: TestStream.incrementalHeader)
  private let events = TestStream.events(of: TestStream.incrementalHeader)

  @Test func everyFlippedBitIsRefused() {
    for at in bytes.indices {
      var bad = bytes
      bad[at] ^= 1 << UInt8(at % 8)
      #expect(throws: StreamError.self, "byte \(at)") { try TestStream.decode(bad) }
    }
  }

  @Test func everyCutIsRefused() {
    for count in 0..<bytes.count {
      #expect(throws: StreamError.self, "\(count) bytes") {
        try TestStream.decode(Array(bytes.prefix(count)))
      }
    }
  }

  @Test func whatFollowsTheEndIsRefused() {
    #expect(throws: StreamError.trailingBytes(at: UInt64(bytes.count))) {
      try TestStream.decode(bytes + [0])
    }
  }

  @Test func whatIsNoStreamIsRefusedWithItsFirstBytes() {
    var decoder = StreamDecoder()
    decoder.append(Array("QFI".utf8))
    #expect(throws: StreamError.notAStream) { try decoder.next() }
    #expect(throws: StreamError.notAStream) { try decoder.next() }
  }

  @Test func framesThatAreMissingOrTwiceOrMovedAreRefused() throws {
    let frames = Self.frames(bytes)
    #expect(frames.count == 4)
    let head = Array(bytes.prefix(StreamFormat.headerBytes))
    for left in frames.indices {
      var fewer = frames
      fewer.remove(at: left)
      #expect(throws: StreamError.self) { try TestStream.decode(head + fewer.joined()) }
      var more = frames
      more.insert(frames[left], at: left)
      #expect(throws: StreamError.self) { try TestStream.decode(head + more.joined()) }
    }
    let swapped = [frames[1], frames[0], frames[2], frames[3]]
    #expect(throws: StreamError.self) { try TestStream.decode(head + swapped.joined()) }
  }

  private static func frames(_ bytes: [UInt8]) -> [[UInt8]] {
    var frames: [[UInt8]] = []
    var at = StreamFormat.headerBytes
    while at < bytes.count {
      let payload = (0..<4).reduce(0) { $0 | Int(bytes[at + 4 + $1]) << (8 * $1) }
      let end = at + StreamFormat.frameHeaderBytes + payload
      frames.append(Array(bytes[at..<end]))
      at = end
    }
    return frames
  }

  /// Fields with a good checksum and a value that no sender writes.
  @Test(arguments: [
    (0, 0), (0, 9), (1, 1), (2, 1), (32, 1), (8, 2), (16, 1), (17, 1), (24, 1), (22, 1), (4, 1),
    (7, 0x7F),
  ])
  func sealedNonsenseInAFrameIsRefused(field: Int, value: UInt8) {
    var bad = bytes
    let at = StreamFormat.headerBytes
    bad[at + field] = value
    Self.seal(&bad, at, length: StreamFormat.frameHeaderBytes + 4096, field: 36)
    #expect(throws: StreamError.self) { try TestStream.decode(bad) }
  }

  @Test(arguments: [
    (8, 2), (9, 1), (16, 1), (104, 7), (108, 1), (96, 1), (101, 0xFF), (128, 0), (128, 128),
    (131, 0), (132, 1), (144 + 127, 1), (700, 1), (144, 0xFF),
  ])
  func sealedNonsenseInTheHeaderIsRefused(field: Int, value: UInt8) {
    var bad = bytes
    bad[field] = value
    Self.seal(&bad, 0, length: StreamFormat.headerBytes, field: 12)
    #expect(throws: StreamError.self) { try TestStream.decode(bad) }
  }

  @Test func newerVersionsAndFeaturesAreNamed() {
    var newer = bytes
    newer[8] = 2
    Self.seal(&newer, 0, length: StreamFormat.headerBytes, field: 12)
    #expect(throws: StreamError.unknownVersion(2)) { try TestStream.decode(newer) }
    var other = bytes
    other[23] = 0x80
    Self.seal(&other, 0, length: StreamFormat.headerBytes, field: 12)
    #expect(throws: StreamError.unknownFeatures(1 << 63)) { try TestStream.decode(other) }
    var ignorable = bytes
    ignorable[24] = 1
    Self.seal(&ignorable, 0, length: StreamFormat.headerBytes, field: 12)
    #expect(throws: Never.self) { try TestStream.decode(ignorable) }
  }

  private static func seal(_ bytes: inout [UInt8], _ at: Int, length: Int, field: Int) {
    let checksum = FrameChecksum.of(bytes[at..<min(at + length, bytes.count)], fieldAt: field)
    for index in 0..<4 {
      bytes[at + field + index] = UInt8(truncatingIfNeeded: checksum >> (8 * index))
    }
  }

  /// A damaged length must not make the reader wait for more than a frame can have.
  @Test func aHugeLengthIsRefusedBeforeItsBytesAreAwaited() throws {
    var decoder = StreamDecoder()
    decoder.append(TestStream.header.encoded())
    _ = try decoder.next()
    var frame = [UInt8](repeating: 0, count: StreamFormat.frameHeaderBytes)
    frame[0] = 1
    for index in 4..<8 { frame[index] = 0xFF }
    for index in 24..<28 { frame[index] = 0xFF }
    decoder.append(frame)
    #expect(throws: StreamError.badField("length", at: 1024)) { try decoder.next() }
  }

  @Test func randomBytesAreRefused() {
    var state: UInt64 = 88
    for _ in 0..<2000 {
      var bad = bytes
      for _ in 0..<(1 + Int(state % 4)) {
        state = state &* 6_364_136_223_846_793_005 &+ 1
        let at = Int(state >> 33) % bad.count
        bad[at] = UInt8(truncatingIfNeeded: state >> 20)
      }
      if bad != bytes { #expect(throws: StreamError.self) { try TestStream.decode(bad) } }
    }
  }
}
