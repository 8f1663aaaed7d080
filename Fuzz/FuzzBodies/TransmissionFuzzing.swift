import BlockExport
import NBDTarget

/// Requests from any bytes of a client that has chosen its export. The first byte chooses the
/// export and what was agreed on, the second how the rest is taken: as the stream itself, or as a
/// script of requests with right headers and payloads.
///
/// Besides surviving it: every reply is well-formed and belongs to a request that was sent and is
/// not answered yet, a read brings as many bytes as were asked for, every whole request before the
/// end is answered, and after a disconnect nothing is accepted any more.
public enum TransmissionFuzzing {
  public static func run(_ bytes: [UInt8]) throws(BrokenProperty) {
    guard bytes.count >= 2 else { return }
    let isExtended = bytes[0] & 16 != 0
    let isStructured = bytes[0] & 4 != 0 || isExtended
    let name = ["alpha", "beta", "gamma", "alpha"][Int(bytes[0] & 3)]
    let hello = handshake(
      name, option: isExtended ? 11 : isStructured ? 8 : nil, status: bytes[0] & 8 != 0)
    let body = Array(bytes[2...])
    let requests = bytes[1] & 1 == 0 ? body : script(body, isExtended: isExtended)
    let connection = try FuzzedConnection(
      .few, stream: hello + requests, seed: UInt64(bytes[0]) << 8 | UInt64(bytes[1]))
    try connection.run()
    let sent = SentRequests(requests, isExtended: isExtended)
    try BrokenProperty.unless(
      connection.engine.requestCount <= sent.mostEngineRequests,
      "\(connection.engine.requestCount) requests for the engine from \(sent.all.count)")
    // Which of two requests with one cookie is answered, nobody can tell.
    guard sent.hasDistinctCookies else { return }
    // Who cannot be followed is dropped, and so is who would get a read that failed half-way.
    let wasDropped = connection.sessions.statistics.connectionsDropped > 0
    var replies = ReplyReader(
      connection.outbound, isStructured: isStructured, isExtended: isExtended,
      mayEndEarly: wasDropped)
    try replies.skipHandshake()
    if connection.hasHungUp { return }
    try replies.read(sent)
    if !wasDropped {
      try BrokenProperty.unless(
        replies.answeredCount == sent.all.count,
        "\(replies.answeredCount) of \(sent.all.count) requests are answered")
    }
  }

  private static func handshake(_ name: String, option kind: UInt64?, status: Bool) -> [UInt8] {
    var bytes: [UInt8] = [0, 0, 0, 3]
    if let kind { bytes += option(kind, []) }
    let nameBytes = WireFields.bytes(UInt64(name.utf8.count), 4) + Array(name.utf8)
    if status {
      let context = Array("base:allocation".utf8)
      bytes += option(
        10,
        nameBytes + WireFields.bytes(1, 4) + WireFields.bytes(UInt64(context.count), 4)
          + context)
    }
    return bytes + option(7, nameBytes + [0, 0])
  }

  private static func option(_ number: UInt64, _ data: [UInt8]) -> [UInt8] {
    Array("IHAVEOPT".utf8) + WireFields.bytes(number, 4)
      + WireFields.bytes(UInt64(data.count), 4) + data
  }

  /// Eight bytes a request: type, flags, offset and length in sectors (two bytes each), and two of
  /// oddities. At most 64 requests and 2 MiB, so that an input stays quick.
  private static func script(_ body: [UInt8], isExtended: Bool) -> [UInt8] {
    let magic: UInt64 = isExtended ? 0x21E4_1C71 : 0x2560_9513
    var stream: [UInt8] = []
    for start in stride(from: 0, to: min(body.count, 512), by: 8) {
      guard start + 8 <= body.count, stream.count < 2 << 20 else { break }
      let op = Array(body[start..<start + 8])
      let odd = op[7]
      var offset = (UInt64(op[2]) << 8 | UInt64(op[3])) * 512
      // Mostly short, so that an input stays quick; with one oddity over several windows.
      var length = UInt64(op[5]) * 512
      if odd & 64 != 0 { length = (UInt64(op[4]) << 8 | UInt64(op[5])) * 512 % (3 << 20) }
      if odd & 1 != 0 { offset &+= UInt64(op[6]) << 56 | 1 }
      if odd & 2 != 0 { length = length &+ UInt64(op[6]) }
      let type = odd & 4 != 0 ? UInt64(op[0]) : [0, 1, 3, 4, 6, 7, 0, 1][Int(op[0] & 7)]
      let isFlush = type == 3
      stream += WireFields.bytes(odd & 8 != 0 ? UInt64(op[6]) : magic, 4)
      // A filter of block status, or a payload that is announced although there should be none.
      let isFilter = isExtended && type == 7 && op[1] & 64 != 0
      let isAnnounced = isExtended && (isFilter || (op[1] & 128 != 0))
      let hasPayload = type == 1 || isAnnounced
      if isFilter { length = 8 + 4 * UInt64(op[4] & 3) }
      let flags = UInt64(op[1] & 31) | (isAnnounced ? 32 : 0)
      stream += WireFields.bytes(flags, 2) + WireFields.bytes(type, 2)
      stream += WireFields.bytes(UInt64(start), 8)
      stream += WireFields.bytes(isFlush && odd & 16 == 0 ? 0 : offset, 8)
      if isFlush && odd & 16 == 0 { length = 0 }
      stream += WireFields.bytes(length, isExtended ? 8 : 4)
      if isFilter && hasPayload {
        stream += WireFields.bytes(UInt64(op[5]) * 512, 8)
        for n in 0..<UInt64(op[4] & 3) { stream += WireFields.bytes(n + UInt64(op[6] & 1), 4) }
      } else if hasPayload {
        let missing = odd & 32 != 0 ? min(length, UInt64(op[6])) : 0
        stream += [UInt8](repeating: op[6], count: Int(length - missing))
      }
    }
    return stream
  }
}
