/// Why bytes were not accepted as a structure of the format.
public enum FormatError: Error, Hashable, Sendable {
  /// The structures that can be damaged.
  public enum Structure: String, Sendable {
    case superblock, node, segmentTable, journalBlock, record, volumeRecord, doomedEntry
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
}
