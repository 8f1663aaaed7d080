public import BlockExport
import StorageUnits

/// What a client and the server have agreed on when transmission begins.
public struct ExportAgreement: Hashable, Sendable {
  public var export: ExportDescription
  /// Reads are answered with chunks (`NBD_OPT_STRUCTURED_REPLY`).
  public var structuredReplies: Bool
  /// Requests and replies have 64-bit lengths (`NBD_OPT_EXTENDED_HEADERS`); every reply is a chunk.
  public var extendedHeaders: Bool
  /// What block status was selected for; each request is answered for all of them.
  public var contexts: [MetaContext]
  /// Block status may be asked for.
  public var blockStatus: Bool { !contexts.isEmpty }

  init(
    export: ExportDescription, structuredReplies: Bool, extendedHeaders: Bool = false,
    contexts: [MetaContext]
  ) {
    precondition(structuredReplies || contexts.isEmpty && !extendedHeaders)
    self.extendedHeaders = extendedHeaders
    self.export = export
    self.structuredReplies = structuredReplies
    self.contexts = contexts
  }

  /// What the client is told. A read-only export does not offer what would only be refused.
  static func transmissionFlags(
    of export: ExportDescription, structuredReplies: Bool, statusPayload: Bool
  ) -> TransmissionFlags {
    var flags: TransmissionFlags = [
      .hasFlags, .sendFlush, .sendFUA, .canMultiConn, .sendCache,
    ]
    if export.isReadOnly {
      flags.insert(.readOnly)
    } else {
      flags.formUnion([.sendTrim, .sendWriteZeroes, .sendFastZero])
    }
    if structuredReplies { flags.insert(.sendDF) }
    if statusPayload { flags.insert(.blockStatusPayload) }
    return flags
  }

  /// The part that every request is judged by.
  var terms: TransmissionTerms {
    TransmissionTerms(
      volume: export.volume, sizeBytes: export.sizeBytes,
      logicalBlockBytes: UInt64(export.logicalBlockBytes), isReadOnly: export.isReadOnly,
      structuredReplies: structuredReplies, extendedHeaders: extendedHeaders,
      blockStatus: blockStatus)
  }
}

/// An `ExportAgreement` without its name: plain numbers, so that looking at it per request counts
/// no references.
struct TransmissionTerms: Hashable, Sendable {
  var volume: VolumeID
  var sizeBytes: UInt64
  var logicalBlockBytes: UInt64
  var isReadOnly: Bool
  var structuredReplies: Bool
  var extendedHeaders: Bool
  var blockStatus: Bool
}
