import BlockExport
import StorageUnits
import Testing

@testable import NBDTarget

private let export = ListedExports.volume(1, "v", bytes: 4 << 20)

private func tight(_ change: (inout NBDLimits) -> Void = { _ in }) -> NBDLimits {
  var limits = NBDLimits()
  limits.connections = 4
  limits.requests = 8
  limits.requestsPerConnection = 6
  limits.smallBuffers = 4
  limits.mediumBuffers = 2
  limits.windowBuffers = 3
  change(&limits)
  return limits
}

private func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

@Suite struct SessionEndTests {
  @Test func whatIsUnderWayAtAGoodByeIsStillAnswered() throws {
    for hasDisconnect in [true, false] {
      let harness = SessionHarness([export])
      harness.pick = nil
      let i = try harness.open()
      harness.send(
        i,
        Wire.request(0, cookie: 1, length: 512) + Wire.request(3, cookie: 2)
          + (hasDisconnect ? Wire.request(2) : []))
      harness.peers[i]?.hasEnded = !hasDisconnect
      harness.run()
      #expect(harness.peers[i]?.isClosed == false)
      harness.answer(0)
      #expect(harness.peers[i]?.isClosed == false)
      harness.answer(0)
      #expect(harness.take(i) == Wire.simpleReply(1, zeros(512)) + Wire.simpleReply(2))
      #expect(harness.peers[i]?.isClosed == true)
      #expect(harness.isEmpty)
    }
  }

  @Test func nothingIsReadAfterADisconnect() throws {
    let harness = SessionHarness([export])
    let i = try harness.open()
    harness.send(i, Wire.request(2) + Wire.request(1, cookie: 1, length: 512, zeros(512)))
    #expect(harness.take(i).isEmpty)
    #expect(harness.engine.requestCount == 0)
    #expect(harness.isEmpty)
  }

  @Test(arguments: [0, 1, 27, 28, 100, 600, 40_000, 1 << 20, 3 << 20])
  func aStreamThatBreaksOffWritesNoBrokenWindow(bytes: Int) throws {
    let harness = SessionHarness([export], limits: tight())
    let i = try harness.open()
    let data = [UInt8](repeating: 1, count: 4 << 20)
    let request = Wire.request(1, cookie: 1, length: 4 << 20, data)
    harness.send(i, Array(request[..<bytes]))
    harness.peers[i]?.hasEnded = true
    harness.run()
    #expect(harness.take(i).isEmpty)
    #expect(harness.peers[i]?.isClosed == true)
    // Whole windows may have been written, parts of one never.
    let written = harness.engine.contents[VolumeID(1)]?.prefix { $0 == 1 }.count ?? 0
    #expect(written % (1 << 20) == 0)
    #expect(written <= max(0, bytes - 28))
    #expect(harness.isEmpty)
  }

  @Test func aConnectionThatDiesGivesEverythingBackOnceTheEngineHasAnswered() throws {
    for structured in [false, true] {
      let harness = SessionHarness([export], limits: tight())
      harness.pick = nil
      let i = try harness.open(structured: structured)
      harness.send(
        i,
        Wire.request(0, cookie: 1, length: 512) + Wire.request(0, cookie: 2, length: 3 << 20)
          + Wire.request(1, cookie: 3, length: 1 << 20, zeros(1000)))
      harness.answer(0)
      harness.sessions.closeAll()
      harness.run()
      #expect(harness.peers[i]?.isClosed == true)
      #expect(!harness.sessions.isDrained)
      while !harness.engine.pending.isEmpty { harness.answer(0) }
      #expect(harness.isEmpty)
    }
  }

