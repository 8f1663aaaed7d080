import DiskSimulation

/// The devices at one moment: what is surely there, and the writes that a crash may keep, lose or
/// tear. From it any legal state can be told by its fingerprint, or made.
struct CrashScene {
  /// What surely stays, by device.
  let bases: [SparseBytes]
  private(set) var writes: [Write] = []
  /// The pages that the writes touch.
  private(set) var pages: [Page] = []
  /// Where a page is in `pages`.
  private var index: [PageKey: Int] = [:]
  /// Writes beyond those that a choice has bits for; they are taken as kept.
  private(set) var unchoosable = 0
  private let baseFingerprint: UInt64
  private let baseTableFingerprint: UInt64

  static let mostWrites = 60

  struct PageKey: Hashable {
    var device: Int
    var page: UInt64
  }

  struct Write {
    var device: Int
    var firstPage: UInt64
    /// In units of 512 bytes.
    var sectorCount: Int
    /// What is torn wherever a device can tear it, or at one place in each block: see `tornForms`.
    var isHostData: Bool
    var atomSectors: Int
  }

  struct Page {
    var key: PageKey
    var base: StoredPage?
    var baseShare: UInt64
    /// The writes that touch it, in the order in which they land.
    var layers: [Layer] = []
  }

  struct Layer {
    var write: Int
    /// The page's place in the write.
    var position: Int
    var contents: StoredPage?
    var share: UInt64
  }

  /// `pending`: in the order in which they land, by device.
  init(bases: [SparseBytes], pending: [[PendingWrite]], atomSectors: [Int]) {
    var bases = bases
    let total = pending.reduce(0) { $0 + $1.count }
    unchoosable = max(0, total - Self.mostWrites)
    var skipped = 0
    var chosen: [(device: Int, write: PendingWrite)] = []
    for (device, list) in pending.enumerated() {
      for write in list {
        if skipped < unchoosable {
          skipped += 1
          for i in write.pages.indices {
            bases[device][write.firstPage + UInt64(i)] = write.pages[i]
          }
        } else {
          chosen.append((device, write))
        }
      }
    }
    self.bases = bases
    baseFingerprint = Self.combine(bases.map(\.fingerprint))
    baseTableFingerprint = Self.combine(bases.map(\.tableFingerprint))
    for (device, write) in chosen { add(write, on: device, atomSectors: atomSectors[device]) }
  }

  private mutating func add(_ write: PendingWrite, on device: Int, atomSectors: Int) {
    writes.append(
      Write(
        device: device, firstPage: write.firstPage,
        sectorCount: write.pages.count * StoredPage.sectorCount,
        isHostData: write.pages.allSatisfy { $0?.isHostData ?? true }, atomSectors: atomSectors))
    for (position, contents) in write.pages.enumerated() {
      let key = PageKey(device: device, page: write.firstPage + UInt64(position))
      let at: Int
      if let known = index[key] {
        at = known
      } else {
        at = pages.count
        index[key] = at
        let base = bases[device][key.page]
        pages.append(
          Page(key: key, base: base, baseShare: Self.share(of: base, at: key)))
      }
      pages[at].layers.append(
        Layer(
          write: writes.count - 1, position: position, contents: contents,
          share: Self.share(of: contents, at: key)))
    }
  }

  /// Tells scenes apart: what is sure, and what may come in which order.
  var identity: UInt64 {
    var hash = baseFingerprint
    for page in pages {
      var one = SeededRandom.mix(page.key.page &+ UInt64(page.key.device) << 60)
      for layer in page.layers { one = SeededRandom.mix(one ^ layer.share ^ UInt64(layer.write)) }
      hash &+= one
    }
    return SeededRandom.mix(hash &+ UInt64(writes.count))
  }

  // MARK: Fingerprints

  /// Devices weigh differently: the same page on another device is another state.
  private static func weight(_ device: Int) -> UInt64 {
    UInt64(2 * device + 1) &* 0xD6E8_FEB8_6659_FD93
  }

