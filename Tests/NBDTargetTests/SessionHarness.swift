import BlockExport
import StorageUnits
import Testing

@testable import NBDTarget

/// NBD sessions between imagined sockets and a `MemoryEngine`.
final class SessionHarness {
  /// The far end of one connection.
  @safe struct Peer {
    /// On the way to the server.
    var inbound: [UInt8] = []
    /// How much of `inbound` has arrived.
    var taken = 0
    /// No more bytes will follow `inbound`.
    var hasEnded = false
    /// What has come from the server.
    var outbound: [UInt8] = []
    /// The client does not take replies.
    var isDeaf = false
    /// The most bytes that one receive gives.
    var pieceBytes = Int.max
    var isClosed = false
    var receive: (buffer: UnsafeMutableRawPointer, count: Int, waitForAll: Bool)?
    var send: UnsafeBufferPointer<SendVector>?
  }

  let sessions: NBDSessions
  let engine = MemoryEngine()
  var peers: [Int: Peer] = [:]
  var now = MonotonicTime(nanoseconds: 1_000_000_000)
  var sendCount = 0
  /// Answers come by themselves; the closure picks the next of so many.
  var pick: ((Int) -> Int)? = { _ in 0 }

  init(
    _ exports: [ExportDescription], defaultExport: String? = nil, limits: NBDLimits = NBDLimits(),
    bases: [NamedExportBase] = [], contents: ((ExportDescription) -> [UInt8])? = nil
  ) {
    var directory = ListedExports(exports)
    directory.bases = bases
    sessions = NBDSessions(
      directory: directory, defaultExport: defaultExport, limits: limits)
    for export in exports {
      engine.contents[export.volume] =
        contents?(export) ?? [UInt8](repeating: 0, count: Int(export.sizeBytes))
    }
  }

  func connect() -> Int? {
    guard let i = sessions.accept(at: now) else { return nil }
    peers[i] = Peer()
    run()
    return i
  }

  /// A connection that has chosen its export.
  func open(
    _ name: String = "", structured: Bool = false, status: Bool = false,
    contexts: [String] = ["base:allocation"]
  ) throws -> Int {
    let i = try #require(connect())
    var bytes = Wire.fixedNoZeroes
    if structured { bytes += Wire.option(8) }
    if status { bytes += Wire.option(10, Wire.metaContext(name, contexts)) }
    send(i, bytes + Wire.option(1, Array(name.utf8)))
    peers[i]?.outbound = []
    return i
  }

  /// One that has also agreed on extended headers, and selected contexts if there are any.
  func openExtended(_ name: String, contexts: [String] = []) throws -> Int {
    let i = try #require(connect())
    var bytes = Wire.fixedNoZeroes + Wire.option(11)
    if !contexts.isEmpty { bytes += Wire.option(10, Wire.metaContext(name, contexts)) }
    send(i, bytes + Wire.option(7, Wire.info(name)))
    peers[i]?.outbound = []
    return i
  }

  func send(_ i: Int, _ bytes: [UInt8]) {
    peers[i]?.inbound += bytes
    run()
  }

  /// The bytes that came since the last call.
  func take(_ i: Int) -> [UInt8] {
    let bytes = peers[i]?.outbound ?? []
    peers[i]?.outbound = []
    return bytes
  }

  func answer(_ index: Int) {
    let answer = engine.answer(index)
    let extents = engine.extents
    sessions.deliver(answer, extents: extents.span)
    run()
  }

  /// Turns until nothing moves.
  func run() {
    while turn() {}
  }

  private func turn() -> Bool {
    var hasMoved = false
    sessions.expire(at: now)
    sessions.flush(at: now)
    while let request = sessions.firstRequest {
      sessions.removeFirstRequest()
      engine.take(request)
      hasMoved = true
    }
    while let action = sessions.nextAction() {
      carryOut(action)
      hasMoved = true
    }
    for i in peers.keys.sorted() where moveBytes(i) { hasMoved = true }
    if let pick, !engine.pending.isEmpty {
      let answer = engine.answer(pick(engine.pending.count))
      let extents = engine.extents
      sessions.deliver(answer, extents: extents.span)
      hasMoved = true
    }
    return hasMoved
  }

  private func carryOut(_ action: NBDAction) {
    switch action {
    case .receive(let i, let buffer, let count, let waitForAll):
      #expect(unsafe peers[i]?.receive == nil)
      unsafe peers[i]?.receive = (buffer, count, waitForAll)
    case .send(let i, let vectors):
      #expect(unsafe peers[i]?.send == nil)
      unsafe peers[i]?.send = vectors
      sendCount += 1
    case .close(let i):
      unsafe peers[i]?.receive = nil
      unsafe peers[i]?.send = nil
      peers[i]?.isClosed = true
      sessions.closed(i)
    }
  }

  private func moveBytes(_ i: Int) -> Bool {
    var hasMoved = false
    if let vectors = unsafe peers[i]?.send, peers[i]?.isDeaf == false {
      unsafe peers[i]?.send = nil
      for n in vectors.indices {
        let vector = unsafe vectors[n]
        unsafe peers[i]?.outbound.append(
          contentsOf: UnsafeRawBufferPointer(start: vector.base, count: vector.count))
      }
      sessions.sent(i, errno: 0, at: now)
      hasMoved = true
    }
    guard let receive = unsafe peers[i]?.receive else { return hasMoved }
    let available = peers[i].map { $0.inbound.count - $0.taken } ?? 0
    let isWhole = unsafe !receive.waitForAll || available >= receive.count
    let piece = unsafe receive.waitForAll ? .max : peers[i]?.pieceBytes ?? .max
    let n = unsafe min(receive.count, available, piece)
    guard peers[i]?.hasEnded == true || (n > 0 && isWhole) else { return hasMoved }
    unsafe peers[i]?.receive = nil
    let taken = peers[i]?.taken ?? 0
    unsafe peers[i]?.inbound.withUnsafeBytes { bytes in
      let part = unsafe UnsafeRawBufferPointer(rebasing: bytes[taken..<taken + n])
      unsafe UnsafeMutableRawBufferPointer(start: receive.buffer, count: n).copyMemory(from: part)
    }
    peers[i]?.taken += n
    sessions.received(i, result: n, at: now)
    return true
  }

  /// Nothing is held by anybody.
  var isEmpty: Bool {
    sessions.isDrained
      && sessions.freeRequests.freeCount == sessions.freeRequests.capacity
      && sessions.freeWindows.freeCount == sessions.freeWindows.capacity
      && sessions.buffers.freeCount(.small) == sessions.limits.smallBuffers
      && sessions.buffers.freeCount(.medium) == sessions.limits.mediumBuffers
      && sessions.buffers.freeCount(.window) == sessions.limits.windowBuffers
  }

  /// Closes everything and says whether all came back.
  func endsEmpty() -> Bool {
    sessions.closeAll()
    run()
    while !engine.pending.isEmpty { answer(0) }
    run()
    return isEmpty
  }
}
