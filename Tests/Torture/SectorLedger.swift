/// What each sector of one connection's part of a volume may hold after a crash: what it held when
/// it was last safe, or anything that was asked for later.
struct SectorLedger {
  /// What one request makes of the sectors; version 0 is zeros.
  struct Change {
    var number: UInt64
    var sectors: Range<Int>
    var version: UInt64
  }

  private struct Sector {
    /// Cannot be lost.
    var safe: UInt64 = 0
    /// Later changes, oldest first.
    var later: [(number: UInt64, version: UInt64)] = []
  }

  private var sectors: [Sector]
  private var lastNumber: UInt64 = 0

  init(count: Int) {
    sectors = Array(repeating: Sector(), count: count)
  }

  /// A new change, which has been asked for. Its number serves as the version of a write.
  mutating func begin(_ range: Range<Int>, isZero: Bool) -> Change {
    lastNumber += 1
    let change = Change(number: lastNumber, sectors: range, version: isZero ? 0 : lastNumber)
    for i in range { sectors[i].later.append((change.number, change.version)) }
    return change
  }

  /// The change cannot be lost any more, and with it nothing before it can come back.
  mutating func settle(_ change: Change) {
    for i in change.sectors {
      guard let at = sectors[i].later.firstIndex(where: { $0.number == change.number }) else {
        continue
      }
      sectors[i].safe = change.version
      sectors[i].later.removeFirst(at + 1)
    }
  }

  /// What a read of a running server gives.
  func current(_ i: Int) -> UInt64 { sectors[i].later.last?.version ?? sectors[i].safe }

  /// After a crash: nil if the sector may hold the version, and holds it from now on; else what it
  /// may hold.
  mutating func accept(_ version: UInt64?, at i: Int) -> String? {
    let sector = sectors[i]
    guard let version, version == sector.safe || sector.later.contains(where: { $0.1 == version })
    else {
      return "\(version.map(String.init) ?? "foreign or torn bytes"), not \(sector.safe)"
        + " or one of \(sector.later.map(\.version))"
    }
    sectors[i] = Sector(safe: version)
    return nil
  }
}

/// Where one connection works in its volume: a dense piece and extents that lie far apart, so that
/// there are overwrites, first writes and leaves of their own.
struct TorturePlaces {
  struct Piece {
    /// In bytes, from the volume's start.
    var offset: UInt64
    /// The numbers of its sectors in the ledger.
    var sectors: Range<Int>
  }

  static let spanBytes: UInt64 = 1 << 30
  private(set) var pieces: [Piece] = []
  private(set) var sectorCount = 0

  init(connection: Int) {
    let base = UInt64(connection) * Self.spanBytes
    add(base, bytes: 1 << 20)
    for n in 0..<24 as Range<UInt64> { add(base + (16 << 20) + n * 11_534_336, bytes: 65536) }
  }

  private mutating func add(_ offset: UInt64, bytes: Int) {
    let count = bytes / 512
    pieces.append(Piece(offset: offset, sectors: sectorCount..<sectorCount + count))
    sectorCount += count
  }
}
