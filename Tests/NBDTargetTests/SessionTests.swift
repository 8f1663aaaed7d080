import BlockExport
import StorageUnits
import Testing

@testable import NBDTarget

private let mebibyte = 1 << 20

/// Bytes that differ from place to place.
private func pattern(_ range: Range<Int>) -> [UInt8] { Array(patternBytes[range]) }

/// Made once: loops over bytes are slow in debug builds.
private let patternBytes: [UInt8] = {
  let page = (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 / 512) }
  var bytes: [UInt8] = []
  bytes.reserveCapacity(9 << 20)
  for n in 0..<(9 << 20) / 4096 {
    bytes += page[(n & 1023)...] + page[..<(n & 1023)]
  }
  return bytes
}()

private func volume(
  _ bytes: Int = 8 << 20, block: Int = 512, readOnly: Bool = false
) -> ExportDescription {
  ListedExports.volume(1, "v", bytes: UInt64(bytes), block: block, readOnly: readOnly)
}

private func harness(
  _ export: ExportDescription = volume(), limits: NBDLimits = NBDLimits()
) -> SessionHarness {
  SessionHarness([export], limits: limits) { pattern(0..<Int($0.sizeBytes)) }
}

@Suite struct SessionTests {
  @Test func aSessionGreetsNegotiatesReadsAndLeaves() throws {
    let harness = harness()
    let i = try #require(harness.connect())
    #expect(harness.take(i) == Negotiation.greeting)
    harness.send(i, Wire.fixedNoZeroes + Wire.option(7, Wire.info("v")))
    #expect(harness.take(i).suffix(20) == Wire.optionReply(7, 1))
    harness.send(i, Wire.request(0, cookie: 9, offset: 4096, length: 512))
    #expect(harness.take(i) == Wire.simpleReply(9, pattern(4096..<4608)))
    harness.send(i, Wire.request(2))
    #expect(harness.peers[i]?.isClosed == true)
    #expect(harness.isEmpty)
    #expect(harness.sessions.statistics.connectionsDropped == 0)
  }

  @Test func requestsMayFollowTheOptionInOnePacket() throws {
    let harness = harness()
    let i = try #require(harness.connect())
    harness.send(
      i,
      Wire.fixedNoZeroes + Wire.option(1) + Wire.request(0, cookie: 1, length: 512)
        + Wire.request(2))
    #expect(harness.take(i).suffix(528) == Wire.simpleReply(1, pattern(0..<512)))
    #expect(harness.isEmpty)
  }

  @Test(arguments: [512, 4096, 8192, 32_768, 33_280, 65_536, 1 << 20, 3 << 20])
  func aWriteIsReadBackFromAnyOffset(length: Int) throws {
    for offset in [0, 512, 3584, mebibyte - 512, mebibyte + 2048] {
      for pieceBytes in [Int.max, 4000] {
        let harness = harness()
        let i = try harness.open()
        harness.peers[i]?.pieceBytes = pieceBytes
        let data = pattern(77..<77 + length)
        harness.send(
          i,
          Wire.request(1, cookie: 3, offset: UInt64(offset), length: UInt32(length), data)
            + Wire.request(3, cookie: 4))
        #expect(harness.take(i) == Wire.simpleReply(3) + Wire.simpleReply(4))
        harness.send(i, Wire.request(0, cookie: 5, offset: UInt64(offset), length: UInt32(length)))
        #expect(harness.take(i) == Wire.simpleReply(5, data))
        #expect(harness.endsEmpty())
      }
    }
  }

  @Test func answersGoOutInTheOrderInWhichTheEngineGivesThem() throws {
    let harness = harness()
    harness.pick = nil
    let i = try harness.open()
    harness.send(
      i,
      Wire.request(0, cookie: 1, offset: 0, length: 512)
        + Wire.request(1, cookie: 2, offset: 1024, length: 512, pattern(0..<512))
        + Wire.request(3, cookie: 3) + Wire.request(4, cookie: 4, offset: 8192, length: 4096))
    #expect(harness.engine.pending.count == 4)
    for (index, reply) in [
      (3, Wire.simpleReply(4)), (0, Wire.simpleReply(1, pattern(0..<512))),
      (1, Wire.simpleReply(3)), (0, Wire.simpleReply(2)),
    ] {
      harness.answer(index)
      #expect(harness.take(i) == reply)
    }
    #expect(harness.endsEmpty())
  }

