import BlockIO

/// The space underneath a sparse device, as a full file system gives it: a write to a page that has
/// none needs some, and so does reserving a range; punching a hole gives it back.
struct BackingSpace {
  private static let pageBytes: UInt64 = 4096
  /// Pages of 4 KiB that have space.
  private var backed: Set<UInt64> = []
  private(set) var freePages: Int
  /// Bytes at the start of the device that have space of their own.
  private let backedBelow: UInt64

  init(freeBytes: UInt64, backedBelow: UInt64) {
    freePages = Int(freeBytes / Self.pageBytes)
    self.backedBelow = backedBelow
  }

  mutating func add(bytes: UInt64) { freePages += Int(bytes / Self.pageBytes) }

  /// Takes what the operation needs; false if there is not enough, and then nothing is taken.
  mutating func admit(_ operation: IOCommand.Operation, at offset: UInt64, length: Int) -> Bool {
    let pages = offset / Self.pageBytes..<(offset + UInt64(length)) / Self.pageBytes
    switch operation {
    case .read, .flush: return true
    case .punchHole:
      for page in pages where backed.remove(page) != nil { freePages += 1 }
      return true
    case .write, .reserveSpace:
      let new = pages.filter { $0 * Self.pageBytes >= backedBelow && !backed.contains($0) }
      guard new.count <= freePages else { return false }
      freePages -= new.count
      backed.formUnion(new)
      return true
    }
  }
}
