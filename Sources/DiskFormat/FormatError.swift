/// Why bytes were not accepted as a structure of the format.
public enum FormatError: Error, Hashable, Sendable {
  /// The structures that can be damaged.
  public enum Structure: String, Sendable {
    case superblock, node, segmentTable, journalBlock, record, volumeRecord, doomedEntry,
      versionNode, bookmark, hold, owed
    case tailHeader, tailFrame
  }
  case badMagic(Structure)
  case unknownVersion(Structure)
  case badChecksum(Structure)
  case reservedNotZero(Structure)
  /// A type, class or kind that version 1 does not know.
  case unknownKind(Structure)
  /// A field has a value that cannot be: its name says which.
  case badField(Structure, String)
  /// Must-refuse feature bits that this version does not know.
  case unknownFeatures(UInt64)
  /// Fewer bytes than the structure has.
  case truncated(Structure)
}

extension FormatError {
  /// Throws `badField` unless `condition` holds.
  static func require(
    _ condition: Bool, _ structure: Structure, _ field: StaticString
  ) throws(FormatError) {
    guard condition else { throw .badField(structure, "\(field)") }
  }

  /// Throws `badField` unless the number is one that a pool can have counted to.
  static func requireCounter(
    _ number: UInt64, _ structure: Structure, _ field: StaticString
  ) throws(FormatError) {
    try require(number < FormatConstants.counterLimit, structure, field)
  }

  /// Traps when a value that is about to be written would be refused on reading.
  static func assertValid(_ check: () throws(FormatError) -> Void) {
    do {
      try check()
    } catch {
      preconditionFailure("refusing to write an invalid structure: \(error)")
    }
  }
}
