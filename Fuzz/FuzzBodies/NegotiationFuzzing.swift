import NBDTarget

/// The handshake from any bytes of a client. The first byte chooses the exports and the pieces in
/// which the bytes arrive; the rest is what the client sends.
///
/// Besides surviving it: what comes back is a greeting and well-formed option replies, each to an
/// option that was sent, each option answered at most once, and at most one pair of them under way
/// into transmission.
public enum NegotiationFuzzing {
  public static func run(_ bytes: [UInt8]) throws(BrokenProperty) {
    guard let choice = bytes.first else { return }
    let stream = Array(bytes.dropFirst())
    let connection = try FuzzedConnection(
      choice & 1 == 0 ? .few : .many, stream: stream, seed: UInt64(choice))
    try connection.run()
    try checkReplies(connection.outbound, to: ClientOptions(stream))
  }

  /// What a client's stream asks in its handshake, read independently of the server.
  struct ClientOptions {
    var numbers: [UInt32] = []
    /// After the first option that may begin transmission, what follows may be requests.
    var mayBeginTransmission = false

    init(_ stream: [UInt8]) {
      var at = 4
      while at + 16 <= stream.count {
        guard Array(stream[at..<at + 8]) == Array("IHAVEOPT".utf8) else { return }
        let number = WireFields.integer(stream, at + 8, 4)
        let length = WireFields.integer(stream, at + 12, 4)
        numbers.append(UInt32(number))
        if number == 1 || number == 7 { mayBeginTransmission = true }
        guard length <= UInt64(stream.count) else { return }
        at += 16 + Int(length)
      }
    }
  }

  private static func checkReplies(
    _ output: [UInt8], to options: ClientOptions
  ) throws(BrokenProperty) {
    try BrokenProperty.unless(
      output.starts(with: Array("NBDMAGICIHAVEOPT".utf8)) && output.count >= 18,
      "no greeting")
    var at = 18
    var answered = 0
    while at < output.count {
      guard at + 20 <= output.count, WireFields.integer(output, at, 8) == 0x0003_E889_0455_65A9
      else {
        // The answer to NBD_OPT_EXPORT_NAME has no header, and after it come replies to requests.
        try BrokenProperty.unless(options.mayBeginTransmission, "bytes that are no reply")
        return
      }
      let option = UInt32(WireFields.integer(output, at + 8, 4))
      let type = UInt32(WireFields.integer(output, at + 12, 4))
      at += 20 + Int(WireFields.integer(output, at + 16, 4))
      guard let next = options.numbers[answered...].firstIndex(of: option) else {
        throw BrokenProperty("a reply to option \(option), which was not asked or is answered")
      }
      // Acknowledgements and errors end an option; information and lists go before them.
      let isFinal = type == 1 || type & 0x8000_0000 != 0
      answered = isFinal ? next + 1 : next
    }
    try BrokenProperty.unless(at == output.count, "a reply that is cut off")
  }
}

/// Big-endian fields, read by nobody else's code.
enum WireFields {
  static func integer(_ bytes: [UInt8], _ at: Int, _ width: Int) -> UInt64 {
    bytes[at..<at + width].reduce(0) { $0 << 8 | UInt64($1) }
  }

  static func bytes(_ value: UInt64, _ width: Int) -> [UInt8] {
    (0..<width).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (width - 1 - $0))) }
  }
}
