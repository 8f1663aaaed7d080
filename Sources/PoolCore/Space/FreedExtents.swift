/// The extents of one segment whose count a checkpoint brought to zero: a bit for each, so that the
/// end of a huge volume costs little more than that of a small one.
struct FreedExtents {
  let segment: UInt32
  var bits: [16 of UInt64]

  init(segment: UInt32) {
    self.segment = segment
    bits = .init(repeating: 0)
  }

  var isEmpty: Bool {
    for i in 0..<16 where bits[i] != 0 { return false }
    return true
  }

  /// How many extents.
  var count: Int {
    var count = 0
    for i in 0..<16 { count += bits[i].nonzeroBitCount }
    return count
  }

  /// Indices in the segment, ascending.
  var indices: [Int] { (0..<1024).filter { bits[$0 >> 6] & 1 << UInt64($0 & 63) != 0 } }
}
