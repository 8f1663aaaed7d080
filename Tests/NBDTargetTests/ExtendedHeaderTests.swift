import BlockExport
import StorageUnits
import Testing

@testable import NBDTarget

/// Extended headers (proto.md, `NBD_OPT_EXTENDED_HEADERS`): 64-bit lengths, chunks for every reply,
/// payloads that are announced.
@Suite struct ExtendedHeaderTests {
  private static let payload: UInt16 = 1 << 5

  private static func harness(bytes: UInt64 = 1 << 20) -> SessionHarness {
    SessionHarness(
      [ListedExports.volume(1, "v", bytes: bytes)],
      bases: [
        NamedExportBase(name: "a", base: .snapshot(VolumeID(11))),
        NamedExportBase(name: "b", base: .snapshot(VolumeID(12))),
      ],
      contents: { _ in [UInt8](repeating: 7, count: Int(min(bytes, 1 << 20))) })
  }

  private static func error(_ cookie: UInt64, offset: UInt64, _ error: UInt32) -> [UInt8] {
    Wire.extendedChunk(
      cookie, type: 0x8001, offset: offset, Wire.bigEndian(error) + [0, 0])
  }

  private static func done(_ cookie: UInt64, offset: UInt64) -> [UInt8] {
    Wire.extendedChunk(cookie, type: 0, offset: offset)
  }

  // MARK: Negotiation

  @Test func theOptionIsTakenOnceAndStandsForStructuredReplies() throws {
    let harness = Self.harness()
    let i = try #require(harness.connect())
    harness.send(i, Wire.fixedNoZeroes)
    _ = harness.take(i)
    harness.send(i, Wire.option(11, [0]))
    #expect(harness.take(i).starts(with: Wire.optionReply(11, 0x8000_0003).prefix(16)))
    harness.send(i, Wire.option(11))
    #expect(harness.take(i) == Wire.optionReply(11, 1))
    harness.send(i, Wire.option(11))
    #expect(harness.take(i).starts(with: Wire.optionReply(11, 0x8000_0003).prefix(16)))
    harness.send(i, Wire.option(8))
    #expect(harness.take(i).starts(with: Wire.optionReply(8, 0x8000_000A).prefix(16)))
    // The old way to begin cannot be combined with it.
    harness.send(i, Wire.option(1, Array("v".utf8)))
    #expect(harness.take(i).isEmpty)
    #expect(harness.peers[i]?.isClosed == true)
    #expect(harness.endsEmpty())
  }

  @Test func whoAskedForStructuredRepliesBeforeGetsThemExtended() throws {
    let harness = Self.harness()
    let i = try #require(harness.connect())
    harness.send(
      i,
      Wire.fixedNoZeroes + Wire.option(8) + Wire.option(11) + Wire.option(7, Wire.info("v")))
    _ = harness.take(i)
    harness.send(i, Wire.extendedRequest(3, cookie: 9))
    #expect(harness.take(i) == Self.done(9, offset: 0))
    #expect(harness.endsEmpty())
  }

  /// Bit 12: a payload of block status is understood, which needs contexts.
  @Test(arguments: [[], ["base:allocation"]], [6, 7] as [UInt32])
  func filtersAreOfferedWhereThereIsSomethingToFilter(contexts: [String], option: UInt32) throws {
    let harness = Self.harness()
    let i = try #require(harness.connect())
    var bytes = Wire.fixedNoZeroes + Wire.option(11)
    if !contexts.isEmpty { bytes += Wire.option(10, Wire.metaContext("v", contexts)) }
    harness.send(i, bytes)
    _ = harness.take(i)
    harness.send(i, Wire.option(option, Wire.info("v")))
    // All but read-only and rotational.
    let flags: UInt16 = 0b1101_1110_1101 | (contexts.isEmpty ? 0 : 1 << 12)
    let export =
      [0, 0] + Wire.bigEndian(UInt64(1 << 20)) + [UInt8(flags >> 8), UInt8(flags & 0xFF)]
    #expect(harness.take(i).starts(with: Wire.optionReply(option, 3, export)))
    #expect(harness.endsEmpty())
  }

  // MARK: Requests

