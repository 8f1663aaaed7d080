import BlockExport
import StorageUnits
import Testing

@testable import NBDTarget

/// Splitmix64: the same history for the same seed.
struct SeededRandom: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// A client that knows what each of its requests must bring.
private struct ModelClient {
  struct Outstanding {
    var type: UInt16
    var offset: Int
    var length: Int
    /// Of a read: what it must bring, and what has come so far.
    var expected: [UInt8]
    var covered = 0
    var hasFailed = false
  }

  var session: Int
  var structured: Bool
  /// The part of the volume that is this client's own.
  var region: Range<Int>
  var outstanding: [UInt64: Outstanding] = [:]
  var received: [UInt8] = []
  var nextCookie: UInt64 = 0
  var completed = 0

  func isFree(_ range: Range<Int>) -> Bool {
    !outstanding.values.contains { ($0.offset..<$0.offset + $0.length).overlaps(range) }
  }

  /// Reads whole replies off the front of what was received.
  mutating func takeReplies() {
    while let reply = nextReply() {
      guard reply else {
        Issue.record("a reply that cannot be understood")
        received = []
        return
      }
    }
  }

  private func field(_ at: Int, _ width: Int) -> UInt64 {
    received[at..<at + width].reduce(0) { $0 << 8 | UInt64($1) }
  }

  private mutating func nextReply() -> Bool? {
    guard received.count >= 16 else { return nil }
    let cookie = field(8, 8)
    guard let request = outstanding[cookie] else { return false }
    if field(0, 4) == 0x6744_6698 {
      guard !structured || request.type != 0 else { return false }
      let hasData = request.type == 0 && field(4, 4) == 0
      let length = hasData ? request.length : 0
      guard received.count >= 16 + length else { return nil }
      if hasData && !Array(received[16..<16 + length]).equals(request.expected) { return false }
      received.removeFirst(16 + length)
      outstanding[cookie] = nil
      completed += 1
      return true
    }
    guard structured, field(0, 4) == 0x668E_33EF, received.count >= 20 else { return false }
    let length = Int(field(16, 4))
    guard received.count >= 20 + length else { return nil }
    defer { received.removeFirst(20 + length) }
    return takeChunk(cookie, type: field(6, 2), isDone: field(4, 2) == 1, length: length)
  }

  private mutating func takeChunk(
    _ cookie: UInt64, type: UInt64, isDone: Bool, length: Int
  ) -> Bool {
    guard var request = outstanding[cookie] else { return false }
    switch type {
    case 0: break
    case 1, 2:
      let offset = Int(field(20, 8)) - request.offset
      let count = type == 1 ? length - 8 : Int(field(28, 4))
      guard request.type == 0, offset >= 0, offset + count <= request.length else { return false }
      let data = type == 1 ? Array(received[28..<28 + count]) : [UInt8](repeating: 0, count: count)
      guard data.equals(Array(request.expected[offset..<offset + count])) else { return false }
      request.covered += count
    case 0x8001, 0x8002: request.hasFailed = true
    default: return false
    }
    outstanding[cookie] = request
    if isDone {
      outstanding[cookie] = nil
      completed += 1
      return request.type != 0 || request.hasFailed || request.covered == request.length
    }
    return true
  }
}

/// Random clients on random limits against an engine that answers in random order.
@Suite struct SessionModelTests {
  private static let regionBytes = 3 << 20

  private func limits(_ random: inout SeededRandom) -> NBDLimits {
    var limits = NBDLimits()
    limits.connections = 3
    limits.requests = Int.random(in: 1...12, using: &random)
    limits.requestsPerConnection = Int.random(in: 1...12, using: &random)
    limits.smallBuffers = Int.random(in: 1...6, using: &random)
    limits.mediumBuffers = Int.random(in: 1...4, using: &random)
    limits.windowBuffers = Int.random(in: 1...4, using: &random)
    limits.receiveBufferBytes = [128 << 10, 256 << 10].randomElement(using: &random) ?? 128 << 10
    return limits
  }

