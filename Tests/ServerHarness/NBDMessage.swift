/// Numbers of the NBD protocol (github.com/NetworkBlockDevice/nbd, doc/proto.md), written down here
/// a second time on purpose: a client that shared them with the server could not find a wrong one.
public enum NBDMessage {
  public static let requestMagic: UInt32 = 0x2560_9513
  static let simpleReplyMagic: UInt32 = 0x6744_6698
  static let structuredReplyMagic: UInt32 = 0x668e_33ef
  static let optionMagic: UInt64 = 0x4948_4156_454F_5054
  static let greetingMagic: UInt64 = 0x4e42_444d_4147_4943
  static let optionReplyMagic: UInt64 = 0x0003_e889_0455_65a9

  enum Option {
    static let go: UInt32 = 7
    static let structuredReply: UInt32 = 8
    static let setMetaContext: UInt32 = 10
  }

  enum OptionReply {
    static let ack: UInt32 = 1
    static let info: UInt32 = 3
    static let metaContext: UInt32 = 4
    static let errorBit: UInt32 = 0x8000_0000
  }

  public enum Command: UInt16, Sendable {
    case read = 0
    case write = 1
    case disconnect = 2
    case flush = 3
    case trim = 4
    case writeZeroes = 6
    case blockStatus = 7
  }

  public struct CommandFlags: OptionSet, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    public static let forceUnitAccess = CommandFlags(rawValue: 1)
    public static let noHole = CommandFlags(rawValue: 2)
    public static let doNotFragment = CommandFlags(rawValue: 4)
    public static let requestOne = CommandFlags(rawValue: 8)
    public static let fastZero = CommandFlags(rawValue: 16)
  }

  public enum Errors {
    public static let readOnly: UInt32 = 1
    public static let inputOutput: UInt32 = 5
    public static let invalid: UInt32 = 22
    public static let noSpace: UInt32 = 28
    public static let notSupported: UInt32 = 95
    public static let shuttingDown: UInt32 = 108
  }

  enum Chunk {
    static let done: UInt16 = 1
    static let none: UInt16 = 0
    static let data: UInt16 = 1
    static let hole: UInt16 = 2
    static let status: UInt16 = 5
    static let errorBit: UInt16 = 0x8000
  }
}

/// A request was answered with an error.
public struct NBDRefusal: Error, Equatable, CustomStringConvertible {
  public let code: UInt32
  public let message: String

  public var description: String { "NBD error \(code) \(message)" }
  public static func == (one: NBDRefusal, other: NBDRefusal) -> Bool { one.code == other.code }

  public init(code: UInt32, message: String = "") {
    self.code = code
    self.message = message
  }
}

/// Bytes in network order.
struct NetworkBytes {
  var bytes: [UInt8] = []

  mutating func append<Value: FixedWidthInteger>(_ value: Value) {
    for shift in stride(from: Value.bitWidth - 8, through: 0, by: -8) {
      bytes.append(UInt8(truncatingIfNeeded: value >> Value(shift)))
    }
  }

  static func value<Value: FixedWidthInteger>(
    _ type: Value.Type, in bytes: [UInt8], at offset: Int
  ) throws -> Value {
    guard offset + Value.bitWidth / 8 <= bytes.count else {
      throw HarnessFailure("a message of \(bytes.count) bytes is too short")
    }
    return bytes[offset..<offset + Value.bitWidth / 8].reduce(0) { $0 << 8 | Value($1) }
  }
}
