/// The contents of a device: pages of 4 KiB that were written, zeros elsewhere. A value: copies
/// share pages until one of them changes.
@safe struct SparseBytes {
  static let pageBytes = 4096
  private var pages: [UInt64: [UInt8]] = [:]

  /// Pages that hold anything.
  var pageCount: Int { pages.count }

  func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) {
    Self.forEachPiece(at: offset, count: buffer.count) { page, inPage, at, count in
      let target = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[at..<at + count])
      guard let source = pages[page] else {
        unsafe target.initializeMemory(as: UInt8.self, repeating: 0)
        return
      }
      unsafe source.withUnsafeBytes {
        unsafe target.copyMemory(from: .init(rebasing: $0[inPage..<inPage + count]))
      }
    }
  }

  mutating func write(at offset: UInt64, from buffer: UnsafeRawBufferPointer) {
    Self.forEachPiece(at: offset, count: buffer.count) { page, inPage, at, count in
      let source = unsafe UnsafeRawBufferPointer(rebasing: buffer[at..<at + count])
      if count == Self.pageBytes {
        pages[page] = unsafe [UInt8](source)
        return
      }
      unsafe pages[page, default: [UInt8](repeating: 0, count: Self.pageBytes)]
        .withUnsafeMutableBytes {
          unsafe UnsafeMutableRawBufferPointer(rebasing: $0[inPage..<inPage + count])
            .copyMemory(from: source)
        }
    }
  }

  mutating func zero(at offset: UInt64, count: Int) {
    Self.forEachPiece(at: offset, count: count) { page, inPage, _, count in
      if count == Self.pageBytes {
        pages[page] = nil
        return
      }
      guard pages[page] != nil else { return }
      for i in inPage..<inPage + count { pages[page]?[i] = 0 }
    }
  }

  mutating func flipBit(at offset: UInt64, bit: Int) {
    let page = offset / UInt64(Self.pageBytes)
    let inPage = Int(offset % UInt64(Self.pageBytes))
    pages[page, default: [UInt8](repeating: 0, count: Self.pageBytes)][inPage] ^= 1 << UInt8(bit)
  }

  private static func forEachPiece(
    at offset: UInt64, count: Int,
    _ body: (_ page: UInt64, _ inPage: Int, _ at: Int, _ count: Int) -> Void
  ) {
    var done = 0
    while done < count {
      let position = offset + UInt64(done)
      let inPage = Int(position % UInt64(pageBytes))
      let piece = min(pageBytes - inPage, count - done)
      body(position / UInt64(pageBytes), inPage, done, piece)
      done += piece
    }
  }
}
