import DiskFormat
import StorageUnits

/// The blocks of node segments: their counts, always resident, and which may be used.
///
/// A block is usable when its count was zero in the last durable image, nobody took it since, and
/// the quarantine of its last use is over. While a checkpoint is being written, changes of counts
/// that belong after its cut wait in `later`, so that the count images show the state of the cut.
@safe final class NodeSpace {
  struct Segment {
    var counts: [UInt32]
    var usable: [UInt64]
    var usableCount: Int
    /// The count image on disk differs from `counts`.
    var isDirty: Bool
  }

  private let table: SegmentTable
  let layout: NodeSegmentLayout
  private(set) var segments: [UInt32: Segment] = [:]
  /// In ascending order.
  private(set) var order: [UInt32] = []
  private var later: [UInt64: Int32] = [:]
  /// open: changes join the counts and the next image. freezing: a checkpoint was cut and its count
  /// images are not encoded yet: changes wait. sealed: they are encoded, but not durable yet.
  private enum Phase { case open, freezing, sealed }
  private var phase = Phase.open
  /// Blocks whose count fell to zero before the cut, and after it.
  private var zeroed: [UInt64] = []
  private var zeroedLater: [UInt64] = []
  private(set) var usableCount = 0
  private var cursorSegment = 0
  private var cursorBlock = 0

  init(table: SegmentTable) {
    self.table = table
    layout = NodeSegmentLayout(segmentShift: table.shift)
  }

  /// Blocks that a node segment offers.
  var blocksPerSegment: Int { table.blocks - layout.firstUsableBlock }
  var totalCount: Int { order.count * blocksPerSegment }

  /// Adds a node segment: with the counts of its current image, or new with all counts zero.
  func add(_ segment: UInt32, counts: [UInt32]?) {
    precondition(segments[segment] == nil)
    let blocks = table.blocks
    let counts = counts ?? [UInt32](repeating: 0, count: blocks)
    precondition(counts.count == blocks)
    var usable = [UInt64](repeating: 0, count: (blocks + 63) / 64)
    var usableCount = 0
    for block in layout.firstUsableBlock..<blocks where counts[block] == 0 {
      usable[block / 64] |= 1 << UInt64(block % 64)
      usableCount += 1
    }
    segments[segment] = Segment(
      counts: counts, usable: usable, usableCount: usableCount, isDirty: true)
    order.append(segment)
    order.sort()
    self.usableCount += usableCount
  }

  // MARK: Counts

  /// Page plus all pending changes.
  func count(_ address: PoolAddress) -> Int {
    let segment = UInt32(table.segment(of: address))
    let block = Int(address.block & UInt64(table.blocks - 1))
    guard let counts = segments[segment]?.counts else {
      preconditionFailure("a node lies outside the node segments")
    }
    return Int(counts[block]) + Int(later[address.block] ?? 0)
  }

  /// A node gains or loses names by a change of state: before or after the cut, as it comes.
  func add(_ address: PoolAddress, _ change: Int) {
    if phase == .freezing {
      addLater(address, change)
    } else {
      addToImage(address, change)
    }
  }

  func addLater(_ address: PoolAddress, _ change: Int) {
    later[address.block, default: 0] += Int32(change)
    if change < 0 && count(address) == 0 { zeroedLater.append(address.block) }
  }

  /// A node gains or loses names by the checkpoint's own work: the image shows it.
  func addToImage(_ address: PoolAddress, _ change: Int) {
    let segment = UInt32(table.segment(of: address))
    let block = Int(address.block & UInt64(table.blocks - 1))
    guard let old = segments[segment]?.counts[block] else {
      preconditionFailure("a node lies outside the node segments")
    }
    if old == FormatConstants.stickyCount { return }
    let new = Int(old) + change
    precondition(new >= 0, "a node's count would fall below zero")
    let stored = min(UInt32(new), FormatConstants.stickyCount)
    segments[segment]?.counts[block] = stored
    segments[segment]?.isDirty = true
    guard stored == 0, change < 0 else { return }
    if phase == .sealed {
      zeroedLater.append(address.block)
    } else {
      zeroed.append(address.block)
    }
  }

  /// Usable blocks on a device; those with two places count on both.
  func usable(on device: DeviceIndex) -> Int {
    var count = 0
    for (index, state) in segments {
      let entry = table.entries[Int(index)]
      if entry.place?.device == device { count += state.usableCount }
      if entry.secondPlace?.device == device { count += state.usableCount }
    }
    return count
  }

