/// What the server offers first (proto.md, "Handshake flags").
struct HandshakeFlags: OptionSet, Sendable {
  var rawValue: UInt16
  static let fixedNewstyle = HandshakeFlags(rawValue: 1 << 0)
  static let noZeroes = HandshakeFlags(rawValue: 1 << 1)
}

/// What the client answers (proto.md, "Client flags").
struct ClientFlags: OptionSet, Sendable {
  var rawValue: UInt32
  static let fixedNewstyle = ClientFlags(rawValue: 1 << 0)
  static let noZeroes = ClientFlags(rawValue: 1 << 1)
  static let known: ClientFlags = [.fixedNewstyle, .noZeroes]
}

/// What the server can do with an export (proto.md, "Transmission flags").
struct TransmissionFlags: OptionSet, Hashable, Sendable {
  var rawValue: UInt16
  static let hasFlags = TransmissionFlags(rawValue: 1 << 0)
  static let readOnly = TransmissionFlags(rawValue: 1 << 1)
  static let sendFlush = TransmissionFlags(rawValue: 1 << 2)
  static let sendFUA = TransmissionFlags(rawValue: 1 << 3)
  static let sendTrim = TransmissionFlags(rawValue: 1 << 5)
  static let sendWriteZeroes = TransmissionFlags(rawValue: 1 << 6)
  static let sendDF = TransmissionFlags(rawValue: 1 << 7)
  static let canMultiConn = TransmissionFlags(rawValue: 1 << 8)
  static let sendCache = TransmissionFlags(rawValue: 1 << 10)
  static let sendFastZero = TransmissionFlags(rawValue: 1 << 11)
  static let blockStatusPayload = TransmissionFlags(rawValue: 1 << 12)
}

/// Options of one request (proto.md, "Command flags").
struct CommandFlags: OptionSet, Hashable, Sendable {
  var rawValue: UInt16
  static let forceUnitAccess = CommandFlags(rawValue: 1 << 0)
  static let noHole = CommandFlags(rawValue: 1 << 1)
  static let doNotFragment = CommandFlags(rawValue: 1 << 2)
  static let requestOne = CommandFlags(rawValue: 1 << 3)
  static let fastZero = CommandFlags(rawValue: 1 << 4)
  /// The length is that of the payload which follows, and not that of the range.
  static let payloadLength = CommandFlags(rawValue: 1 << 5)
}
