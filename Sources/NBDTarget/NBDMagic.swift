/// The magic numbers of the NBD protocol (proto.md, "Protocol phases").
enum NBDMagic {
  /// "NBDMAGIC", the first eight bytes that a server sends.
  static let initial: UInt64 = 0x4E42_444D_4147_4943
  /// "IHAVEOPT": the second eight bytes, and the start of every option.
  static let option: UInt64 = 0x4948_4156_454F_5054
  static let optionReply: UInt64 = 0x0003_E889_0455_65A9
  static let request: UInt32 = 0x2560_9513
  static let simpleReply: UInt32 = 0x6744_6698
  static let structuredReply: UInt32 = 0x668E_33EF
  static let extendedRequest: UInt32 = 0x21E4_1C71
  static let extendedReply: UInt32 = 0x6E8A_278C
}
