import Glibc
import StorageUnits

/// 4 KiB as they were written: never changed, so that states of a device share them.
///
/// It knows its hash and, of each of its sectors, the stamp that lies there, so that states can be
/// told apart and judged without looking at bytes again.
@safe public final class StoredPage: @unchecked Sendable {
  // Unchecked: nothing is changed after `init`.
  public static let byteCount = 4096
  public static let sectorCount = byteCount / 512

  private let memory: UnsafeMutableRawBufferPointer
  /// Of the bytes; never 0.
  public let hash: UInt64
  /// What each sector holds; empty if no sector carries a stamp.
  public let sectors: [SectorContents]
  /// Nothing but stamped sectors and zeros: what hosts write, and never a table.
  public let isHostData: Bool

  /// Takes the memory over.
  private init(owning memory: UnsafeMutableRawBufferPointer) {
    unsafe self.memory = memory
    unsafe hash = Self.hash(UnsafeRawBufferPointer(memory))
    var sectors: [SectorContents] = []
    if unsafe Self.hasStamp(UnsafeRawBufferPointer(memory)) {
      for i in 0..<Self.sectorCount {
        unsafe sectors.append(
          StampedSector.read(UnsafeRawBufferPointer(rebasing: memory[i * 512..<i * 512 + 512])))
      }
    }
    self.sectors = sectors
    isHostData = !sectors.isEmpty && !sectors.contains(.garbage)
  }

  deinit { unsafe memory.deallocate() }

  /// A page with these 4096 bytes; nil for zeros, which no device keeps.
  static func make(_ source: UnsafeRawBufferPointer) -> StoredPage? {
    precondition(source.count == byteCount)
    if unsafe isZero(source) { return nil }
    let memory = UnsafeMutableRawBufferPointer.allocate(
      byteCount: byteCount, alignment: 8)
    unsafe memory.copyMemory(from: source)
    return unsafe StoredPage(owning: memory)
  }

  /// `old` with the bytes `range` of `new` in it; nil is a page of zeros.
  public static func mixing(
    _ old: StoredPage?, _ new: StoredPage?, _ range: Range<Int>
  ) -> StoredPage? {
    unsafe changing(old) { memory in
      let target = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[range])
      if let new {
        unsafe target.copyMemory(from: UnsafeRawBufferPointer(rebasing: new.bytes[range]))
      } else {
        _ = unsafe target.initializeMemory(as: UInt8.self, repeating: 0)
      }
    }
  }

  /// A changed copy of a page; nil is a page of zeros.
  static func changing(
    _ old: StoredPage?, _ change: (UnsafeMutableRawBufferPointer) -> Void
  ) -> StoredPage? {
    let memory = UnsafeMutableRawBufferPointer.allocate(
      byteCount: byteCount, alignment: 8)
    if let old {
      unsafe memory.copyMemory(from: old.bytes)
    } else {
      _ = unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
    }
    unsafe change(memory)
    if unsafe isZero(UnsafeRawBufferPointer(memory)) {
      unsafe memory.deallocate()
      return nil
    }
    return unsafe StoredPage(owning: memory)
  }

  /// Whether `bytes`, a page or the first part of one, are those of `page`; nil is zeros.
  public static func matches(_ page: StoredPage?, _ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let start = bytes.baseAddress else { return true }
    guard let page else { return unsafe isZero(bytes) }
    guard let stored = unsafe page.bytes.baseAddress else { return false }
    return unsafe memcmp(start, stored, min(bytes.count, byteCount)) == 0
  }

  /// For looking into structures.
  public var copyOfBytes: [UInt8] { unsafe [UInt8](memory) }

  var bytes: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(memory) }

  private static func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let base = bytes.baseAddress else { return true }
    if bytes.count < 8 { return unsafe bytes.allSatisfy { $0 == 0 } }
    return unsafe base.loadUnaligned(as: UInt64.self) == 0
      && memcmp(base, base + 8, bytes.count - 8) == 0
  }

  private static func hasStamp(_ bytes: UnsafeRawBufferPointer) -> Bool {
    for i in 0..<sectorCount
    where unsafe StampedSector.hasMagic(UnsafeRawBufferPointer(rebasing: bytes[(i * 512)...])) {
      return true
    }
    return false
  }

  /// Four lanes of multiply and rotate, then mixed: the same on every machine.
  private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var a: UInt64 = 1
    var b: UInt64 = 2
    var c: UInt64 = 3
    var d: UInt64 = 4
    for at in stride(from: 0, to: byteCount, by: 32) {
      a = step(a, unsafe bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
      b = step(b, unsafe bytes.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self))
      c = step(c, unsafe bytes.loadUnaligned(fromByteOffset: at + 16, as: UInt64.self))
      d = step(d, unsafe bytes.loadUnaligned(fromByteOffset: at + 24, as: UInt64.self))
    }
    let mixed = SeededRandom.mix(
      SeededRandom.mix(a) &+ SeededRandom.mix(b &* 3) &+ SeededRandom.mix(c &* 5)
        &+ SeededRandom.mix(d &* 7))
    return mixed == 0 ? 1 : mixed
  }

  @inline(__always) private static func step(_ lane: UInt64, _ word: UInt64) -> UInt64 {
    let sum = (lane ^ UInt64(littleEndian: word)) &* 0x9E37_79B9_7F4A_7C15
    return (sum << 29) | (sum >> 35)
  }
}
