/// A plain NBD client on one connection, written for these tests alone: it says exactly what a test
/// wants to say, also what no well-behaved client would. For one thread at a time; it blocks.
public final class NBDConnection {
  public struct Answer: Sendable {
    public let cookie: UInt64
    /// 0, or the protocol's error code.
    public let error: UInt32
    public var message = ""
    /// Of a read: the data, holes filled with zeros.
    public var data: [UInt8] = []
    /// Of a block status: lengths and flags.
    public var extents: [Extent] = []
  }

  /// A piece of `base:allocation`.
  public struct Extent: Equatable, Sendable {
    public let length: UInt32
    public let isHole: Bool
    public let readsAsZeros: Bool

    public init(length: UInt32, isHole: Bool, readsAsZeros: Bool) {
      self.length = length
      self.isHole = isHole
      self.readsAsZeros = readsAsZeros
    }
  }

  private let socket: UnixSocket
  private var lastCookie: UInt64 = 0
  /// Answers of which some chunks have arrived.
  private var unfinished: [UInt64: Answer] = [:]
  private var reads: [UInt64: (offset: UInt64, length: Int)] = [:]
  /// The size of the export, in bytes.
  public private(set) var size: UInt64 = 0
  public private(set) var transmissionFlags: UInt16 = 0

  public init(socket path: String, export: String = "", deadlineSeconds: Int = 30) throws {
    socket = try UnixSocket(path: path, deadlineSeconds: deadlineSeconds)
    let greeting = try socket.receive(18)
    guard try NetworkBytes.value(UInt64.self, in: greeting, at: 0) == NBDMessage.greetingMagic,
      try NetworkBytes.value(UInt64.self, in: greeting, at: 8) == NBDMessage.optionMagic
    else { throw HarnessFailure("that is not an NBD server") }
    var flags = NetworkBytes()
    flags.append(UInt32(3))
    try socket.send(flags.bytes)
    try negotiate(export)
  }

  // MARK: Negotiation

  private func negotiate(_ export: String) throws {
    try sendOption(NBDMessage.Option.structuredReply, [])
    try awaitAcknowledgement { _, _ in }

    var context = NetworkBytes()
    context.append(UInt32(export.utf8.count))
    context.bytes += Array(export.utf8)
    context.append(UInt32(1))
    context.append(UInt32("base:allocation".utf8.count))
    context.bytes += Array("base:allocation".utf8)
    try sendOption(NBDMessage.Option.setMetaContext, context.bytes)
    try awaitAcknowledgement { _, _ in }

    var go = NetworkBytes()
    go.append(UInt32(export.utf8.count))
    go.bytes += Array(export.utf8)
    go.append(UInt16(0))
    try sendOption(NBDMessage.Option.go, go.bytes)
    try awaitAcknowledgement { type, payload in
      guard type == NBDMessage.OptionReply.info,
        try NetworkBytes.value(UInt16.self, in: payload, at: 0) == 0
      else { return }
      size = try NetworkBytes.value(UInt64.self, in: payload, at: 2)
      transmissionFlags = try NetworkBytes.value(UInt16.self, in: payload, at: 10)
    }
  }

  private func sendOption(_ option: UInt32, _ payload: [UInt8]) throws {
    var message = NetworkBytes()
    message.append(NBDMessage.optionMagic)
    message.append(option)
    message.append(UInt32(payload.count))
    try socket.send(message.bytes + payload)
  }

  private func awaitAcknowledgement(_ other: (UInt32, [UInt8]) throws -> Void) throws {
    while true {
      let header = try socket.receive(20)
      guard try NetworkBytes.value(UInt64.self, in: header, at: 0) == NBDMessage.optionReplyMagic
      else { throw HarnessFailure("not an option reply: \(header)") }
      let type = try NetworkBytes.value(UInt32.self, in: header, at: 12)
      let length = try NetworkBytes.value(UInt32.self, in: header, at: 16)
      let payload = try socket.receive(Int(length))
      if type == NBDMessage.OptionReply.ack { return }
      if type & NBDMessage.OptionReply.errorBit != 0 {
        throw NBDRefusal(code: type, message: String(decoding: payload, as: UTF8.self))
      }
      try other(type, payload)
    }
  }

  // MARK: Requests that overlap

  /// Sends a request and does not wait for its answer; gives the cookie that the answer will carry.
  @discardableResult
  public func submit(
    _ command: NBDMessage.Command, offset: UInt64 = 0, length: UInt32 = 0,
    flags: NBDMessage.CommandFlags = [], payload: [UInt8] = []
  ) throws -> UInt64 {
    lastCookie += 1
    if command == .read { reads[lastCookie] = (offset, Int(length)) }
    var message = NetworkBytes()
    message.append(NBDMessage.requestMagic)
    message.append(flags.rawValue)
    message.append(command.rawValue)
    message.append(lastCookie)
    message.append(offset)
    message.append(length)
    try socket.send(message.bytes + payload)
    return lastCookie
  }

  /// Sends bytes as they are.
  public func submit(bytes: [UInt8]) throws {
    try socket.send(bytes)
  }

