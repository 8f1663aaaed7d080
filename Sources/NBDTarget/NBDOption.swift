/// The options that this server knows; the reply to every other number is `unsupported`
/// (proto.md, "Option types").
enum NBDOption: UInt32, Sendable, CaseIterable {
  case exportName = 1
  case abort = 2
  case list = 3
  case info = 6
  case go = 7
  case structuredReply = 8
  case listMetaContext = 9
  case setMetaContext = 10
  case extendedHeaders = 11
}

/// The type of an option reply (proto.md, "Option reply types").
enum OptionReply: UInt32, Sendable {
  case acknowledged = 1
  case server = 2
  case info = 3
  case metaContext = 4
  case unsupported = 0x8000_0001
  case invalid = 0x8000_0003
  case unknownExport = 0x8000_0006
  case tooBig = 0x8000_0009
  case extendedHeadersRequired = 0x8000_000A
}

/// What a client may ask about an export (proto.md, `NBD_REP_INFO`).
enum InfoType: UInt16, Sendable {
  case export = 0
  case name = 1
  case description = 2
  case blockSize = 3
}
