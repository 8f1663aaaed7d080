import DiskFormat

/// Pending changes of the counts of one data segment's extents: dense, since writes have affinity.
///
/// An extent that was touched and came back to no change stays touched: it was taken from the
/// usable ones and may return to them only after a checkpoint.
@safe struct CountDeltas: ~Copyable {
  /// Bytes that one of these takes.
  static let bytes = 1024 * 4 + 128

  /// How many segments the copy of a leaf may touch in a pool of so many.
  static func segmentsOfALeafCopy(of count: Int) -> Int {
    min(2 * FormatConstants.entriesPerLeaf, count) + 4
  }

  private let changes: UnsafeMutablePointer<Int32>
  private let touched: UnsafeMutablePointer<UInt64>

  init() {
    unsafe changes = .allocate(capacity: 1024)
    unsafe changes.initialize(repeating: 0, count: 1024)
    unsafe touched = .allocate(capacity: 16)
    unsafe touched.initialize(repeating: 0, count: 16)
  }

  deinit {
    unsafe changes.deallocate()
    unsafe touched.deallocate()
  }

  @inline(__always) func add(_ index: Int, _ change: Int) {
    precondition(index >= 0 && index < 1024)
    unsafe changes[index] += Int32(change)
    unsafe touched[index >> 6] |= 1 << UInt64(index & 63)
  }

  @inline(__always) func isTouched(_ index: Int) -> Bool {
    precondition(index >= 0 && index < 1024)
    return unsafe touched[index >> 6] & 1 << UInt64(index & 63) != 0
  }

  @inline(__always) func change(_ index: Int) -> Int {
    precondition(index >= 0 && index < 1024)
    return Int(unsafe changes[index])
  }
}