  @Test func repliesOfOneTurnAreOneSend() throws {
    let harness = harness()
    harness.pick = nil
    let i = try harness.open()
    var expected: [UInt8] = []
    for cookie in 0..<64 {
      let offset = cookie * 4096
      harness.send(i, Wire.request(0, cookie: UInt64(cookie), offset: UInt64(offset), length: 4096))
      expected += Wire.simpleReply(UInt64(cookie), pattern(offset..<offset + 4096))
    }
    let before = harness.sendCount
    let answers = (0..<64).map { _ in harness.engine.answer(0) }
    let extents = harness.engine.extents
    harness.sessions.deliver(answers.span, extents: extents.span)
    harness.run()
    #expect(harness.sendCount == before + 1)
    #expect(harness.take(i) == expected)
    #expect(harness.endsEmpty())
  }

  @Test func flagsReachTheEngine() throws {
    let harness = harness()
    harness.pick = nil
    let i = try harness.open(structured: true, status: true)
    harness.send(
      i,
      Wire.request(1, flags: 1, length: 512, pattern(0..<512))
        + Wire.request(6, flags: 0b10011, length: 512) + Wire.request(4, flags: 1, length: 512)
        + Wire.request(7, flags: 8, length: 512))
    #expect(
      harness.engine.pending.map(\.flags) == [
        .forceUnitAccess, [.forceUnitAccess, .noHole, .fastZero], .forceUnitAccess, .oneExtent,
      ])
    #expect(
      harness.engine.pending.map(\.operation) == [.write, .writeZeroes, .discard, .blockStatus])
    #expect(harness.endsEmpty())
  }

  @Test func lengthsBeyondAWindowReachTheEngineWhole() throws {
    let harness = harness(ListedExports.volume(1, "v", bytes: 1 << 23))
    harness.pick = nil
    let i = try harness.open()
    harness.send(i, Wire.request(4, length: 1 << 23) + Wire.request(6, length: 1 << 23))
    #expect(harness.engine.pending.map(\.length) == [1 << 23, 1 << 23])
    #expect(harness.endsEmpty())
  }

  @Test func lengthsOfZeroAreAnsweredAtOnce() throws {
    for structured in [false, true] {
      let harness = harness()
      let i = try harness.open(structured: structured)
      harness.send(
        i,
        Wire.request(0, cookie: 1) + Wire.request(1, cookie: 2) + Wire.request(4, cookie: 3)
          + Wire.request(6, cookie: 4))
      #expect(
        harness.take(i)
          == (structured ? Wire.chunk(1, type: 0, done: true) : Wire.simpleReply(1))
          + Wire.simpleReply(2) + Wire.simpleReply(3) + Wire.simpleReply(4))
      #expect(harness.engine.requestCount == 0)
      #expect(harness.endsEmpty())
    }
  }

  @Test func everyFailureOfTheEngineReachesTheClient() throws {
    for error in ExportError.allCases {
      for structured in [false, true] {
        let harness = harness()
        let i = try harness.open(structured: structured, status: structured)
        harness.engine.failures[100] = error
        let types: [UInt16] = structured ? [0, 1, 4, 6, 7] : [0, 1, 4, 6]
        for type in types {
          let errno = NBDError(error, of: try #require(NBDCommand(rawValue: type))).rawValue
          harness.send(
            i, Wire.request(type, cookie: 7, length: 512, type == 1 ? pattern(0..<512) : []))
          #expect(
            harness.take(i)
              == (structured ? Wire.errorChunk(7, errno) : Wire.simpleReply(7, error: errno)))
        }
        #expect(harness.endsEmpty())
      }
    }
  }

  @Test func aRefusedWriteIsReadOverAndTheNextRequestIsUnderstood() throws {
    for structured in [false, true] {
      for length in [512, 100 << 10, 3 << 20] {
        for (export, offset, error) in [
          (volume(readOnly: true), 0, 1), (volume(), 8 << 20, 28), (volume(), 1, 22),
        ] as [(ExportDescription, UInt64, UInt32)] {
          let harness = harness(export)
          let i = try harness.open(structured: structured)
          harness.send(
            i,
            Wire.request(
              1, cookie: 1, offset: offset, length: UInt32(length), pattern(0..<length))
              + Wire.request(3, cookie: 2))
          #expect(
            harness.take(i)
              == (structured ? Wire.errorChunk(1, error) : Wire.simpleReply(1, error: error))
              + Wire.simpleReply(2))
          #expect(harness.engine.requestCount == 1)
          #expect(harness.endsEmpty())
        }
      }
    }
  }

  @Test func aWriteWithOneFailingWindowFailsAndItsPayloadIsConsumed() throws {
    let harness = harness()
    let i = try harness.open()
    harness.engine.failures[UInt64(mebibyte)] = .noSpace
    harness.send(
      i,
      Wire.request(1, cookie: 1, length: 5 << 20, pattern(0..<5 << 20))
        + Wire.request(0, cookie: 2, length: 512))
    #expect(
      harness.take(i) == Wire.simpleReply(1, error: 28) + Wire.simpleReply(2, pattern(0..<512)))
    #expect(harness.endsEmpty())
  }

  @Test func unknownCommandsAreRefusedAndTheStreamGoesOn() throws {
    let harness = harness()
    let i = try harness.open()
    harness.send(i, Wire.request(8, cookie: 1, length: 512) + Wire.request(3, cookie: 2))
    #expect(harness.take(i) == Wire.simpleReply(1, error: 22) + Wire.simpleReply(2))
    #expect(harness.endsEmpty())
  }

  @Test func aWrongMagicDropsTheConnectionAndNoOther() throws {
    let harness = harness()
    let bad = try harness.open()
    let good = try harness.open()
    harness.send(bad, [UInt8](repeating: 0x25, count: 28))
    #expect(harness.peers[bad]?.isClosed == true)
    harness.send(good, Wire.request(0, cookie: 1, length: 512))
    #expect(harness.take(good) == Wire.simpleReply(1, pattern(0..<512)))
    #expect(harness.sessions.statistics.connectionsDropped == 1)
    #expect(harness.endsEmpty())
  }
}

