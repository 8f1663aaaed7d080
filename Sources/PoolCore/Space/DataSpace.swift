import DiskFormat
import StorageUnits

/// The extents of data segments: which may be taken, and the pending changes of their counts.
///
/// An extent is usable when its count was zero in the last durable image, no record named it since,
/// no decision holds it, and the quarantine of its last use is over. Nothing else frees space.
@safe final class DataSpace {
  @safe final class Segment {
    /// One bit for each usable extent, as far as `isKnown`; then one for each in quarantine; then
    /// one for each usable extent whose file space is to be given back: `DataSpace+Punch.swift`.
    private let words: UnsafeMutablePointer<UInt64>
    /// The bits are known: the count page was looked at.
    var isKnown = false
    /// How many extents are usable, known without the page.
    var usableCount = 0
    /// Where the next extent is looked for.
    var hint = 0
    /// Changes after the last cut, and up to the cut of the checkpoint being written.
    var current: DeltaBox?
    var frozen: DeltaBox?
    /// The frozen changes are in the count page that the segment's entry names.
    var isFolded = false

    /// Usable extents whose file space is to be given back.
    private(set) var punchableCount = 0
    /// The segment stands in the queue of those with punchable extents.
    var isQueuedForPunch = false
    /// It is among the segments that a checkpoint would make free.
    var isCountedEmpty = false
    /// Some of what is usable may hold file space that nobody remembers: see `beginSweep`.
    var awaitsSweep = false

    init() {
      unsafe words = .allocate(capacity: 48)
      unsafe words.initialize(repeating: 0, count: 48)
    }

    deinit { unsafe words.deallocate() }

    func isUsable(_ index: Int) -> Bool {
      precondition(index >= 0 && index < 1024)
      return unsafe words[index >> 6] & 1 << UInt64(index & 63) != 0
    }

    func setUsable(_ index: Int, _ value: Bool) {
      precondition(index >= 0 && index < 1024)
      let bit: UInt64 = 1 << UInt64(index & 63)
      if value {
        unsafe words[index >> 6] |= bit
      } else {
        unsafe words[index >> 6] &= ~bit
        forgetPunch(index)
      }
    }

    func isInQuarantine(_ index: Int) -> Bool {
      precondition(index >= 0 && index < 1024)
      return unsafe words[16 + (index >> 6)] & 1 << UInt64(index & 63) != 0
    }

    func quarantine(_ freed: FreedExtents) {
      for i in 0..<16 {
        precondition(unsafe words[16 + i] & freed.bits[i] == 0, "freed twice")
        unsafe words[16 + i] |= freed.bits[i]
      }
    }

    /// Ends the quarantine; returns how many extents it was.
    func release(_ freed: FreedExtents) -> Int {
      var count = 0
      for i in 0..<16 {
        let bits = freed.bits[i]
        precondition(unsafe words[16 + i] & bits == bits, "released without a quarantine")
        precondition(unsafe words[i] & bits == 0, "an extent would be usable twice")
        unsafe words[16 + i] &= ~bits
        if isKnown { unsafe words[i] |= bits }
        count += bits.nonzeroBitCount
      }
      return count
    }

    func isPunchable(_ index: Int) -> Bool {
      precondition(index >= 0 && index < 1024)
      return unsafe words[32 + (index >> 6)] & 1 << UInt64(index & 63) != 0
    }

    func markPunchable(_ freed: FreedExtents) {
      for i in 0..<16 {
        precondition(unsafe words[32 + i] & freed.bits[i] == 0, "freed twice")
        unsafe words[32 + i] |= freed.bits[i]
      }
      punchableCount += freed.count
    }

    /// All usable extents hold file space, as far as is known.
    func markUsablePunchable() {
      for i in 0..<16 { unsafe words[32 + i] |= words[i] }
      punchableCount = (0..<16).reduce(0) { unsafe $0 + words[32 + $1].nonzeroBitCount }
    }

