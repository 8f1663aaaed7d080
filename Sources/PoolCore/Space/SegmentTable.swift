import DiskFormat
import StorageUnits

/// The resident segment table: where every segment lies and what it is used for.
///
/// While a checkpoint is being written, `imageEntry` gives the lines as of its cut: segments that
/// changed their class later keep their older line in `frozen` until the table has been encoded.
@safe final class SegmentTable {
  let shift: UInt8
  private(set) var entries: [SegmentEntry]
  /// device << 48 | block of the first place: the data path reads nothing else.
  private let places: UnsafeMutablePointer<UInt64>
  private var frozen: [UInt32: SegmentEntry] = [:]
  /// A checkpoint between its cut and the encoding of the table.
  private var isFreezing = false
  /// Pages of the table that differ from the last image.
  private(set) var dirtyPages: Set<UInt32> = []
  /// Free segments of each device, lowest last. Segment 0 is never among them: it becomes the first
  /// node segment, since data must not get address 0.
  private(set) var freeByDevice: [UInt16: [UInt32]] = [:]
  private(set) var dataSegmentCount = 0
  /// How many node segments the free ones could become: in pairs on two devices as far as possible,
  /// the rest with one place. (A pool of one device has no pairs.)
  private(set) var possibleNodeSegments = 0

  init(shift: UInt8, entries: [SegmentEntry]) {
    self.shift = shift
    self.entries = entries
    unsafe places = .allocate(capacity: max(1, entries.count))
    for (i, entry) in entries.enumerated().reversed() {
      unsafe places[i] = Self.packed(entry.place)
      if entry.segmentClass == .data { dataSegmentCount += 1 }
      if i > 0, entry.segmentClass == .free, let place = entry.place {
        freeByDevice[place.device.index, default: []].append(UInt32(i))
      }
    }
    countPossibleNodeSegments()
  }

  deinit { unsafe places.deallocate() }

  private static func packed(_ place: DevicePlace?) -> UInt64 {
    guard let place else { return 0 }
    precondition(place.block < 1 << 48)
    return UInt64(place.device.index) << 48 | place.block
  }

  var count: Int { entries.count }
  /// Blocks in a segment.
  var blocks: Int { 1 << Int(shift) }
  /// Extents in a segment.
  var extents: Int { 1 << (Int(shift) - 4) }
  var freeCount: Int { freeByDevice.values.reduce(0) { $0 + $1.count } }
  /// The first checkpoint of a pool makes segment 0 a node segment.
  var isFirstSegmentFree: Bool { entries[0].segmentClass == .free }

  @inline(__always) func segment(of address: PoolAddress) -> Int {
    Int(address.block >> UInt64(shift))
  }
  func start(of segment: Int) -> PoolAddress {
    PoolAddress(block: UInt64(segment) << UInt64(shift))
  }

  /// The first place of an address; only the segment table knows devices.
  @inline(__always) func place(of address: PoolAddress) -> DevicePlace {
    let segment = segment(of: address)
    precondition(segment < entries.count)
    let word = unsafe places[segment]
    precondition(word != 0)
    return DevicePlace(
      device: DeviceIndex(index: UInt16(truncatingIfNeeded: word >> 48)),
      block: (word & 0xFFFF_FFFF_FFFF) + (address.block & UInt64(blocks - 1)))
  }

  func secondPlace(of address: PoolAddress) -> DevicePlace? {
    entries[segment(of: address)].secondPlace?
      .advanced(byBlocks: address.block & UInt64(blocks - 1))
  }

  // MARK: Changes

  private func willChange(_ segment: Int) {
    if isFreezing && frozen[UInt32(segment)] == nil {
      frozen[UInt32(segment)] = entries[segment]
    }
    dirtyPages.insert(UInt32(segment / FormatConstants.segmentsPerPage))
  }

  /// A segment changes its class; `partner` lends its place to a node segment.
  func setClass(_ segment: Int, _ newClass: SegmentClass, partner: Int?) {
    let old = entries[segment]
    precondition(old.segmentClass != newClass)
    precondition(old.segmentClass == .free || newClass == .free)
    precondition(segment != 0 || newClass == .node, "segment 0 is for nodes")
    willChange(segment)
    if old.segmentClass == .data { dataSegmentCount -= 1 }
    if newClass == .data { dataSegmentCount += 1 }
    var entry = SegmentEntry(place: old.place)
    entry.segmentClass = newClass
    // A checkpoint that counts nothing in a new data segment writes its line as it is.
    if newClass == .data { entry.freeUnits = UInt32(extents) }
    if let partner {
      precondition(newClass == .node)
      precondition(partner != 0)
      precondition(partner != segment)
      precondition(entries[partner].segmentClass == .free)
      willChange(partner)
      entry.secondPlace = entries[partner].place
      removeFree(partner)
      entries[partner] = SegmentEntry(place: nil)
      entries[partner].segmentClass = .lent
      unsafe places[partner] = 0
    }
    if old.segmentClass == .free && segment != 0 { removeFree(segment) }
    entries[segment] = entry
    if newClass == .free { insertFree(segment) }
  }

  private func countPossibleNodeSegments() {
    var total = 0
    var largest = 0
    for list in freeByDevice.values {
      total += list.count
      largest = max(largest, list.count)
    }
    possibleNodeSegments = total - min(total / 2, total - largest)
  }

  private func removeFree(_ segment: Int) {
    guard let device = entries[segment].place?.device.index,
      let at = freeByDevice[device]?.lastIndex(of: UInt32(segment))
    else { preconditionFailure("not a free segment") }
    freeByDevice[device]?.remove(at: at)
    countPossibleNodeSegments()
  }

  private func insertFree(_ segment: Int) {
    guard let device = entries[segment].place?.device.index else {
      preconditionFailure("a free segment has a place")
    }
    let list = freeByDevice[device] ?? []
    var at = 0
    var end = list.count
    while at < end {
      let middle = (at + end) / 2
      if list[middle] > UInt32(segment) { at = middle + 1 } else { end = middle }
    }
    freeByDevice[device, default: []].insert(UInt32(segment), at: at)
    countPossibleNodeSegments()
  }

  // MARK: Checkpoints

  /// The line as of the cut.
  func imageEntry(_ segment: Int) -> SegmentEntry { frozen[UInt32(segment)] ?? entries[segment] }

  /// What the checkpoint itself learns of a segment goes into the image and stays true after it.
  func updateImage(_ segment: Int, _ change: (inout SegmentEntry) -> Void) {
    dirtyPages.insert(UInt32(segment / FormatConstants.segmentsPerPage))
    if var older = frozen[UInt32(segment)] {
      change(&older)
      frozen[UInt32(segment)] = older
    }
    change(&entries[segment])
  }

  func beginFreezing() { isFreezing = true }

  /// No image has any page yet: the first one gets them all.
  func needsEveryPage() {
    for page in 0...(count - 1) / FormatConstants.segmentsPerPage {
      dirtyPages.insert(UInt32(page))
    }
  }

  /// The pages that the image must encode anew; afterwards a page is dirty again only through
  /// changes that the image does not have.
  func takeDirtyPages() -> [UInt32] {
    let pages = dirtyPages.sorted()
    dirtyPages = Set(frozen.keys.map { $0 / UInt32(FormatConstants.segmentsPerPage) })
    return pages
  }

  func endFreezing() {
    isFreezing = false
    frozen.removeAll()
  }
}
