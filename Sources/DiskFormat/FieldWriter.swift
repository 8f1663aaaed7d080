import StorageUnits

/// Little-endian fields at named offsets of a structure that is being written. All its bytes are
/// zero at first, so that what no field covers is reserved and zero.
///
/// A borrowed view: whoever made it keeps the bytes alive and is the only one who uses them.
@safe struct FieldWriter {
  private let base: UnsafeMutableRawPointer
  let count: Int

  init(clearing base: UnsafeMutableRawPointer, count: Int) {
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: count)
    unsafe self.base = base
    self.count = count
  }

  private func check(_ at: Int, _ width: Int) {
    precondition(at >= 0)
    precondition(at <= count - width)
  }

  func u8(_ value: UInt8, _ at: Int) {
    check(at, 1)
    unsafe base.storeBytes(of: value, toByteOffset: at, as: UInt8.self)
  }
  func u16(_ value: UInt16, _ at: Int) {
    check(at, 2)
    unsafe base.storeBytes(of: value.littleEndian, toByteOffset: at, as: UInt16.self)
  }
  func u32(_ value: UInt32, _ at: Int) {
    check(at, 4)
    unsafe base.storeBytes(of: value.littleEndian, toByteOffset: at, as: UInt32.self)
  }
  func u64(_ value: UInt64, _ at: Int) {
    check(at, 8)
    unsafe base.storeBytes(of: value.littleEndian, toByteOffset: at, as: UInt64.self)
  }

  /// A part of the structure as a structure of its own.
  func part(at: Int, count: Int) -> FieldWriter {
    check(at, count)
    return unsafe FieldWriter(clearing: base + at, count: count)
  }

  func text(_ text: String, at: Int, capacity: Int) {
    precondition(text.utf8.count <= capacity)
    check(at, capacity)
    for (i, byte) in text.utf8.enumerated() { u8(byte, at + i) }
  }

  func uuid(_ value: StorageUUID, _ at: Int) {
    u64(value.high, at)
    u64(value.low, at + 8)
  }
}