    func forgetPunch(_ index: Int) {
      guard isPunchable(index) else { return }
      unsafe words[32 + (index >> 6)] &= ~(1 << UInt64(index & 63))
      punchableCount -= 1
    }

    /// The first usable extent in `from ..< limit`.
    func firstUsable(from: Int, limit: Int) -> Int? {
      var index = from
      while index < limit {
        let bits = unsafe words[index >> 6] >> UInt64(index & 63)
        if bits != 0 {
          let found = index + bits.trailingZeroBitCount
          return found < limit ? found : nil
        }
        index = (index | 63) + 1
      }
      return nil
    }
  }
  /// A place for deltas that can be moved from `current` to `frozen`.
  final class DeltaBox {
    let deltas = CountDeltas()
  }
  /// Segments with usable extents, by the logarithm of how many: the fullest first. A segment
  /// stands in one bucket at the most, perhaps in one that it has left meanwhile.
  private struct Buckets {
    static let none: UInt8 = 0xFF
    var lists: [[UInt32]] = Array(repeating: [], count: 11)
    var bucket: [UInt8]

    static func index(_ usable: Int) -> Int { Int.bitWidth - 1 - usable.leadingZeroBitCount }
  }

  let table: SegmentTable
  private(set) var segments: [Segment?]
  /// Segments with changes after the last cut.
  private(set) var touched: [UInt32] = []
  private(set) var frozenSegments: [UInt32] = []
  private(set) var usableCount = 0
  /// Extents whose count is zero in a durable image and whose quarantine is not over, or whose file
  /// space is being given back.
  var quarantinedCount = 0
  private var usableByDevice: [UInt16: Int] = [:]
  private var buckets: Buckets
  /// Segments that a checkpoint would make free.
  private var emptySegments = 0
  /// Freed extents are remembered until their file space was given back.
  var remembersFreed = false
  /// Segments with punchable extents, some without any longer.
  var punchQueue: [UInt32] = []
  /// Segments that are still to be swept, the next one last.
  var sweepQueue: [UInt32] = []
  /// Names that were taken away since the last cut, and before it in the checkpoint being written.
  private var releases = 0
  private var frozenReleases = 0

  init(table: SegmentTable) {
    self.table = table
    segments = Array(repeating: nil, count: table.count)
    buckets = Buckets(bucket: Array(repeating: Buckets.none, count: table.count))
    for index in 0..<table.count where table.entries[index].segmentClass == .data {
      precondition(index != 0, "segment 0 is for nodes")
      let segment = Segment()
      segments[index] = segment
      setUsableCount(index, freeUnits(index))
    }
  }

  /// What the last image says is free; without a count page everything is.
  private func freeUnits(_ segment: Int) -> Int {
    let entry = table.entries[segment]
    return entry.countPage.isNone ? table.extents : min(Int(entry.freeUnits), table.extents)
  }

  /// Bytes of pending changes.
  var deltaBytes: Int { (touched.count + frozenSegments.count) * CountDeltas.bytes }

  /// Every change of how many extents of a segment are usable.
  func setUsableCount(_ segment: Int, _ count: Int) {
    let state = state(segment)
    let old = state.usableCount
    if old == count { return }
    state.usableCount = count
    usableCount += count - old
    countIfEmpty(state)
    if let device = table.entries[segment].place?.device.index {
      usableByDevice[device, default: 0] += count - old
    }
    if count > old { enqueue(segment, count) }
  }

  /// A segment becomes free only once its file space was given back.
  func countIfEmpty(_ state: Segment) {
    let isEmpty =
      state.usableCount == table.extents && state.punchableCount == 0
      && !state.awaitsSweep
    if isEmpty == state.isCountedEmpty { return }
    state.isCountedEmpty = isEmpty
    emptySegments += isEmpty ? 1 : -1
  }

  private func enqueue(_ segment: Int, _ usable: Int) {
    guard usable > 0, buckets.bucket[segment] == Buckets.none else { return }
    let bucket = Buckets.index(usable)
    buckets.lists[bucket].append(UInt32(segment))
    buckets.bucket[segment] = UInt8(bucket)
  }

