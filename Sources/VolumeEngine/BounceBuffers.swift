import StorageUnits

/// A bounce extent, or none.
struct BounceIndex: Equatable {
  var raw: Int32
  static let none = BounceIndex(raw: -1)
  var isNone: Bool { raw < 0 }
}

/// Aligned memory of the engine's own, taken at start: two blocks for each request (the edges of a
/// read-modify-write) and a number of extents (merges, and reads of scattered extents).
@safe final class BounceBuffers {
  /// What a read does with a bounce extent once everything has arrived.
  @safe struct Picking {
    /// Where block 0 of the virtual extent lies, or would lie, in the host's buffer.
    var origin: UnsafeMutableRawPointer?
    /// The blocks to copy from the bounce extent.
    var picked: BlockMask
    /// The blocks that read as zeros.
    var zeros: BlockMask
    /// The next bounce extent of the same part.
    var next: BounceIndex
  }

  // Both owned from init to deinit and never moved: commands in flight point into them.
  private let edges: UnsafeMutableRawPointer
  private let extents: UnsafeMutableRawPointer
  private let pickings: UnsafeMutablePointer<Picking>
  private let requestCount: Int
  private let extentCount: Int
  private var firstFree: BounceIndex

  init(requestCount: Int, extentCount: Int) {
    self.requestCount = requestCount
    self.extentCount = extentCount
    unsafe edges = .allocate(
      byteCount: requestCount * 2 * StorageSizes.blockBytes, alignment: StorageSizes.blockBytes)
    unsafe extents = .allocate(
      byteCount: extentCount * StorageSizes.extentBytes, alignment: StorageSizes.blockBytes)
    unsafe pickings = .allocate(capacity: extentCount)
    for i in 0..<extentCount {
      let next = i + 1 < extentCount ? BounceIndex(raw: Int32(i + 1)) : .none
      unsafe (pickings + i).initialize(
        to: Picking(origin: nil, picked: .none, zeros: .none, next: next))
    }
    firstFree = BounceIndex(raw: extentCount > 0 ? 0 : -1)
  }

  deinit {
    unsafe edges.deallocate()
    unsafe extents.deallocate()
    unsafe pickings.deallocate()
  }

  /// Block 0 or 1 of a request.
  func edge(of request: RequestIndex, _ which: Int) -> UnsafeMutableRawPointer {
    precondition(Int(request.raw) < requestCount)
    precondition(which < 2)
    return unsafe edges + (Int(request.raw) * 2 + which) * StorageSizes.blockBytes
  }

  var hasFreeExtent: Bool { !firstFree.isNone }

  func takeExtent() -> BounceIndex? {
    guard !firstFree.isNone else { return nil }
    let index = firstFree
    unsafe firstFree = pickings[Int(index.raw)].next
    unsafe pickings[Int(index.raw)].next = .none
    return index
  }

  func freeExtent(_ index: BounceIndex) {
    unsafe pickings[Int(index.raw)].next = firstFree
    firstFree = index
  }

  func memory(_ index: BounceIndex) -> UnsafeMutableRawPointer {
    precondition(index.raw >= 0)
    precondition(Int(index.raw) < extentCount)
    return unsafe extents + Int(index.raw) * StorageSizes.extentBytes
  }

  func setPicking(_ index: BounceIndex, _ picking: Picking) {
    precondition(Int(index.raw) < extentCount)
    unsafe pickings[Int(index.raw)] = picking
  }

  func picking(_ index: BounceIndex) -> Picking {
    precondition(Int(index.raw) < extentCount)
    return unsafe pickings[Int(index.raw)]
  }
}