  @Test func aDrainAnswersWhatIsUnderWayAndRefusesWhatComesLater() throws {
    let harness = SessionHarness([export])
    harness.pick = nil
    let busy = try harness.open()
    let idle = try harness.open()
    let negotiating = try #require(harness.connect())
    harness.send(busy, Wire.request(0, cookie: 1, length: 512))
    harness.sessions.beginDrain()
    harness.run()
    #expect(harness.peers[idle]?.isClosed == true)
    #expect(harness.peers[negotiating]?.isClosed == true)
    #expect(harness.peers[busy]?.isClosed == false)
    #expect(harness.connect() == nil)

    harness.send(
      busy,
      Wire.request(3, cookie: 2) + Wire.request(1, cookie: 3, length: 512, zeros(512)))
    #expect(
      harness.take(busy) == Wire.simpleReply(2, error: 108) + Wire.simpleReply(3, error: 108))
    harness.answer(0)
    #expect(harness.take(busy) == Wire.simpleReply(1, zeros(512)))
    #expect(harness.peers[busy]?.isClosed == true)
    #expect(harness.isEmpty)
  }
}

@Suite struct SessionBoundTests {
  @Test func connectionsBeyondTheCapAreTurnedAway() throws {
    let harness = SessionHarness([export], limits: tight())
    let all = (0..<4).compactMap { _ in harness.connect() }
    #expect(all.count == 4)
    #expect(harness.connect() == nil)
    #expect(harness.sessions.statistics.connectionsRefused == 1)
    harness.send(all[2], Wire.fixedNoZeroes + Wire.option(2))
    #expect(harness.connect() == all[2])
    #expect(harness.endsEmpty())
  }

  @Test func aHandshakeThatTakesTooLongIsDroppedAndASessionIsNot() throws {
    let harness = SessionHarness([export])
    let slow = try #require(harness.connect())
    let quick = try harness.open()
    harness.send(slow, Wire.fixedNoZeroes)
    #expect(harness.sessions.nextDeadline == harness.now.adding(milliseconds: 10_000))
    harness.now = harness.now.adding(milliseconds: 9_999)
    harness.send(slow, Wire.option(8))
    #expect(harness.peers[slow]?.isClosed == false)
    harness.now = harness.now.adding(milliseconds: 1)
    harness.run()
    #expect(harness.peers[slow]?.isClosed == true)
    #expect(harness.peers[quick]?.isClosed == false)
    #expect(harness.sessions.nextDeadline == .distantFuture)
    #expect(harness.endsEmpty())
  }

  @Test func aDeafClientMakesTheServerHoldOneReplyToItsOptions() throws {
    let harness = SessionHarness([export])
    let i = try #require(harness.connect())
    harness.peers[i]?.isDeaf = true
    for _ in 0..<100 { harness.send(i, Wire.option(3)) }
    harness.send(i, Wire.fixedNoZeroes)
    #expect(harness.take(i).count <= NBDLimits.negotiationOutputBytes)
    #expect(harness.endsEmpty())
  }

  /// The engine rests, and one client asks for ever more.
  @Test func noClientTakesEveryBufferOrSlot() throws {
    for length in [512, 65_536, 1 << 20] as [UInt32] {
      let harness = SessionHarness([export], limits: tight())
      harness.pick = nil
      let greedy = try harness.open()
      let modest = try harness.open()
      for cookie in 0..<50 {
        harness.send(greedy, Wire.request(0, cookie: UInt64(cookie), length: length))
      }
      #expect(harness.engine.pending.count < 5)
      let before = harness.engine.pending.count
      harness.send(modest, Wire.request(0, cookie: 99, length: length))
      #expect(harness.engine.pending.count == before + 1)
      harness.answer(before)
      #expect(harness.take(modest) == Wire.simpleReply(99, zeros(Int(length))))
      harness.pick = { _ in 0 }
      harness.run()
      #expect(harness.take(greedy).count == 50 * (16 + Int(length)))
      #expect(harness.endsEmpty())
    }
  }