  /// One of the fullest segments that have usable extents, none of `except`. It costs no look at
  /// all segments, however full the pool is.
  func nextPartlyUsed(except: some Collection<Int>) -> Int? {
    var aside: [Int] = []
    defer { for segment in aside { enqueue(segment, usableCount(in: segment)) } }
    for bucket in buckets.lists.indices {
      while let last = buckets.lists[bucket].popLast() {
        let segment = Int(last)
        buckets.bucket[segment] = Buckets.none
        // It is no data segment any longer.
        guard let state = segments[segment], state.usableCount > 0 else { continue }
        if except.contains(segment) {
          aside.append(segment)
        } else if Buckets.index(state.usableCount) > bucket {
          enqueue(segment, state.usableCount)
        } else {
          return segment
        }
      }
    }
    return nil
  }

  /// Segments that a checkpoint would make free.
  var hasEmptySegments: Bool { emptySegments > 0 }
  /// Names were taken away that no durable image shows yet.
  var hasReleases: Bool { releases > 0 || frozenReleases > 0 }

  func usable(on device: DeviceIndex) -> Int { usableByDevice[device.index] ?? 0 }

  func state(_ segment: Int) -> Segment {
    guard let state = segments[segment] else { preconditionFailure("not a data segment") }
    return state
  }

  private func split(_ extent: PoolExtent) -> (segment: Int, index: Int) {
    let segment = table.segment(of: extent.address)
    return (segment, Int(extent.index & UInt64(table.extents - 1)))
  }

  // MARK: Segments

  /// A free segment became a data segment: all its extents are usable.
  func add(_ segment: Int) {
    precondition(segments[segment] == nil)
    precondition(segment != 0, "address 0 is never given out")
    let state = Segment()
    for i in 0..<table.extents { state.setUsable(i, true) }
    state.isKnown = true
    segments[segment] = state
    setUsableCount(segment, table.extents)
  }

  /// A data segment of which nothing is named or held becomes free.
  func remove(_ segment: Int) {
    precondition(isEmpty(segment))
    setUsableCount(segment, 0)
    segments[segment] = nil
  }

  func isEmpty(_ segment: Int) -> Bool {
    let state = state(segment)
    return state.isCountedEmpty && state.current == nil && state.frozen == nil
  }

  func usableCount(in segment: Int) -> Int { state(segment).usableCount }

  /// Whether the usable extents of the segment are known one by one.
  func isKnown(_ segment: Int) -> Bool { state(segment).isKnown }

  /// Learns the usable extents from the count page of the last durable image (nil: all zero).
  func learn(_ segment: Int, from page: NodeImage?) {
    let state = state(segment)
    precondition(!state.isKnown)
    var count = 0
    for i in 0..<table.extents {
      if let page, page.count(i) != 0 { continue }
      if state.current?.deltas.isTouched(i) == true { continue }
      if state.frozen?.deltas.isTouched(i) == true { continue }
      if state.isInQuarantine(i) { continue }
      state.setUsable(i, true)
      count += 1
    }
    state.isKnown = true
    setUsableCount(segment, count)
  }

  // MARK: Taking

  /// Takes up to `count` neighbouring usable extents of a segment whose bits are known.
  func take(from segment: Int, upTo count: Int) -> (first: PoolExtent, count: Int)? {
    let state = state(segment)
    precondition(state.isKnown)
    guard state.usableCount > 0 else { return nil }
    guard
      let first = state.firstUsable(from: state.hint, limit: table.extents)
        ?? state.firstUsable(from: 0, limit: table.extents)
    else { return nil }
    var end = first
    while end < table.extents, end - first < count, state.isUsable(end) {
      state.setUsable(end, false)
      end += 1
    }
    state.hint = end < table.extents ? end : 0
    setUsableCount(segment, state.usableCount - (end - first))
    return (PoolExtent(index: table.start(of: segment).extent.index + UInt64(first)), end - first)
  }

