/// The requests in a client's stream, read independently of the server: up to a disconnect, a
/// header that is none, or the end.
struct SentRequests {
  struct Request {
    var type: UInt64
    var flags: UInt64
    var cookie: UInt64
    var offset: UInt64
    var length: UInt64
  }

  private(set) var all: [Request] = []
  /// The length of a write at the end whose payload broke off.
  private var brokenOffLength: UInt64?

  init(_ stream: [UInt8], isExtended: Bool) {
    var at = 0
    let headerBytes = isExtended ? 32 : 28
    while at + headerBytes <= stream.count {
      guard WireFields.integer(stream, at, 4) == (isExtended ? 0x21E4_1C71 : 0x2560_9513) else {
        return
      }
      let request = Request(
        type: WireFields.integer(stream, at + 6, 2), flags: WireFields.integer(stream, at + 4, 2),
        cookie: WireFields.integer(stream, at + 8, 8),
        offset: WireFields.integer(stream, at + 16, 8),
        length: WireFields.integer(stream, at + 24, headerBytes - 24))
      if request.type == 2 { return }
      at += headerBytes
      if request.type == 1 || isExtended && request.flags & 32 != 0 {
        guard request.length <= UInt64(stream.count - at) else {
          brokenOffLength = request.length
          return
        }
        at += Int(request.length)
      }
      all.append(request)
    }
  }

  var hasDistinctCookies: Bool { Set(all.map(\.cookie)).count == all.count }

  /// A read or write makes one request for each window of 1 MiB that it touches, and so does a
  /// write that broke off for those that were whole.
  var mostEngineRequests: Int {
    all.reduce(brokenOffLength.map(Self.windows) ?? 0) {
      $0 + ($1.type > 1 ? 1 : Self.windows($1.length))
    }
  }

  /// None can have more than the longest that is accepted.
  private static func windows(_ length: UInt64) -> Int { Int(min(length, 64 << 20) >> 20) + 2 }
}

/// Reads what a server sent, and compares it with what it was asked.
struct ReplyReader {
  private struct Open {
    var request: SentRequests.Request
    var bytes: UInt64 = 0
    var hasFailed = false
  }

  private let output: [UInt8]
  private let isStructured: Bool
  private let isExtended: Bool
  /// The connection was dropped: its last reply may lack its end.
  private let mayEndEarly: Bool
  private var at = 0
  private var open: [UInt64: Open] = [:]
  private(set) var answeredCount = 0

  init(_ output: [UInt8], isStructured: Bool, isExtended: Bool, mayEndEarly: Bool) {
    self.isExtended = isExtended
    self.output = output
    self.isStructured = isStructured
    self.mayEndEarly = mayEndEarly
  }

  /// Whether the whole reply is there: its header, `dataBytes` of it behind the first 4.
  private mutating func isWhole(_ dataBytes: Int) throws(BrokenProperty) -> Bool {
    if at + dataBytes <= output.count { return true }
    try BrokenProperty.unless(mayEndEarly, "a reply that is cut off")
    at = output.count
    return false
  }

  private mutating func take(_ width: Int) -> UInt64 {
    defer { at += width }
    return WireFields.integer(output, at, width)
  }

  mutating func skipHandshake() throws(BrokenProperty) {
    at = 18
    while at + 8 <= output.count, WireFields.integer(output, at, 8) == 0x0003_E889_0455_65A9 {
      guard try isWhole(20) else { return }
      at += 16
      at += Int(take(4))
    }
  }

  mutating func read(_ sent: SentRequests) throws(BrokenProperty) {
    for request in sent.all { open[request.cookie] = Open(request: request) }
    while at < output.count {
      guard try isWhole(16) else { return }
      switch take(4) {
      case 0x6744_6698 where !isExtended: try simple()
      case 0x668E_33EF where isStructured && !isExtended: try chunk()
      case 0x6E8A_278C where isExtended: try chunk()
      default: throw BrokenProperty("bytes that are no reply")
      }
    }
  }

  private mutating func simple() throws(BrokenProperty) {
    let error = take(4)
    let cookie = take(8)
    guard let request = open[cookie]?.request else {
      throw BrokenProperty("a reply to \(cookie), which was not asked or is answered")
    }
    if request.type == 0 {
      try BrokenProperty.unless(!isStructured, "a simple reply to a read")
      if error == 0 {
        guard try isWhole(Int(request.length)) else { return }
        at += Int(request.length)
      }
    }
    finish(cookie)
  }

  private mutating func chunk() throws(BrokenProperty) {
    guard try isWhole(isExtended ? 28 : 16) else { return }
    let flags = take(2)
    let type = take(2)
    let cookie = take(8)
    let place = isExtended ? take(8) : 0
    let length = take(isExtended ? 8 : 4)
    try BrokenProperty.unless(length <= 1 << 32, "a chunk of \(length) bytes")
    let end = at + Int(length)
    guard try isWhole(Int(length)) else { return }
    guard var asked = open[cookie] else {
      throw BrokenProperty("a chunk for \(cookie), which was not asked or is answered")
    }
    try BrokenProperty.unless(
      !isExtended || place == asked.request.offset, "a chunk of another request")
    switch type {
    case 1, 2:
      try BrokenProperty.unless(length >= (type == 1 ? 9 : 12), "data without a place")
      let offset = take(8)
      let count = type == 1 ? length - 8 : take(4)
      let request = asked.request
      try BrokenProperty.unless(
        request.type == 0 && offset >= request.offset
          && offset + count <= request.offset + request.length, "data that nobody asked for")
      asked.bytes += count
      try BrokenProperty.unless(
        asked.bytes <= request.length, "a read that brings more than was asked for")
    case isExtended ? 6 : 5:
      try BrokenProperty.unless(asked.request.type == 7, "extents that nobody asked for")
    case 0x8001, 0x8002: asked.hasFailed = true
    default: try BrokenProperty.unless(type == 0, "a chunk of type \(type)")
    }
    at = end
    open[cookie] = asked
    guard flags & 1 != 0 else { return }
    try BrokenProperty.unless(
      asked.request.type != 0 || asked.hasFailed || asked.bytes == asked.request.length,
      "a read that brings too little")
    finish(cookie)
  }

  private mutating func finish(_ cookie: UInt64) {
    open[cookie] = nil
    answeredCount += 1
  }
}