@Suite struct LargeReadTests {
  private static let length = 5 << 20

  /// Starts a read of 5 MiB and a bit from an odd place, and answers its windows in this order.
  private func read(
    _ harness: SessionHarness, _ i: Int, flags: UInt16 = 0, order: [Int]
  ) {
    harness.pick = nil
    harness.send(
      i, Wire.request(0, flags: flags, cookie: 7, offset: 512, length: UInt32(Self.length)))
    #expect(harness.engine.pending.count == 6)
    for index in order { harness.answer(index) }
  }

  private static let orders = [[0, 0, 0, 0, 0, 0], [5, 4, 3, 2, 1, 0], [3, 0, 2, 0, 1, 0]]

  @Test func aSimpleReplyHasItsDataInOrderHoweverItWasRead() throws {
    for order in Self.orders {
      let harness = harness()
      let i = try harness.open()
      read(harness, i, order: order)
      #expect(harness.take(i) == Wire.simpleReply(7, pattern(512..<512 + Self.length)))
      #expect(harness.endsEmpty())
    }
  }

  @Test func anUnfragmentedChunkIsFollowedByItsEnd() throws {
    for order in Self.orders {
      let harness = harness()
      let i = try harness.open(structured: true)
      read(harness, i, flags: 4, order: order)
      #expect(
        harness.take(i)
          == Wire.dataChunk(7, offset: 512, done: false, pattern(512..<512 + Self.length))
          + Wire.chunk(7, type: 0, done: true))
      #expect(harness.endsEmpty())
    }
  }

  @Test func chunksGoOutAsTheyAreRead() throws {
    let harness = harness()
    let i = try harness.open(structured: true)
    read(harness, i, order: [])
    let m = mebibyte
    let ranges = [
      512..<m, m..<2 * m, 2 * m..<3 * m, 3 * m..<4 * m, 4 * m..<5 * m, 5 * m..<5 * m + 512,
    ]
    for (n, (index, part)) in [(3, 3), (0, 0), (3, 5), (2, 4), (1, 2), (0, 1)].enumerated() {
      harness.answer(index)
      let range = ranges[part]
      #expect(
        harness.take(i)
          == Wire.dataChunk(7, offset: UInt64(range.lowerBound), done: n == 5, pattern(range)))
    }
    #expect(harness.endsEmpty())
  }

  @Test func aFailingChunkSaysWhereAndTheOthersStand() throws {
    for last in [false, true] {
      let harness = harness()
      let i = try harness.open(structured: true)
      harness.engine.failures[UInt64(mebibyte)] = .inputOutput
      harness.pick = nil
      harness.send(
        i, Wire.request(0, cookie: 7, offset: UInt64(mebibyte - 512), length: 1024))
      for index in last ? [0, 0] : [1, 0] { harness.answer(index) }
      let good = Wire.dataChunk(
        7, offset: UInt64(mebibyte - 512), done: !last, pattern(mebibyte - 512..<mebibyte))
      let bad = Wire.errorOffsetChunk(7, 5, offset: UInt64(mebibyte), done: last)
      #expect(harness.take(i) == (last ? good + bad : bad + good))
      #expect(harness.endsEmpty())
    }
  }

  @Test func aFailingReadOfTwoWindowsIsOneErrorInEitherForm() throws {
    for structured in [false, true] {
      for index in [[0, 0], [1, 0]] {
        let harness = harness()
        let i = try harness.open(structured: structured)
        harness.engine.failures[UInt64(mebibyte)] = .inputOutput
        harness.pick = nil
        harness.send(
          i,
          Wire.request(
            0, flags: structured ? 4 : 0, cookie: 7, offset: UInt64(mebibyte - 512), length: 1024)
            + Wire.request(3, cookie: 8))
        for n in index { harness.answer(n) }
        #expect(
          harness.take(i)
            == (structured ? Wire.errorChunk(7, 5) : Wire.simpleReply(7, error: 5)))
        harness.answer(0)
        #expect(harness.take(i) == Wire.simpleReply(8))
        #expect(harness.endsEmpty())
      }
    }
  }

  @Test func anErrorAfterTheHeaderDropsASimpleReply() throws {
    let harness = harness()
    let i = try harness.open()
    harness.engine.failures[UInt64(3 * mebibyte)] = .inputOutput
    read(harness, i, order: [0, 0, 0, 0])
    #expect(harness.peers[i]?.isClosed == true)
    #expect(harness.take(i) == Wire.simpleReply(7, pattern(512..<3 * mebibyte)))
    #expect(harness.sessions.statistics.connectionsDropped == 1)
    #expect(harness.endsEmpty())
  }

  @Test func anErrorAfterTheHeaderPadsAnUnfragmentedChunk() throws {
    let harness = harness()
    let i = try harness.open(structured: true)
    harness.engine.failures[UInt64(3 * mebibyte)] = .inputOutput
    read(harness, i, flags: 4, order: [0, 0, 0, 0, 0, 0])
    var data = pattern(512..<512 + Self.length)
    data.replaceSubrange(
      3 * mebibyte - 512..<4 * mebibyte - 512, with: repeatElement(0, count: mebibyte))
    #expect(
      harness.take(i)
        == Wire.dataChunk(7, offset: 512, done: false, data) + Wire.errorChunk(7, 5))
    #expect(harness.endsEmpty())
  }

  @Test func nothingComesBetweenAHeaderAndItsData() throws {
    let harness = harness()
    let i = try harness.open()
    read(harness, i, order: [0, 0])
    harness.send(i, Wire.request(3, cookie: 8))
    harness.answer(4)  // the flush
    #expect(harness.take(i) == Wire.simpleReply(7, pattern(512..<2 * mebibyte)))
    for _ in 0..<4 { harness.answer(0) }
    #expect(
      harness.take(i)
        == pattern(2 * mebibyte..<512 + Self.length) + Wire.simpleReply(8))
    #expect(harness.endsEmpty())
  }

  @Test func zerosAreSentAsAHoleWhereThatIsUnderstood() throws {
    for structured in [false, true] {
      let harness = SessionHarness([volume()])
      harness.engine.hintsZeros = true
      let i = try harness.open(structured: structured)
      harness.send(i, Wire.request(0, cookie: 1, offset: 4096, length: 8192))
      #expect(
        harness.take(i)
          == (structured
            ? Wire.chunk(
              1, type: 2, done: true, Wire.bigEndian(UInt64(4096)) + Wire.bigEndian(UInt32(8192)))
            : Wire.simpleReply(1, [UInt8](repeating: 0, count: 8192))))
      #expect(harness.endsEmpty())
    }
  }

  @Test func aReadNeedsNoMoreThanOneBuffer() throws {
    var limits = NBDLimits()
    limits.windowBuffers = 1
    for (structured, flags) in [(false, 0), (true, 0), (true, 4)] as [(Bool, UInt16)] {
      let harness = harness(limits: limits)
      let i = try harness.open(structured: structured)
      let j = try harness.open(structured: structured)
      for k in [i, j] {
        harness.send(
          k, Wire.request(0, flags: flags, cookie: 7, length: 5 << 20) + Wire.request(3, cookie: 8))
      }
      for k in [i, j] {
        let reply = harness.take(k)
        #expect(reply.suffix(16) == Wire.simpleReply(8))
        #expect(reply.count > 5 << 20)
      }
      #expect(harness.endsEmpty())
    }
  }
}

