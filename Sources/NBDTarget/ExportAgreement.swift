public import BlockExport

/// What a client and the server have agreed on when transmission begins.
public struct ExportAgreement: Hashable, Sendable {
  public var export: ExportDescription
  /// Reads are answered with chunks (`NBD_OPT_STRUCTURED_REPLY`).
  public var structuredReplies: Bool
  /// `base:allocation` was selected, so block status may be asked for.
  public var blockStatus: Bool

  init(export: ExportDescription, structuredReplies: Bool, blockStatus: Bool) {
    precondition(structuredReplies || !blockStatus)
    self.export = export
    self.structuredReplies = structuredReplies
    self.blockStatus = blockStatus
  }

  /// What the client is told. A read-only export does not offer what would only be refused.
  static func transmissionFlags(
    of export: ExportDescription, structuredReplies: Bool
  ) -> TransmissionFlags {
    var flags: TransmissionFlags = [.hasFlags, .sendFlush, .sendFUA, .canMultiConn]
    if export.isReadOnly {
      flags.insert(.readOnly)
    } else {
      flags.formUnion([.sendTrim, .sendWriteZeroes, .sendFastZero])
    }
    if structuredReplies { flags.insert(.sendDF) }
    return flags
  }
}