  /// A checkpoint would make blocks usable.
  var hasZeroed: Bool { !zeroed.isEmpty || !zeroedLater.isEmpty }

  // MARK: Blocks for a checkpoint

  /// The next usable block in ascending order from where the last one was found.
  private func nextUsable() -> (segment: UInt32, block: Int)? {
    guard usableCount > 0 else { return nil }
    for turn in 0...order.count {
      if cursorSegment >= order.count { cursorSegment = 0 }
      let segment = order[cursorSegment]
      if let found = firstUsable(segment, from: turn == 0 ? cursorBlock : 0) {
        cursorBlock = found
        return (segment, found)
      }
      cursorSegment += 1
      cursorBlock = 0
    }
    return nil
  }

  private func firstUsable(_ segment: UInt32, from: Int) -> Int? {
    guard let state = segments[segment], state.usableCount > 0 else { return nil }
    var word = from / 64
    guard word < state.usable.count else { return nil }
    var bits = state.usable[word] & ~((UInt64(1) << UInt64(from % 64)) - 1)
    while bits == 0 {
      word += 1
      guard word < state.usable.count else { return nil }
      bits = state.usable[word]
    }
    return word * 64 + bits.trailingZeroBitCount
  }

  /// Takes a usable block; `after` asks for exactly the next one (for a gathered write).
  func take(after previous: PoolAddress?) -> PoolAddress? {
    guard let (segment, block) = nextUsable() else { return nil }
    let address = table.start(of: Int(segment)).advanced(byBlocks: block)
    if let previous, previous.block + 1 != address.block { return nil }
    segments[segment]?.usable[block / 64] &= ~(1 << UInt64(block % 64))
    segments[segment]?.usableCount -= 1
    usableCount -= 1
    cursorBlock = block + 1
    return address
  }

  /// The block may be taken again: its quarantine is over.
  func release(_ address: PoolAddress) {
    let segment = UInt32(table.segment(of: address))
    let block = Int(address.block & UInt64(table.blocks - 1))
    precondition(count(address) == 0)
    guard let word = segments[segment]?.usable[block / 64] else {
      preconditionFailure("a node lies outside the node segments")
    }
    precondition(word & 1 << UInt64(block % 64) == 0, "a block would be released twice")
    segments[segment]?.usable[block / 64] |= 1 << UInt64(block % 64)
    segments[segment]?.usableCount += 1
    usableCount += 1
  }

  // MARK: Checkpoints

  func beginFreezing() {
    precondition(phase == .open)
    phase = .freezing
  }

  var dirtySegments: [UInt32] { order.filter { segments[$0]?.isDirty == true } }

  /// Encodes one page of a count image, as of the cut.
  func encodeCounts(_ segment: UInt32, page: Int, into node: NodeImage) {
    guard let counts = segments[segment]?.counts else {
      preconditionFailure("not a node segment")
    }
    let first = page * FormatConstants.countsPerPage
    for i in first..<min(counts.count, first + FormatConstants.countsPerPage) {
      node.setCount(counts[i], i - first)
    }
  }

  /// Blocks of the segment whose count is zero.
  func zeroCount(_ segment: UInt32) -> UInt32 {
    guard let counts = segments[segment]?.counts else { return 0 }
    var zero: UInt32 = 0
    for block in layout.firstUsableBlock..<counts.count where counts[block] == 0 { zero += 1 }
    return zero
  }

  func imageEncoded(_ segment: UInt32) { segments[segment]?.isDirty = false }

  /// The count images are encoded: later changes join the counts.
  func endFreezing() {
    precondition(phase == .freezing)
    phase = .sealed
    let changes = later
    later = [:]
    for (address, change) in changes where change != 0 {
      let segment = UInt32(table.segment(of: PoolAddress(block: address)))
      let block = Int(address & UInt64(table.blocks - 1))
      guard let old = segments[segment]?.counts[block] else {
        preconditionFailure("a node lies outside the node segments")
      }
      if old == FormatConstants.stickyCount { continue }
      let new = Int(old) + Int(change)
      precondition(new >= 0, "a node's count would fall below zero")
      segments[segment]?.counts[block] = min(UInt32(new), FormatConstants.stickyCount)
      segments[segment]?.isDirty = true
    }
  }

  /// The image is durable: what it shows as zero may be released after its quarantine.
  func takeZeroed() -> [UInt64] {
    let freed = zeroed
    zeroed = zeroedLater
    zeroedLater = []
    phase = .open
    return freed
  }
}