  private static func combine(_ fingerprints: [UInt64]) -> UInt64 {
    var sum: UInt64 = 0
    for (device, one) in fingerprints.enumerated() { sum &+= one &* weight(device) }
    return sum
  }

  private static func share(of contents: StoredPage?, at key: PageKey) -> UInt64 {
    SparseBytes.share(ofPage: key.page, contents) &* weight(key.device)
  }

  struct Fingerprints: Hashable {
    var whole: UInt64
    /// Of everything that a start reads: host data left out.
    var tables: UInt64
  }

  func fingerprints(of choice: CrashChoice) -> Fingerprints {
    var result = Fingerprints(whole: baseFingerprint, tables: baseTableFingerprint)
    for page in pages {
      let now: StoredPage?
      let share: UInt64
      if choice.torn.isEmpty {
        guard let layer = page.layers.last(where: { choice.kept >> UInt64($0.write) & 1 == 1 })
        else { continue }
        now = layer.contents
        share = layer.share
      } else {
        now = contents(of: page, choice)
        share = Self.share(of: now, at: page.key)
      }
      result.whole = result.whole &- page.baseShare &+ share
      if page.base?.isHostData == false { result.tables &-= page.baseShare }
      if now?.isHostData == false { result.tables &+= share }
    }
    return result
  }

  // MARK: Contents

  private func contents(of page: Page, _ choice: CrashChoice) -> StoredPage? {
    var now = page.base
    for layer in page.layers {
      if choice.kept >> UInt64(layer.write) & 1 == 1 {
        now = layer.contents
        continue
      }
      for torn in choice.torn where torn.write == layer.write {
        now = Self.tear(now, layer, torn)
      }
    }
    return now
  }

  /// A page over which a torn write went.
  private static func tear(
    _ old: StoredPage?, _ layer: Layer, _ torn: TornWrite
  ) -> StoredPage? {
    let first = layer.position * StoredPage.sectorCount
    // Holes are whole blocks, so that what is kept of a page hangs together.
    let kept = (0..<StoredPage.sectorCount).filter { torn.keeps(first + $0) }
    guard let start = kept.first, let last = kept.last else { return old }
    if kept.count == StoredPage.sectorCount { return layer.contents }
    return StoredPage.mixing(old, layer.contents, start * 512..<(last + 1) * 512)
  }

  /// What a page holds in the state of `choice`.
  func contents(device: Int, page: UInt64, _ choice: CrashChoice) -> StoredPage? {
    guard let at = index[PageKey(device: device, page: page)] else { return bases[device][page] }
    return contents(of: pages[at], choice)
  }

  /// The devices' contents in the state of `choice`.
  func state(_ choice: CrashChoice) -> [SparseBytes] {
    var disks = bases
    for page in pages { disks[page.key.device][page.key.page] = contents(of: page, choice) }
    return disks
  }

  /// In how many ways a write can be torn. Host data: every prefix and every suffix. A table: at
  /// the boundaries of its blocks, and once inside each block, for a block whose checksum does not
  /// fit is as bad as any other; and with one of its inner blocks missing.
  func tornForms(of write: Int) -> [TornWrite] {
    let one = writes[write]
    let count = one.sectorCount
    var cuts: [Int] = []
    if one.isHostData {
      cuts = Array(stride(from: one.atomSectors, to: count, by: one.atomSectors))
    } else {
      let step = one.atomSectors < StoredPage.sectorCount ? 4 : StoredPage.sectorCount
      cuts = Array(stride(from: step, to: count, by: step))
    }
    var ranges = cuts.map { 0..<$0 }
    if one.isHostData || count > StoredPage.sectorCount { ranges += cuts.map { $0..<count } }
    var forms = ranges.map { TornWrite(write: write, sectors: $0) }
    if one.isHostData { return forms }
    let block = StoredPage.sectorCount
    for start in stride(from: block, to: count - block, by: block) {
      forms.append(TornWrite(write: write, sectors: start..<start + block, isHole: true))
    }
    return forms
  }
}
