import StorageUnits

/// Little-endian fields at named offsets of a structure that is being read.
///
/// A borrowed view: whoever made it keeps the bytes alive. Offsets are the format's own constants,
/// so one outside the structure is a mistake of this package and traps; nothing read from a disk
/// becomes an offset without a check.
@safe struct FieldReader {
  private let base: UnsafeRawPointer
  let count: Int

  init(_ base: UnsafeRawPointer, count: Int) {
    unsafe self.base = base
    self.count = count
  }

  private func check(_ at: Int, _ width: Int) {
    precondition(at >= 0)
    precondition(at <= count - width)
  }

  func u8(_ at: Int) -> UInt8 {
    check(at, 1)
    return unsafe base.load(fromByteOffset: at, as: UInt8.self)
  }
  func u16(_ at: Int) -> UInt16 {
    check(at, 2)
    return UInt16(littleEndian: unsafe base.loadUnaligned(fromByteOffset: at, as: UInt16.self))
  }
  func u32(_ at: Int) -> UInt32 {
    check(at, 4)
    return UInt32(littleEndian: unsafe base.loadUnaligned(fromByteOffset: at, as: UInt32.self))
  }
  func u64(_ at: Int) -> UInt64 {
    check(at, 8)
    return UInt64(littleEndian: unsafe base.loadUnaligned(fromByteOffset: at, as: UInt64.self))
  }

  /// A part of the structure as a structure of its own.
  func part(at: Int, count: Int) -> FieldReader {
    check(at, count)
    return unsafe FieldReader(base + at, count: count)
  }

  /// Whether the bytes of `range` are all zero.
  func isZero(_ range: Range<Int>) -> Bool {
    check(range.lowerBound, range.count)
    var at = range.lowerBound
    while at + 8 <= range.upperBound {
      if u64(at) != 0 { return false }
      at += 8
    }
    while at < range.upperBound {
      if u8(at) != 0 { return false }
      at += 1
    }
    return true
  }

  /// `capacity` bytes of which the first `length` are UTF-8 and the rest zero; nil otherwise.
  func text(at: Int, length: Int, capacity: Int) -> String? {
    guard length <= capacity, isZero(at + length..<at + capacity) else { return nil }
    check(at, capacity)
    let bytes = unsafe UnsafeRawBufferPointer(start: base + at, count: length)
    return unsafe String(validating: bytes, as: UTF8.self)
  }

  func uuid(_ at: Int) -> StorageUUID { StorageUUID(high: u64(at), low: u64(at + 8)) }
}
