import ServerHarness

/// A volume as an array, with what was done to it, so that a difference tells its history.
struct SectorModel {
  private(set) var bytes: [UInt8]
  private var history: [(what: String, range: Range<Int>)] = []
  private var sectors: Int { bytes.count / 512 }

  init(sectors: Int) {
    bytes = [UInt8](repeating: 0, count: sectors * 512)
  }

  /// Sends one random request, mostly short ones, and does the same here.
  mutating func step(
    _ client: NBDConnection, using generator: inout SeededGenerator
  ) throws {
    let start = Int.random(in: 0..<sectors, using: &generator)
    let longest = Int.random(in: 0..<10, using: &generator) == 0 ? 2000 : 40
    let count = Int.random(in: 1...min(sectors - start, longest), using: &generator)
    let range = start * 512..<(start + count) * 512
    let offset = UInt64(range.lowerBound)
    let flag = Bool.random(using: &generator)
    switch Int.random(in: 0..<10, using: &generator) {
    case 0..<5:
      let written = StampedBytes.random(range.count, seed: generator.next())
      try client.write(offset, written, flags: flag ? .forceUnitAccess : [])
      set(range, to: written, "write")
    case 5:
      try client.trim(offset, UInt32(range.count))
      // A trim is advice: it takes whole blocks, and parts of one keep what they hold.
      let whole =
        (range.lowerBound + 4095) / 4096
        * 4096..<max(
          (range.lowerBound + 4095) / 4096 * 4096, range.upperBound / 4096 * 4096)
      set(whole, to: [UInt8](repeating: 0, count: whole.count), "trim")
    case 6:
      try client.writeZeroes(offset, UInt32(range.count), flags: flag ? .noHole : [])
      set(range, to: [UInt8](repeating: 0, count: range.count), "zero, noHole \(flag)")
    case 7:
      try client.flush()
      history.append(("flush", 0..<0))
    default:
      try check(client, range)
    }
  }

  private mutating func set(_ range: Range<Int>, to new: [UInt8], _ what: String) {
    bytes.replaceSubrange(range, with: new)
    history.append((what, range))
  }

  /// Throws, with what was done there, where the volume differs.
  func check(_ client: NBDConnection, _ range: Range<Int>) throws {
    let found = try client.read(UInt64(range.lowerBound), range.count)
    guard found != Array(bytes[range]) else { return }
    let first =
      range.lowerBound
      + (found.indices.first { found[$0] != bytes[range][range.lowerBound + $0] } ?? 0)
    let block = first / 4096 * 4096..<first / 4096 * 4096 + 4096
    let touching = history.enumerated().filter {
      $0.element.range.overlaps(block) || $0.element.range.isEmpty
    }
    let shown = touching.suffix(30).map { "\($0.offset): \($0.element.what) \($0.element.range)" }
    throw HarnessFailure(
      """
      byte \(first) is \(found[first - range.lowerBound]), not \(bytes[first]); read \(range), \
      \(history.count) steps, of which its block was touched by:
      \(shown.joined(separator: "\n"))
      """)
  }
}
