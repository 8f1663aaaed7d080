/// The payload of a block status (proto.md, `NBD_CMD_FLAG_PAYLOAD_LEN`): how long its range is, and
/// which of the selected contexts are asked for.
struct StatusFilter {
  /// Bytes of the range.
  var length: UInt64
  /// Bit *n*: the context of index *n* in the agreement.
  var contexts: UInt16

  /// Whether a payload of this length may be one: the length and one context at least, none twice.
  static func isPossible(_ byteCount: UInt64) -> Bool {
    byteCount >= 12 && byteCount % 4 == 0
      && (byteCount - 8) / 4 <= MetaContextName.selectedAtMost
  }

  /// Nil if it names a context that was not selected, or one twice.
  init?(parsing bytes: UnsafeRawBufferPointer, selected: [MetaContext]) {
    precondition(Self.isPossible(UInt64(bytes.count)))
    length = UInt64(bigEndian: unsafe bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
    contexts = 0
    for at in stride(from: 8, to: bytes.count, by: 4) {
      let id = UInt32(bigEndian: unsafe bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
      guard let index = selected.firstIndex(where: { $0.id == id }), contexts & 1 << index == 0
      else { return nil }
      contexts |= 1 << index
    }
  }
}