@Suite struct BlockStatusReplyTests {
  private func reply(
    _ extents: [BlockStatusExtent], length: UInt32 = 65_536, flags: UInt16 = 0
  ) throws -> [UInt8] {
    let harness = harness()
    harness.engine.extents = extents
    let i = try harness.open(structured: true, status: true)
    harness.send(i, Wire.request(7, flags: flags, cookie: 5, offset: 4096, length: length))
    let bytes = harness.take(i)
    #expect(harness.endsEmpty())
    return bytes
  }

  private func expected(_ descriptors: [(UInt32, UInt32)]) -> [UInt8] {
    Wire.chunk(
      5, type: 5, done: true,
      [0, 0, 0, 1] + descriptors.flatMap { Wire.bigEndian($0.0) + Wire.bigEndian($0.1) })
  }

  private func extent(_ length: UInt64, hole: Bool, zero: Bool) -> BlockStatusExtent {
    BlockStatusExtent(length: length, isHole: hole, readsAsZeros: zero)
  }

  @Test func eachStateHasItsFlags() throws {
    #expect(
      try reply([
        extent(4096, hole: false, zero: false), extent(4096, hole: true, zero: true),
        extent(8192, hole: false, zero: true), extent(512, hole: true, zero: false),
      ]) == expected([(4096, 0), (4096, 3), (8192, 2), (512, 1)]))
  }

  @Test func neighboursInOneStateAreOneDescriptor() throws {
    #expect(
      try reply([
        extent(4096, hole: true, zero: true), extent(4096, hole: true, zero: true),
        extent(512, hole: false, zero: false),
      ]) == expected([(8192, 3), (512, 0)]))
  }

  @Test func nothingIsSaidBeyondWhatWasAsked() throws {
    #expect(try reply([extent(1 << 40, hole: true, zero: true)]) == expected([(65_536, 3)]))
    #expect(
      try reply([
        extent(65_536, hole: true, zero: true), extent(4096, hole: false, zero: false),
      ]) == expected([(65_536, 3)]))
  }

  @Test func oneIsOne() throws {
    #expect(
      try reply(
        [extent(4096, hole: true, zero: true), extent(4096, hole: false, zero: false)], flags: 8)
        == expected([(4096, 3)]))
  }

  @Test func anAnswerWithoutExtentsSaysThatNothingIsKnown() throws {
    #expect(try reply([]) == expected([(65_536, 0)]))
  }

  @Test func manyExtentsAreCutToWhatTheBufferHolds() throws {
    let extents = (0..<5000).map { extent(512, hole: $0 % 2 == 0, zero: false) }
    let bytes = try reply(extents, length: 5000 * 512)
    let count = ((8 << 10) - 24) / 8
    #expect(bytes == expected((0..<count).map { (512, $0 % 2 == 0 ? 1 : 0) }))
  }
}
