extension Array where Element == UInt8 {
  mutating func append(bigEndian value: UInt16) {
    append(UInt8(truncatingIfNeeded: value >> 8))
    append(UInt8(truncatingIfNeeded: value))
  }
  mutating func append(bigEndian value: UInt32) {
    append(bigEndian: UInt16(truncatingIfNeeded: value >> 16))
    append(bigEndian: UInt16(truncatingIfNeeded: value))
  }
  mutating func append(bigEndian value: UInt64) {
    append(bigEndian: UInt32(truncatingIfNeeded: value >> 32))
    append(bigEndian: UInt32(truncatingIfNeeded: value))
  }
}

/// Reads big-endian fields one after the other; every read says whether the bytes were there.
struct BigEndianReader {
  private let bytes: [UInt8]
  private var position = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var remaining: Int { bytes.count - position }

  mutating func integer<Value: FixedWidthInteger & UnsignedInteger>(_: Value.Type) -> Value? {
    let width = Value.bitWidth / 8
    guard remaining >= width else { return nil }
    var value: Value = 0
    for i in 0..<width { value = value << 8 | Value(bytes[position + i]) }
    position += width
    return value
  }

  /// The next `count` bytes; nil if there are fewer.
  mutating func take(_ count: UInt32) -> [UInt8]? {
    guard remaining >= Int(count) else { return nil }
    defer { position += Int(count) }
    return Array(bytes[position..<position + Int(count)])
  }
}
