/// The contents of a device: pages of 4 KiB that hold anything, zeros elsewhere. A value: copies
/// share pages.
@safe public struct SparseBytes: Sendable {
  static let pageBytes = StoredPage.byteCount
  private var pages: [UInt64: StoredPage] = [:]
  /// Tells contents apart: equal for equal ones, and different for different ones but for an
  /// accident of 1 in 2⁶⁴.
  public private(set) var fingerprint: UInt64 = 0
  /// The same of the pages alone that are not `isHostData`: everything that a start can read.
  public private(set) var tableFingerprint: UInt64 = 0

  public init() {}

  /// Pages that hold anything.
  public var pageCount: Int { pages.count }

  /// What a page adds to `fingerprint`.
  public static func share(ofPage page: UInt64, _ contents: StoredPage?) -> UInt64 {
    guard let contents else { return 0 }
    return SeededRandom.mix(contents.hash ^ SeededRandom.mix(page))
  }

  /// The page of this number; nil for zeros.
  public subscript(page: UInt64) -> StoredPage? {
    get { pages[page] }
    set {
      let old: StoredPage?
      if let newValue {
        old = pages.updateValue(newValue, forKey: page)
      } else {
        old = pages.removeValue(forKey: page)
      }
      let oldShare = Self.share(ofPage: page, old)
      let newShare = Self.share(ofPage: page, newValue)
      fingerprint = fingerprint &- oldShare &+ newShare
      if old?.isHostData == false { tableFingerprint &-= oldShare }
      if newValue?.isHostData == false { tableFingerprint &+= newShare }
    }
  }

  func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) {
    Self.forEachPiece(at: offset, count: buffer.count) { page, inPage, at, count in
      let target = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[at..<at + count])
      guard let source = pages[page] else {
        unsafe target.initializeMemory(as: UInt8.self, repeating: 0)
        return
      }
      unsafe target.copyMemory(from: .init(rebasing: source.bytes[inPage..<inPage + count]))
    }
  }

  mutating func write(at offset: UInt64, from buffer: UnsafeRawBufferPointer) {
    Self.forEachPiece(at: offset, count: buffer.count) { page, inPage, at, count in
      let source = unsafe UnsafeRawBufferPointer(rebasing: buffer[at..<at + count])
      if count == Self.pageBytes {
        self[page] = unsafe StoredPage.make(source)
        return
      }
      self[page] = unsafe StoredPage.changing(pages[page]) {
        unsafe UnsafeMutableRawBufferPointer(rebasing: $0[inPage..<inPage + count])
          .copyMemory(from: source)
      }
    }
  }

  mutating func zero(at offset: UInt64, count: Int) {
    Self.forEachPiece(at: offset, count: count) { page, inPage, _, count in
      guard let old = pages[page] else { return }
      self[page] =
        count == Self.pageBytes
        ? nil : StoredPage.mixing(old, nil, inPage..<inPage + count)
    }
  }

  mutating func flipBit(at offset: UInt64, bit: Int) {
    let page = offset / UInt64(Self.pageBytes)
    let inPage = Int(offset % UInt64(Self.pageBytes))
    self[page] = unsafe StoredPage.changing(pages[page]) { unsafe $0[inPage] ^= 1 << UInt8(bit) }
  }

  static func forEachPiece(
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