  /// The next answer that is complete, whichever request it belongs to.
  public func nextAnswer() throws -> Answer {
    while true {
      let (cookie, isLast) = try receiveChunk()
      if isLast, let answer = unfinished.removeValue(forKey: cookie) {
        reads[cookie] = nil
        return answer
      }
    }
  }

  private func receiveChunk() throws -> (cookie: UInt64, isLast: Bool) {
    let start = try socket.receive(4)
    switch try NetworkBytes.value(UInt32.self, in: start, at: 0) {
    case NBDMessage.simpleReplyMagic:
      let rest = try socket.receive(12)
      let error = try NetworkBytes.value(UInt32.self, in: rest, at: 0)
      let cookie = try NetworkBytes.value(UInt64.self, in: rest, at: 4)
      unfinished[cookie] = Answer(cookie: cookie, error: error)
      return (cookie, true)
    case NBDMessage.structuredReplyMagic:
      let rest = try socket.receive(16)
      let cookie = try NetworkBytes.value(UInt64.self, in: rest, at: 4)
      let length = try NetworkBytes.value(UInt32.self, in: rest, at: 12)
      let payload = try socket.receive(Int(length))
      var answer =
        unfinished[cookie]
        ?? Answer(
          cookie: cookie, error: 0,
          data: [UInt8](repeating: 0xEE, count: reads[cookie]?.length ?? 0))
      let type = try NetworkBytes.value(UInt16.self, in: rest, at: 2)
      try add(chunk: type, payload, to: &answer)
      unfinished[cookie] = answer
      let flags = try NetworkBytes.value(UInt16.self, in: rest, at: 0)
      return (cookie, flags & NBDMessage.Chunk.done != 0)
    default:
      throw HarnessFailure("not a reply: \(start)")
    }
  }

  private func add(chunk type: UInt16, _ payload: [UInt8], to answer: inout Answer) throws {
    switch type {
    case NBDMessage.Chunk.none: break
    case NBDMessage.Chunk.data:
      try place(Array(payload.dropFirst(8)), payload, in: &answer)
    case NBDMessage.Chunk.hole:
      let length = try NetworkBytes.value(UInt32.self, in: payload, at: 8)
      try place([UInt8](repeating: 0, count: Int(length)), payload, in: &answer)
    case NBDMessage.Chunk.status:
      for offset in stride(from: 4, to: payload.count, by: 8) {
        let flags = try NetworkBytes.value(UInt32.self, in: payload, at: offset + 4)
        answer.extents.append(
          Extent(
            length: try NetworkBytes.value(UInt32.self, in: payload, at: offset),
            isHole: flags & 1 != 0, readsAsZeros: flags & 2 != 0))
      }
    case _ where type & NBDMessage.Chunk.errorBit != 0:
      let error = try NetworkBytes.value(UInt32.self, in: payload, at: 0)
      let text = String(decoding: payload.dropFirst(6), as: UTF8.self)
      answer = Answer(cookie: answer.cookie, error: error, message: text)
    default: throw HarnessFailure("an unknown chunk \(type)")
    }
  }

  private func place(_ bytes: [UInt8], _ payload: [UInt8], in answer: inout Answer) throws {
    let offset = try NetworkBytes.value(UInt64.self, in: payload, at: 0)
    guard let read = reads[answer.cookie], offset >= read.offset,
      offset - read.offset + UInt64(bytes.count) <= UInt64(read.length)
    else { throw HarnessFailure("data at \(offset) that nobody asked for") }
    let start = Int(offset - read.offset)
    answer.data.replaceSubrange(start..<start + bytes.count, with: bytes)
  }

  // MARK: Requests one by one

  private func perform(
    _ command: NBDMessage.Command, _ offset: UInt64, _ length: UInt32,
    _ flags: NBDMessage.CommandFlags = [], _ payload: [UInt8] = []
  ) throws -> Answer {
    let cookie = try submit(
      command, offset: offset, length: length, flags: flags, payload: payload)
    let answer = try nextAnswer()
    guard answer.cookie == cookie else {
      throw HarnessFailure("the answer to \(answer.cookie) came for \(cookie)")
    }
    guard answer.error == 0 else { throw NBDRefusal(code: answer.error, message: answer.message) }
    return answer
  }

  public func read(_ offset: UInt64, _ length: Int) throws -> [UInt8] {
    try perform(.read, offset, UInt32(length)).data
  }

  public func write(
    _ offset: UInt64, _ bytes: [UInt8], flags: NBDMessage.CommandFlags = []
  ) throws {
    _ = try perform(.write, offset, UInt32(bytes.count), flags, bytes)
  }

  public func flush() throws {
    _ = try perform(.flush, 0, 0)
  }

  public func trim(_ offset: UInt64, _ length: UInt32) throws {
    _ = try perform(.trim, offset, length)
  }

  public func writeZeroes(
    _ offset: UInt64, _ length: UInt32, flags: NBDMessage.CommandFlags = []
  ) throws {
    _ = try perform(.writeZeroes, offset, length, flags)
  }

  public func blockStatus(_ offset: UInt64, _ length: UInt32) throws -> [Extent] {
    try perform(.blockStatus, offset, length).extents
  }

  /// Says goodbye.
  public func disconnect() throws {
    try submit(.disconnect)
  }

  /// Vanishes as a host that dies.
  public func abort() {
    socket.abort()
  }
}
