import BlockExport
import NBDTarget
import StorageUnits

/// One connection of `NBDSessions` between an imagined socket and a `FuzzedEngine`. Its owner hands
/// in the client's bytes; how they are cut into pieces, and in which order the engine answers,
/// comes from a seed.
@safe final class FuzzedConnection {
  let sessions: NBDSessions
  let engine: FuzzedEngine
  /// What has come from the server.
  private(set) var outbound: [UInt8] = []
  private(set) var isClosed = false
  /// The client has had enough and hung up: not everything that it asked for is answered.
  private(set) var hasHungUp = false
  private let session: Int
  private let stream: [UInt8]
  private var taken = 0
  private var choices: UInt64
  private var now = MonotonicTime(nanoseconds: 1_000_000_000)
  private var receive: (buffer: UnsafeMutableRawPointer, count: Int, waitForAll: Bool)?
  private var send: UnsafeBufferPointer<SendVector>?

  init(_ exports: FuzzedExports, stream: [UInt8], seed: UInt64) throws(BrokenProperty) {
    var limits = NBDLimits()
    limits.connections = 1
    limits.requests = 1 + Int(seed & 7)
    limits.requestsPerConnection = 1 + Int(seed >> 3 & 7)
    limits.smallBuffers = 2
    limits.mediumBuffers = 2
    limits.windowBuffers = 2
    limits.receiveBufferBytes = 128 << 10
    sessions = NBDSessions(directory: exports, limits: limits)
    engine = FuzzedEngine(exports.all)
    self.stream = stream
    choices = seed
    guard let session = sessions.accept(at: now) else {
      throw BrokenProperty("the first connection is refused")
    }
    self.session = session
  }

  /// Splitmix64.
  private func choose(_ count: Int) -> Int {
    choices &+= 0x9E37_79B9_7F4A_7C15
    var z = choices
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return Int((z ^ (z >> 31)) % UInt64(count))
  }

  /// A few bytes can ask for gigabytes; an input must stay quick.
  private static let enoughBytes = 16 << 20

  /// Runs until the client's stream has ended and everything has come to rest, within a number of
  /// turns that the stream's length bounds. Afterwards nothing is held by anybody.
  func run() throws(BrokenProperty) {
    let bound = 4096 + stream.count * 8
    var turns = 0
    while try turn() {
      turns += 1
      try BrokenProperty.unless(turns < bound, "no rest after \(turns) turns")
      if outbound.count > Self.enoughBytes {
        hasHungUp = true
        break
      }
    }
    sessions.closeAll()
    while try turn() {}
    try BrokenProperty.unless(isClosed, "a connection that cannot be closed")
    try BrokenProperty.unless(engine.pending.isEmpty, "a request without an answer")
    try BrokenProperty.unless(sessions.isDrained, "a session is held by nobody")
  }

  private func turn() throws(BrokenProperty) -> Bool {
    var hasMoved = false
    now = now.adding(milliseconds: 1)
    sessions.expire(at: now)
    sessions.flush(at: now)
    while let request = sessions.firstRequest {
      sessions.removeFirstRequest()
      try engine.take(request)
      hasMoved = true
    }
    while let action = sessions.nextAction() {
      try carryOut(action)
      hasMoved = true
    }
    if moveBytes() { hasMoved = true }
    if !engine.pending.isEmpty && (!hasMoved || choose(3) == 0) {
      let error: ExportError? =
        choose(16) == 0 ? ExportError.allCases[choose(ExportError.allCases.count)] : nil
      let answer = engine.answer(choose(engine.pending.count), failing: error)
      let extents = engine.extents
      sessions.deliver(answer, extents: extents.span)
      hasMoved = true
    }
    return hasMoved
  }

  private func carryOut(_ action: NBDAction) throws(BrokenProperty) {
    try BrokenProperty.unless(!isClosed, "something is to be done with a closed socket")
    switch action {
    case .receive(_, let buffer, let count, let waitForAll):
      try BrokenProperty.unless(unsafe receive == nil && count > 0, "two receives at a time")
      unsafe receive = (buffer, count, waitForAll)
    case .send(_, let vectors):
      try BrokenProperty.unless(unsafe send == nil, "two sends at a time")
      unsafe send = vectors
    case .close:
      unsafe receive = nil
      unsafe send = nil
      isClosed = true
      sessions.closed(session)
    }
  }

  private func moveBytes() -> Bool {
    if let vectors = unsafe send, choose(4) != 0 {
      unsafe send = nil
      for n in vectors.indices {
        let vector = unsafe vectors[n]
        unsafe outbound.append(
          contentsOf: UnsafeRawBufferPointer(start: vector.base, count: vector.count))
      }
      sessions.sent(session, errno: 0, at: now)
      return true
    }
    guard let receive = unsafe receive else { return unsafe send != nil }
    let available = stream.count - taken
    var count = unsafe min(receive.count, available)
    if unsafe !receive.waitForAll && count > 1 && choose(2) == 0 {
      count = 1 + choose(min(count, 4096))
    }
    // The end of the stream cuts a receive of a whole payload short, too.
    unsafe self.receive = nil
    unsafe stream.withUnsafeBytes { bytes in
      let part = unsafe UnsafeRawBufferPointer(rebasing: bytes[taken..<taken + count])
      unsafe UnsafeMutableRawBufferPointer(start: receive.buffer, count: count)
        .copyMemory(from: part)
    }
    taken += count
    sessions.received(session, result: count, at: now)
    return true
  }
}