  @Test func readsAndWritesAreAnsweredWithChunks() throws {
    let harness = Self.harness()
    let i = try harness.openExtended("v")
    let data = [UInt8](repeating: 3, count: 512)
    harness.send(
      i, Wire.extendedRequest(1, flags: Self.payload, cookie: 5, offset: 1024, length: 512, data))
    #expect(harness.take(i) == Self.done(5, offset: 1024))
    harness.send(i, Wire.extendedRequest(0, cookie: 6, offset: 512, length: 1024))
    #expect(
      harness.take(i)
        == Wire.extendedChunk(
          6, type: 1, offset: 512,
          Wire.bigEndian(UInt64(512)) + [UInt8](repeating: 7, count: 512) + data))
    harness.send(i, Wire.extendedRequest(0, cookie: 7, offset: 512, length: 0))
    #expect(harness.take(i) == Self.done(7, offset: 512))
    harness.engine.failures[4096] = .inputOutput
    harness.send(i, Wire.extendedRequest(0, cookie: 8, offset: 4096, length: 512))
    #expect(harness.take(i) == Self.error(8, offset: 4096, 5))
    harness.send(i, Wire.extendedRequest(0, flags: 4, cookie: 9, offset: 0, length: 1 << 20))
    #expect(harness.take(i) == Self.error(9, offset: 0, 5))
    harness.engine.hintsZeros = true
    harness.send(i, Wire.extendedRequest(6, cookie: 10, offset: 8192, length: 8192))
    #expect(harness.take(i) == Self.done(10, offset: 8192))
    harness.send(i, Wire.extendedRequest(0, cookie: 11, offset: 8192, length: 8192))
    #expect(
      harness.take(i)
        == Wire.extendedChunk(
          11, type: 2, offset: 8192, Wire.bigEndian(UInt64(8192)) + Wire.bigEndian(UInt32(8192))))
    #expect(harness.endsEmpty())
  }

  /// A write has a payload also without the flag (QEMU leaves it out), and anything else with the
  /// flag has one: the stream goes on at the right byte.
  @Test func aPayloadIsWhereTheFlagSaysSo() throws {
    let harness = Self.harness()
    let i = try harness.openExtended("v", contexts: ["base:allocation"])
    let data = [UInt8](repeating: 0x21, count: 512)
    harness.send(i, Wire.extendedRequest(1, cookie: 1, offset: 0, length: 512, data))
    #expect(harness.take(i) == Self.done(1, offset: 0))
    var bytes: [UInt8] = []
    for (n, type) in ([0, 3, 4, 5, 6, 8, 99] as [UInt16]).enumerated() {
      bytes += Wire.extendedRequest(
        type, flags: Self.payload, cookie: UInt64(n + 2), offset: 0, length: 512, data)
    }
    harness.send(i, bytes)
    #expect(harness.take(i) == (2...8).flatMap { Self.error($0, offset: 0, 22) })
    #expect(harness.engine.requestCount == 1)
    // A payload that nobody could want ends the session.
    harness.send(
      i, Wire.extendedRequest(4, flags: Self.payload, cookie: 9, length: (128 << 20) + 1))
    #expect(harness.peers[i]?.isClosed == true)
    #expect(harness.endsEmpty())
  }

  @Test func compactAndExtendedRequestsAreNotMixed() throws {
    let harness = Self.harness()
    let extended = try harness.openExtended("v")
    harness.send(extended, Wire.request(3) + [0, 0, 0, 0])
    #expect(harness.peers[extended]?.isClosed == true)
    let compact = try harness.open("v", structured: true)
    harness.send(compact, Wire.extendedRequest(3))
    #expect(harness.peers[compact]?.isClosed == true)
    #expect(harness.endsEmpty())
  }

  @Test(arguments: [4, 5, 6, 7] as [UInt16])
  func rangesOfAnyLengthAreOneRequest(type: UInt16) throws {
    let size: UInt64 = 10 << 40
    let harness = Self.harness(bytes: size)
    harness.pick = nil
    let i = try harness.openExtended("v", contexts: ["base:allocation"])
    harness.send(i, Wire.extendedRequest(type, cookie: 3, offset: 512, length: size - 512))
    #expect(harness.engine.pending.map(\.length) == [size - 512])
    #expect(harness.engine.pending.map(\.offset) == [512])
    harness.send(i, Wire.extendedRequest(type, cookie: 4, offset: 512, length: size))
    #expect(harness.take(i) == Self.error(4, offset: 512, type == 6 ? 28 : 22))
    harness.send(i, Wire.extendedRequest(type, cookie: 5, offset: 512, length: .max))
    #expect(harness.take(i) == Self.error(5, offset: 512, type == 6 ? 28 : 22))
    harness.engine.failures[size / 2] = .inputOutput
    #expect(harness.endsEmpty())
  }

  // MARK: Block status

  private static func status(
    _ cookie: UInt64, done: Bool = true, offset: UInt64, context: UInt32,
    _ descriptors: [(UInt64, UInt64)]
  ) -> [UInt8] {
    Wire.extendedChunk(
      cookie, type: 6, done: done, offset: offset,
      Wire.bigEndian(context) + Wire.bigEndian(UInt32(descriptors.count))
        + descriptors.flatMap { Wire.bigEndian($0.0) + Wire.bigEndian($0.1) })
  }

  @Test func descriptorsHave64Bits() throws {
    let harness = Self.harness(bytes: 10 << 40)
    let i = try harness.openExtended("v", contexts: ["base:allocation"])
    harness.engine.extents = [
      BlockStatusExtent(length: 6 << 40, isHole: true, readsAsZeros: true),
      BlockStatusExtent(length: 4096, isHole: false, readsAsZeros: false),
    ]
    harness.send(i, Wire.extendedRequest(7, cookie: 3, offset: 0, length: 10 << 40))
    #expect(
      harness.take(i) == Self.status(3, offset: 0, context: 1, [(6 << 40, 3), (4096, 0)]))
    harness.send(i, Wire.extendedRequest(7, flags: 8, cookie: 4, offset: 0, length: 5 << 40))
    #expect(harness.take(i) == Self.status(4, offset: 0, context: 1, [(5 << 40, 3)]))
    #expect(harness.endsEmpty())
  }

  private static func filter(_ length: UInt64, _ ids: [UInt32]) -> [UInt8] {
    Wire.bigEndian(length) + ids.flatMap { Wire.bigEndian($0) }
  }

  private static func filtered(
    _ cookie: UInt64, offset: UInt64 = 0, _ payload: [UInt8]
  ) -> [UInt8] {
    Wire.extendedRequest(
      7, flags: Self.payload, cookie: cookie, offset: offset, length: UInt64(payload.count),
      payload)
  }

  @Test func aFilterChoosesContexts() throws {
    let harness = Self.harness()
    let i = try harness.openExtended(
      "v", contexts: ["base:allocation", "lamina:diff:a", "lamina:diff:b"])
    harness.engine.extents = [
      BlockStatusExtent(length: 4096, isHole: true, readsAsZeros: true, isChanged: true)
    ]
    let chosen: [([UInt32], [(UInt32, UInt64)])] = [
      ([2], [(2, 1)]), ([3, 1], [(1, 3), (3, 1)]), ([1, 2, 3], [(1, 3), (2, 1), (3, 1)]),
    ]
    for (ids, expected) in chosen {
      // In two pieces, the cut inside the payload.
      let bytes = Self.filtered(5, offset: 8192, Self.filter(4096, ids))
      harness.send(i, Array(bytes.dropLast(5)))
      #expect(harness.take(i).isEmpty)
      harness.send(i, Array(bytes.suffix(5)))
      var wanted: [UInt8] = []
      for (n, context) in expected.enumerated() {
        wanted += Self.status(
          5, done: n == expected.count - 1, offset: 8192, context: context.0,
          [(4096, context.1)])
      }
      #expect(harness.take(i) == wanted, "\(ids)")
    }
    // Without one they are all told.
    harness.send(i, Wire.extendedRequest(7, cookie: 6, offset: 0, length: 4096))
    #expect(harness.take(i).count == 3 * (32 + 8 + 16))
    #expect(harness.endsEmpty())
  }

  @Test func aFilterThatSaysNothingRightIsRefused() throws {
    let harness = Self.harness()
    let i = try harness.openExtended("v", contexts: ["base:allocation", "lamina:diff:a"])
    let bad: [[UInt8]] = [
      Self.filter(4096, []), Self.filter(4096, [1]) + [0], [0, 0], Self.filter(0, [1]),
      Self.filter(4096, [3]), Self.filter(4096, [0]), Self.filter(4096, [1, 1]),
      Self.filter(1 << 21, [1]), Self.filter(.max, [1]), Self.filter(100, [1]),
      Self.filter(4096, Array(1...17)), [UInt8](repeating: 1, count: 200_000),
    ]
    for (n, payload) in bad.enumerated() {
      harness.send(i, Self.filtered(UInt64(n), payload))
      #expect(harness.take(i) == Self.error(UInt64(n), offset: 0, 22), "payload \(n)")
    }
    #expect(harness.engine.requestCount == 0)
    // Without contexts none is understood, nor anything else of block status.
    let none = try harness.openExtended("v")
    harness.send(none, Self.filtered(1, Self.filter(4096, [1])))
    #expect(harness.take(none) == Self.error(1, offset: 0, 22))
    harness.send(none, Wire.extendedRequest(3, cookie: 2))
    #expect(harness.take(none) == Self.done(2, offset: 0))
    #expect(harness.endsEmpty())
  }

  @Test func aClientThatLeavesInTheMiddleOfAFilterLeavesNothing() throws {
    let harness = Self.harness()
    let i = try harness.openExtended("v", contexts: ["base:allocation"])
    harness.send(i, Array(Self.filtered(1, Self.filter(4096, [1])).dropLast(1)))
    harness.peers[i]?.hasEnded = true
    harness.run()
    #expect(harness.peers[i]?.isClosed == true)
    #expect(harness.endsEmpty())
  }
}
