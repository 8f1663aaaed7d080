import CChecksum

/// CRC-32C (Castagnoli, RFC 3720 B.4), the only checksum of the format.
public enum Checksum {
  /// The checksum of `bytes`, continuing from that of the bytes before (0 to begin).
  public static func crc32c(_ bytes: UnsafeRawBufferPointer, continuing: UInt32 = 0) -> UInt32 {
    guard let base = bytes.baseAddress else { return continuing }
    return unsafe lamina_crc32c(continuing, base, bytes.count)
  }

  /// The checksum of a structure that holds its own at byte `field`, which counts as zero.
  static func crc32c(_ bytes: UnsafeRawBufferPointer, withoutFieldAt field: Int) -> UInt32 {
    guard let base = bytes.baseAddress else { return 0 }
    precondition(field >= 0)
    precondition(field + 4 <= bytes.count)
    return unsafe lamina_crc32c_without_field(base, bytes.count, field)
  }
}
