/// A write (or hole punch) that is not durable yet.
@safe public struct PendingWrite {
  /// Counts what was submitted to the device.
  public let sequence: UInt64
  /// On the device, in bytes. Whole pages, unless the device misdirected it.
  public let offset: UInt64
  public let length: Int
  /// Its pages, `length / 4096` of them; nil is zeros.
  public let pages: [StoredPage?]
  public let isPunch: Bool
  /// Counts what was completed on the device; 0 while in flight.
  public internal(set) var completion: UInt64 = 0
  /// A flush that should have made it durable failed: no later flush will (Linux marks the pages
  /// clean after it has reported the error once).
  var isStuck = false
  /// The byte offsets on the device of its sectors that a later, durable write has replaced.
  var replacedSectors: Set<UInt64> = []

  /// `bytes` nil: a hole punch, which writes zeros.
  init(sequence: UInt64, offset: UInt64, length: Int, bytes: UnsafeRawBufferPointer?) {
    self.sequence = sequence
    self.offset = offset
    self.length = length
    let count = length / StoredPage.byteCount
    if let bytes = unsafe bytes {
      var pages: [StoredPage?] = []
      pages.reserveCapacity(count)
      for i in 0..<count {
        let start = i * StoredPage.byteCount
        pages.append(
          unsafe StoredPage.make(.init(rebasing: bytes[start..<start + StoredPage.byteCount])))
      }
      self.pages = pages
      isPunch = false
    } else {
      pages = Array(repeating: nil, count: count)
      isPunch = true
    }
  }

  /// The same bytes at another place.
  init(_ write: PendingWrite, movedTo offset: UInt64) {
    sequence = write.sequence
    self.offset = offset
    length = write.length
    pages = write.pages
    isPunch = write.isPunch
  }

  /// The first page on the device that it covers.
  public var firstPage: UInt64 { offset / UInt64(StoredPage.byteCount) }

  func overlaps(at other: UInt64, count: Int) -> Bool {
    offset < other + UInt64(count) && other < offset + UInt64(length)
  }

  /// Writes the atoms of `fate` into `contents`.
  func apply(_ fate: WriteFate, atomBytes: Int, to contents: inout SparseBytes) {
    if fate == .whole && replacedSectors.isEmpty {
      if offset % UInt64(StoredPage.byteCount) == 0 {
        for i in pages.indices { contents[firstPage + UInt64(i)] = pages[i] }
      } else {
        put(at: 0, count: length, into: &contents)
      }
      return
    }
    let atoms = (length + atomBytes - 1) / atomBytes
    for atom in 0..<atoms where fate.keeps(atom: atom, of: atoms) {
      for sector in stride(from: atom * atomBytes, to: min((atom + 1) * atomBytes, length), by: 512)
      where !replacedSectors.contains(offset + UInt64(sector)) {
        put(at: sector, count: 512, into: &contents)
      }
    }
  }

  /// Writes bytes `start ..< start + count` of the write into `contents`.
  private func put(at start: Int, count: Int, into contents: inout SparseBytes) {
    SparseBytes.forEachPiece(at: UInt64(start), count: count) { page, inPage, at, count in
      let target = offset + UInt64(start + at)
      guard let source = pages[Int(page)] else {
        contents.zero(at: target, count: count)
        return
      }
      unsafe contents.write(
        at: target, from: .init(rebasing: source.bytes[inPage..<inPage + count]))
    }
  }

  /// Whether `buffer` holds other bytes now.
  func differs(from buffer: UnsafeMutableRawBufferPointer) -> Bool {
    for i in pages.indices {
      let start = i * StoredPage.byteCount
      let now = unsafe UnsafeRawBufferPointer(
        rebasing: buffer[start..<start + StoredPage.byteCount])
      if unsafe !StoredPage.matches(pages[i], now) { return true }
    }
    return false
  }
}