  @Test func aConnectionThatMustWaitStopsReceivingAndGoesOnInOrder() throws {
    let harness = SessionHarness([export], limits: tight())
    harness.pick = nil
    let i = try harness.open()
    let requests = (0..<20).flatMap { Wire.request(3, cookie: UInt64($0)) }
    harness.send(i, requests)
    #expect(unsafe harness.peers[i]?.receive == nil)
    #expect(harness.engine.pending.count == 4)
    for _ in 0..<20 { harness.answer(0) }
    #expect(harness.take(i) == (0..<20).flatMap { Wire.simpleReply(UInt64($0)) })
    #expect(unsafe harness.peers[i]?.receive != nil)
    #expect(harness.endsEmpty())
  }

  @Test func aClientThatTakesNoRepliesIsDroppedOnlyWhenOthersNeedItsBuffers() throws {
    let harness = SessionHarness([export], limits: tight { $0.windowBuffers = 1 })
    let deaf = try harness.open()
    let other = try harness.open()
    harness.peers[deaf]?.isDeaf = true
    harness.send(deaf, Wire.request(0, cookie: 1, length: 1 << 20))
    harness.now = harness.now.adding(milliseconds: 3_600_000)
    harness.run()
    #expect(harness.peers[deaf]?.isClosed == false)

    harness.send(other, Wire.request(0, cookie: 2, length: 1 << 20))
    #expect(harness.take(other).isEmpty)
    harness.now = harness.sessions.nextDeadline
    harness.run()
    #expect(harness.peers[deaf]?.isClosed == true)
    #expect(harness.take(other) == Wire.simpleReply(2, zeros(1 << 20)))
    #expect(harness.endsEmpty())
  }

  @Test func aPayloadThatStallsHoldsUpNobodyForLong() throws {
    let harness = SessionHarness([export], limits: tight { $0.windowBuffers = 1 })
    let slow = try harness.open()
    let other = try harness.open()
    harness.send(slow, Wire.request(1, cookie: 1, length: 1 << 20, zeros(100)))
    harness.send(other, Wire.request(0, cookie: 2, length: 1 << 20))
    #expect(harness.take(other).isEmpty)
    while harness.peers[slow]?.isClosed == false {
      try #require(harness.sessions.nextDeadline != .distantFuture)
      harness.now = harness.sessions.nextDeadline
      harness.run()
    }
    #expect(
      harness.now.nanoseconds <= 1_000_000_000 + 1_000_000 * (10_000 + 2_000))
    #expect(harness.take(other) == Wire.simpleReply(2, zeros(1 << 20)))
    #expect(harness.endsEmpty())
  }

  @Test func aSmallPayloadThatStallsHoldsNoBuffer() throws {
    let harness = SessionHarness([export], limits: tight())
    let slow = try harness.open()
    harness.send(slow, Wire.request(1, cookie: 1, length: 32_768, zeros(32_767)))
    #expect(harness.sessions.buffers.freeCount(.medium) == 2)
    harness.send(slow, [0])
    #expect(harness.take(slow) == Wire.simpleReply(1))
    #expect(harness.endsEmpty())
  }

  @Test func statisticsCountWhatCame() throws {
    let harness = SessionHarness([export])
    let i = try harness.open(structured: true, status: false)
    harness.send(
      i,
      Wire.request(0, length: 512) + Wire.request(1, length: 1024, zeros(1024))
        + Wire.request(3) + Wire.request(4, length: 512) + Wire.request(6, length: 512)
        + Wire.request(7, length: 512))
    var expected = NBDStatistics()
    expected.connections = 1
    expected.connectionsTotal = 1
    expected.reads = 1
    expected.writes = 1
    expected.flushes = 1
    expected.trims = 1
    expected.writeZeroes = 1
    expected.errors = 1
    expected.bytesRead = 512
    expected.bytesWritten = 1024
    #expect(harness.sessions.statistics == expected)
    #expect(harness.endsEmpty())
  }

  @Test func anAnswerToNothingThatWasAskedStopsTheServer() async {
    await #expect(processExitsWith: .failure) {
      let harness = SessionHarness([ListedExports.volume(1, "v", bytes: 1 << 20)])
      let none: [BlockStatusExtent] = []
      harness.sessions.deliver(ExportAnswer(token: 3, error: nil), extents: none.span)
    }
  }
}
