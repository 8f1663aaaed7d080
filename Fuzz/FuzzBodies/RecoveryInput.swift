/// Takes values off an input from its front; zeros once it is used up.
struct RecoveryInput {
  private var bytes: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

  var isEmpty: Bool { bytes.isEmpty }

  mutating func byte() -> UInt8 { bytes.popFirst() ?? 0 }

  mutating func flag() -> Bool { byte() & 1 == 1 }

  mutating func pick<Value>(_ values: [Value]) -> Value {
    values[Int(byte()) % values.count]
  }

  /// A number near `base`, at most 128 away; it wraps, as a hostile one may.
  mutating func near(_ base: UInt64) -> UInt64 {
    base &+ UInt64(bitPattern: Int64(Int8(bitPattern: byte())))
  }

  /// Numbers at which arithmetic that nobody thought of ends.
  static let edges: [UInt64] = [
    0, 1, 2, 100, 1 << 31, 1 << 32, (1 << 63) - 9, (1 << 63) - 2, (1 << 63) - 1, 1 << 63, .max,
  ]
}
