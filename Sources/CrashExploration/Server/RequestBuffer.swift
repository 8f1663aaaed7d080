/// The buffer of a request: whole blocks around its sectors.
@safe public final class RequestBuffer {
  private let base: UnsafeMutableRawPointer
  private let firstSector: UInt64

  public init(sectors: Range<UInt64>) {
    firstSector = sectors.lowerBound / 8 * 8
    let count = Int((sectors.upperBound + 7) / 8 * 8 - firstSector) * 512
    unsafe base = .allocate(byteCount: count, alignment: 4096)
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0xEE, count: count)
  }

  deinit { unsafe base.deallocate() }

  /// Where the sector, one of those given to `init`, lies.
  public func pointer(toSector sector: UInt64) -> UnsafeMutableRawPointer {
    unsafe base + Int(sector - firstSector) * 512
  }

  public func memory(of sectors: Range<UInt64>) -> UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(
      start: pointer(toSector: sectors.lowerBound), count: sectors.count * 512)
  }

  public func bytes(of sectors: Range<UInt64>) -> [UInt8] { unsafe [UInt8](memory(of: sectors)) }
}
