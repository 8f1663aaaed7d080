import CChecksum
import StorageUnits

/// Little-endian fields at named offsets of a structure. Offsets are the format's own constants, so
/// one outside the structure is a mistake of this package and traps.
struct ByteFields {
  private(set) var bytes: [UInt8]

  init(count: Int) { bytes = [UInt8](repeating: 0, count: count) }
  init(_ slice: ArraySlice<UInt8>) { bytes = Array(slice) }

  mutating func set(_ value: some FixedWidthInteger & UnsignedInteger, _ at: Int) {
    var rest = UInt64(value)
    for index in 0..<value.bitWidth / 8 {
      bytes[at + index] = UInt8(truncatingIfNeeded: rest)
      rest >>= 8
    }
  }

  mutating func set(_ value: [UInt8], _ at: Int) {
    bytes.replaceSubrange(at..<at + value.count, with: value)
  }

  mutating func set(_ value: StorageUUID, _ at: Int) {
    set(value.high, at)
    set(value.low, at + 8)
  }

  func get<Value: FixedWidthInteger & UnsignedInteger>(_ at: Int) -> Value {
    var value: UInt64 = 0
    for index in (0..<Value.bitWidth / 8).reversed() {
      value = value << 8 | UInt64(bytes[at + index])
    }
    return Value(truncatingIfNeeded: value)
  }

  func uuid(_ at: Int) -> StorageUUID { StorageUUID(high: get(at), low: get(at + 8)) }

  func isZero(_ range: Range<Int>) -> Bool { bytes[range].allSatisfy { $0 == 0 } }
}

/// CRC-32C of a header or frame, with the four bytes of the checksum itself counted as zero.
enum FrameChecksum {
  static func of(_ bytes: ArraySlice<UInt8>, fieldAt field: Int) -> UInt32 {
    unsafe bytes.withUnsafeBytes { buffer in
      guard let base = buffer.baseAddress else { preconditionFailure("an empty structure") }
      precondition(field + 4 <= buffer.count)
      return unsafe lamina_crc32c_without_field(base, buffer.count, field)
    }
  }
}