  /// The extent may be taken (again).
  func makeUsable(_ extent: PoolExtent) {
    let (segment, index) = split(extent)
    let state = state(segment)
    if state.isKnown {
      precondition(!state.isUsable(index), "an extent would be usable twice")
      state.setUsable(index, true)
    }
    setUsableCount(segment, state.usableCount + 1)
  }

  // MARK: Counts

  /// The extent gains or loses names.
  func addCount(_ extent: PoolExtent, _ change: Int) {
    let (segment, index) = split(extent)
    let state = state(segment)
    if change < 0 { releases += 1 }
    if let box = state.current {
      box.deltas.add(index, change)
      return
    }
    let box = DeltaBox()
    box.deltas.add(index, change)
    state.current = box
    touched.append(UInt32(segment))
  }

  /// A record that is being replayed names the extent: nobody may take it.
  func noteReplayed(_ extent: PoolExtent) {
    let (segment, index) = split(extent)
    let state = state(segment)
    guard state.isKnown, state.isUsable(index) else { return }
    state.setUsable(index, false)
    setUsableCount(segment, state.usableCount - 1)
  }

  /// What has to be added to the count of an extent in the page that its segment's entry names.
  func pendingChange(_ segment: Int, _ index: Int) -> Int {
    let state = state(segment)
    let frozen = state.isFolded ? nil : state.frozen
    return (frozen?.deltas.change(index) ?? 0) + (state.current?.deltas.change(index) ?? 0)
  }

  // MARK: Checkpoints

  /// The changes up to now belong to the checkpoint that is being cut.
  func beginFreezing() {
    precondition(frozenSegments.isEmpty)
    for segment in touched {
      let state = state(Int(segment))
      state.frozen = state.current
      state.current = nil
    }
    frozenSegments = touched.sorted()
    touched = []
    frozenReleases = releases
    releases = 0
  }

  /// Adds the frozen changes of a segment to its counts, which are in `page`; reports the touched
  /// extents whose count is zero now, how many counts of the page are, and whether all are.
  func fold(
    _ segment: Int, into page: NodeImage
  ) -> (freed: FreedExtents, zero: Int, isAllZero: Bool) {
    guard let box = state(segment).frozen else { preconditionFailure("nothing to fold") }
    state(segment).isFolded = true
    var freed = FreedExtents(segment: UInt32(segment))
    var zero = 0
    for i in 0..<table.extents {
      let old = page.count(i)
      let isTouched = box.deltas.isTouched(i)
      if isTouched && old != FormatConstants.stickyCount {
        let new = Int(old) + box.deltas.change(i)
        precondition(new >= 0, "an extent's count would fall below zero")
        page.setCount(min(UInt32(new), FormatConstants.stickyCount), i)
      }
      if page.count(i) == 0 {
        zero += 1
        if isTouched { freed.bits[i >> 6] |= 1 << UInt64(i & 63) }
      }
    }
    return (freed, zero, zero == table.extents)
  }

  /// The image is durable.
  func endFreezing() {
    for segment in frozenSegments {
      state(Int(segment)).frozen = nil
      state(Int(segment)).isFolded = false
    }
    frozenSegments = []
    frozenReleases = 0
  }

  func quarantine(_ freed: FreedExtents) {
    state(Int(freed.segment)).quarantine(freed)
    quarantinedCount += freed.count
  }

  /// The quarantine of what a checkpoint freed in one segment is over.
  func release(_ freed: FreedExtents) {
    let segment = Int(freed.segment)
    let state = state(segment)
    let count = state.release(freed)
    quarantinedCount -= count
    if remembersFreed { notePunchable(freed) }
    setUsableCount(segment, state.usableCount + count)
  }

  /// After the checkpoint that ends a start: forget what replay guessed; the table knows.
  func forgetUsable() {
    for index in 0..<table.count {
      guard let state = segments[index] else { continue }
      setUsableCount(index, freeUnits(index))
      state.isKnown = false
      for i in 0..<table.extents { state.setUsable(i, false) }
    }
  }
}