  private func issue(
    _ client: inout ModelClient, _ harness: SessionHarness, _ model: inout [UInt8],
    _ random: inout SeededRandom
  ) {
    let longest = [512, 8192, 65_536, 1 << 20, 3 << 20].randomElement(using: &random) ?? 512
    let length = Int.random(in: 1...longest / 512, using: &random) * 512
    let room = (Self.regionBytes - length) / 512
    let offset = client.region.lowerBound + Int.random(in: 0...room, using: &random) * 512
    let range = offset..<offset + length
    let type = [0, 0, 0, 1, 1, 1, 3, 4, 6].randomElement(using: &random) ?? 0
    guard type == 3 || client.isFree(range) else { return }

    client.nextCookie += 1
    let cookie = client.nextCookie
    var payload: [UInt8] = []
    var flags: UInt16 = 0
    switch type {
    case 0: flags = client.structured && Bool.random(using: &random) ? 4 : 0
    case 1:
      payload = [UInt8](repeating: UInt8.random(in: 0...255, using: &random), count: length)
      payload[0] = 0xA5
      payload[length - 1] = 0x5A
      unsafe payload.withUnsafeBytes { unsafe model.overwrite(range, with: $0) }
    case 4, 6: unsafe model.overwrite(range, with: nil)
    default: break
    }
    client.outstanding[cookie] = ModelClient.Outstanding(
      type: UInt16(type), offset: type == 3 ? 0 : offset, length: type == 3 ? 0 : length,
      expected: type == 0 ? Array(model[range]) : [])
    harness.peers[client.session]?.inbound +=
      type == 3
      ? Wire.request(3, cookie: cookie)
      : Wire.request(
        UInt16(type), flags: flags, cookie: cookie, offset: UInt64(offset), length: UInt32(length),
        payload)
  }

  @Test(arguments: 0..<60 as Range<UInt64>)
  func everyRequestBringsWhatItMust(seed: UInt64) throws {
    var random = SeededRandom(state: seed)
    let total = 3 * Self.regionBytes
    let export = ListedExports.volume(1, "v", bytes: UInt64(total))
    let harness = SessionHarness([export], limits: limits(&random))
    harness.engine.hintsZeros = Bool.random(using: &random)
    harness.pick = nil
    var model = [UInt8](repeating: 0, count: total)
    var clients: [ModelClient] = []
    for n in 0..<3 {
      let structured = Bool.random(using: &random)
      clients.append(
        ModelClient(
          session: try harness.open(structured: structured), structured: structured,
          region: n * Self.regionBytes..<(n + 1) * Self.regionBytes))
    }
    for _ in 0..<60 {
      let n = Int.random(in: 0..<3, using: &random)
      let session = clients[n].session
      switch Int.random(in: 0..<6, using: &random) {
      case 0, 1, 2: issue(&clients[n], harness, &model, &random)
      case 3: harness.peers[session]?.isDeaf = Bool.random(using: &random)
      case 4:
        let bytes = Int.random(in: 1...100_000, using: &random)
        harness.peers[session]?.pieceBytes = bytes < 2000 ? max(64, bytes) : bytes
      default: break
      }
      harness.run()
      let count = harness.engine.pending.count
      if count > 0 && Bool.random(using: &random) {
        harness.answer(Int.random(in: 0..<count, using: &random))
      }
      clients[n].received += harness.take(session)
      clients[n].takeReplies()
    }
    finish(&clients, harness, &random)
    for client in clients {
      #expect(client.outstanding.isEmpty, "seed \(seed)")
      #expect(client.received.isEmpty, "seed \(seed)")
      #expect(client.completed == Int(client.nextCookie), "seed \(seed)")
    }
    #expect(harness.engine.contents[VolumeID(1)]?.equals(model) == true, "seed \(seed)")
    #expect(harness.sessions.statistics.connectionsDropped == 0, "seed \(seed)")
    #expect(harness.endsEmpty(), "seed \(seed)")
  }

  private func finish(
    _ clients: inout [ModelClient], _ harness: SessionHarness, _ random: inout SeededRandom
  ) {
    for client in clients { harness.peers[client.session]?.isDeaf = false }
    harness.run()
    while !harness.engine.pending.isEmpty {
      harness.answer(Int.random(in: 0..<harness.engine.pending.count, using: &random))
    }
    for n in clients.indices {
      clients[n].received += harness.take(clients[n].session)
      clients[n].takeReplies()
    }
  }
}
