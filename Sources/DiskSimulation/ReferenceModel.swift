public import StorageUnits

/// What volumes must hold, sector by sector, kept beside an engine under test.
///
/// The harness tells it what it issues and what was answered; after a crash and recovery it asks
/// whether each sector holds its last flushed value or a later issued one (FUA counts as flushed),
/// or, after the mere death of the process, every answered write. Contents are `StampedSector`s,
/// so that a byte of another volume, another place or an older time is told apart.
public struct ReferenceModel {
  /// Names an operation that was issued and not answered yet.
  public struct Operation: Hashable, Sendable {
    public let volume: VolumeID
    /// In sectors of 512 bytes.
    public let sectors: Range<UInt64>
    /// The tick at which it was issued; for writes also the version of its stamps.
    public let issued: UInt64
  }

  /// A sector that holds what it must not.
  public struct Violation: Hashable, Sendable, CustomStringConvertible {
    public var volume: VolumeID
    public var sector: UInt64
    public var found: SectorContents
    /// Versions; 0 is zeros.
    public var allowed: [UInt64]
    public var description: String {
      "volume \(volume.number) sector \(sector): found \(found), allowed versions \(allowed)"
    }
  }

  /// How the last run of the server ended.
  public enum Ending: Hashable, Sendable { case powerCut, processDeath }

  /// What is known of the existence of a volume.
  public enum Existence: Hashable, Sendable { case certain, perhaps, none }

  struct Volume {
    var sizeBytes: UInt64
    var existence: Existence
    /// It never changes again.
    var isSnapshot = false
    /// The rollback or resize of which nothing is known yet.
    var replacement: Replacement?
    var histories: [UInt64: SectorHistory] = [:]
    /// Sectors with a version that is not durable: what a flush has to look at.
    var undurable: Set<UInt64> = []
  }

  /// The volume gets other contents and another size, or does not.
  struct Replacement {
    var issued: UInt64
    /// Sectors from this one on are replaced.
    var from: UInt64
    var sizeBytes: UInt64
  }

  var volumes: [VolumeID: Volume] = [:]
  private var tick: UInt64 = 0
  private(set) var readers: Set<UInt64> = []
  /// The volume that each version was written to.
  private var writers: [UInt64: VolumeID] = [:]
  /// Counts what the model was told: as long as it stands still, so does what may be found.
  public internal(set) var changes: UInt64 = 0

  public init() {}

  mutating func nextTick() -> UInt64 {
    changes += 1
    tick += 1
    return tick
  }

  // MARK: Volumes

  /// A create was issued: the volume may exist, empty.
  public mutating func volumeCreateIssued(_ id: VolumeID, sizeBytes: UInt64) {
    changes += 1
    volumes[id] = Volume(sizeBytes: sizeBytes, existence: .perhaps)
  }

  /// A create is answered: the volume exists whatever happens.
  public mutating func volumeCreated(_ id: VolumeID, sizeBytes: UInt64) {
    changes += 1
    volumes[id] = Volume(sizeBytes: sizeBytes, existence: .certain)
  }

  /// A delete was issued: the volume may be gone.
  public mutating func volumeDeleteIssued(_ id: VolumeID) {
    changes += 1
    volumes[id]?.existence = .perhaps
  }

  /// A delete was refused: the volume is there as before.
  public mutating func volumeDeleteRefused(_ id: VolumeID) {
    changes += 1
    volumes[id]?.existence = .certain
  }

  /// A delete is answered: the volume is gone whatever happens.
  public mutating func volumeDeleted(_ id: VolumeID) {
    changes += 1
    volumes[id]?.existence = .none
  }

  public func existence(of id: VolumeID) -> Existence { volumes[id]?.existence ?? .none }

  /// Volumes that exist or may exist, in order.
  public var volumeIDs: [VolumeID] {
    volumes.filter { $0.value.existence != .none }.keys.sorted()
  }

  public func sizeBytes(of id: VolumeID) -> UInt64 { volumes[id]?.sizeBytes ?? 0 }

  /// Sectors of which more is known than that nobody wrote them, in order.
  public func touchedSectors(of id: VolumeID) -> [UInt64] {
    volumes[id]?.histories.keys.sorted() ?? []
  }

  // MARK: Operations

  /// A write is issued; its stamps carry `issued` as version (`stamp`). With `isZeros` it writes
  /// zeros.
  public mutating func issueWrite(
    _ volume: VolumeID, sectors: Range<UInt64>, isZeros: Bool = false
  ) -> Operation {
    issue(volume, sectors, zeros: isZeros, optional: nil)
  }

  /// Write-zeroes, with or without NO_HOLE.
  public mutating func issueWriteZeroes(_ volume: VolumeID, sectors: Range<UInt64>) -> Operation {
    issue(volume, sectors, zeros: true, optional: nil)
  }

  /// A discard: whole blocks of 4 KiB become zeros; parts of a block may stay as they are.
  public mutating func issueDiscard(_ volume: VolumeID, sectors: Range<UInt64>) -> Operation {
    let whole =
      (sectors.lowerBound + 7) / 8
      * 8..<max(
        (sectors.lowerBound + 7) / 8 * 8, sectors.upperBound / 8 * 8)
    return issue(volume, sectors, zeros: true, optional: whole)
  }

  private mutating func issue(
    _ volume: VolumeID, _ sectors: Range<UInt64>, zeros: Bool, optional whole: Range<UInt64>?
  ) -> Operation {
    let time = nextTick()
    if !zeros { writers[time] = volume }
    for sector in sectors {
      let isOptional = whole.map { !$0.contains(sector) } ?? false
      let untouched = volumes[volume]?.untouched(sector) ?? SectorHistory()
      volumes[volume]?.histories[sector, default: untouched].issue(
        zeros ? 0 : time, at: time, isOptional: isOptional)
      volumes[volume]?.undurable.insert(sector)
    }
    return Operation(volume: volume, sectors: sectors, issued: time)
  }

  /// Fills `buffer` with the stamps of a write: 512 bytes a sector.
  public static func stamp(_ operation: Operation, into buffer: UnsafeMutableRawBufferPointer) {
    precondition(buffer.count == operation.sectors.count * 512)
    for (i, sector) in operation.sectors.enumerated() {
      unsafe StampedSector(volume: operation.volume, sector: sector, version: operation.issued)
        .write(into: .init(rebasing: buffer[i * 512..<i * 512 + 512]))
    }
  }

  /// The host has its answer. `isDurable`: the request carried FUA.
  public mutating func answered(_ operation: Operation, isDurable: Bool = false) {
    let time = nextTick()
    let oldest = readers.min() ?? .max
    for sector in operation.sectors {
      volumes[operation.volume]?.histories[sector]?.answer(
        issued: operation.issued, at: time, isDurable: isDurable)
      volumes[operation.volume]?.histories[sector]?.prune(oldestReader: oldest)
    }
  }

  /// The host was given an error: parts may have taken place.
  public mutating func failed(_ operation: Operation) {
    let time = nextTick()
    for sector in operation.sectors {
      volumes[operation.volume]?.histories[sector]?.fail(issued: operation.issued, at: time)
    }
  }

  /// A flush arrives at the engine. Give the result to `flushed`.
  public mutating func issueFlush() -> UInt64 { nextTick() }

  /// The flush that arrived at `arrival` was answered. One flush covers all volumes that were
  /// flushed by it: `volume` nil means every one.
  public mutating func flushed(_ volume: VolumeID?, arrival: UInt64) {
    changes += 1
    let oldest = readers.min() ?? .max
    for id in volumes.keys where volume == nil || volume == id {
      guard var entry = volumes[id] else { continue }
      volumes[id] = nil
      for sector in entry.undurable {
        guard var history = entry.histories[sector] else { continue }
        history.flush(arrival: arrival)
        history.prune(oldestReader: oldest)
        entry.histories[sector] = history
        if history.isDurable { entry.undurable.remove(sector) }
      }
      volumes[id] = entry
    }
  }

  /// A read is issued. Give the result to `checkRead`.
  public mutating func issueRead() -> UInt64 {
    let time = nextTick()
    readers.insert(time)
    return time
  }

  /// A read issued at `issued` was answered with `bytes`: what is wrong with them.
  public mutating func checkRead(
    _ volume: VolumeID, firstSector: UInt64, bytes: UnsafeRawBufferPointer, issued: UInt64
  ) -> [Violation] {
    readers.remove(issued)
    return unsafe check(volume, firstSector, bytes) { $0.readable(issued: issued) }
  }

  /// The versions that a read issued at `issued` may find in each sector; sectors that are not
  /// listed hold zeros. In no particular order.
  public func readable(
    _ volume: VolumeID, issued: UInt64
  ) -> [(sector: UInt64, versions: [UInt64])] {
    volumes[volume]?.histories.map { ($0.key, $0.value.readable(issued: issued)) } ?? []
  }

  /// A read failed or was never answered.
  public mutating func readEnded(issued: UInt64) { readers.remove(issued) }

  // MARK: After a crash

  /// What may have become of a volume as a whole: a rollback or resize that was not answered has
  /// taken place or has not. Each is to be tried, and one must fit.
  public func fates(of volume: VolumeID) -> [Fate] {
    guard let time = volumes[volume]?.replacement?.issued else { return [.certain] }
    return [.replaced(false, at: time), .replaced(true, at: time)]
  }

  /// The size that goes with a fate.
  public func sizeBytes(of id: VolumeID, _ fate: Fate) -> UInt64 {
    if case .replaced(true, _) = fate, let replacement = volumes[id]?.replacement {
      return replacement.sizeBytes
    }
    return sizeBytes(of: id)
  }

  /// What is wrong with `bytes`, read from `firstSector` on after the recovery from `ending`.
  public func checkRecovered(
    _ volume: VolumeID, firstSector: UInt64, bytes: UnsafeRawBufferPointer, after ending: Ending,
    _ fate: Fate = .certain
  ) -> [Violation] {
    unsafe check(volume, firstSector, bytes) { fate.contents(of: $0, after: ending) }
  }

  /// The versions that each sector of a volume may hold after the recovery from `ending`; sectors
  /// that are not listed hold zeros. In no particular order.
  public func recoverable(
    _ volume: VolumeID, after ending: Ending, _ fate: Fate = .certain
  ) -> [(sector: UInt64, versions: [UInt64])] {
    guard let volume = volumes[volume] else { return [] }
    return volume.histories.map { ($0.key, fate.contents(of: $0.value, after: ending)) }
  }

  /// After recovery, what was found is what there is: nothing else can come back. Call it for the
  /// whole of each volume, then go on with the next history.
  public mutating func settle(
    _ volume: VolumeID, firstSector: UInt64, bytes: UnsafeRawBufferPointer
  ) {
    let time = nextTick()
    for i in 0..<bytes.count / 512 {
      let sector = firstSector + UInt64(i)
      guard volumes[volume]?.histories[sector] != nil else { continue }
      let contents = unsafe StampedSector.read(.init(rebasing: bytes[i * 512..<i * 512 + 512]))
      volumes[volume]?.histories[sector]?.settle(on: Self.version(contents) ?? 0, at: time)
    }
  }

  /// Forgets sectors that hold zeros whatever happens: they are as if they had never been written.
  public mutating func forgetZeros() {
    changes += 1
    for id in volumes.keys {
      guard let histories = volumes[id]?.histories else { continue }
      volumes[id]?.histories = histories.filter { !$0.value.isZerosForSure }
      volumes[id]?.undurable = []
    }
  }

  /// After recovery, whether a volume that may have been deleted is there, and the size that it
  /// has: nothing is left beyond it.
  public mutating func settle(_ volume: VolumeID, exists: Bool, sizeBytes: UInt64? = nil) {
    let time = nextTick()
    volumes[volume]?.existence = exists ? .certain : .none
    volumes[volume]?.replacement = nil
    readers = []
    guard let sizeBytes else { return }
    volumes[volume]?.sizeBytes = sizeBytes
    changeHistories(of: volume, from: sizeBytes / 512) { $0.settle(on: 0, at: time) }
  }

  // MARK: Checking

  private func check(
    _ volume: VolumeID, _ firstSector: UInt64, _ bytes: UnsafeRawBufferPointer,
    allowed: (SectorHistory) -> [UInt64]
  ) -> [Violation] {
    var violations: [Violation] = []
    for i in 0..<bytes.count / 512 {
      let sector = firstSector + UInt64(i)
      let found = unsafe StampedSector.read(.init(rebasing: bytes[i * 512..<i * 512 + 512]))
      let versions = volumes[volume]?.histories[sector].map(allowed) ?? [0]
      // A snapshot or clone holds what another volume was given: the version tells whose it is.
      var isRight = Self.version(found).map { versions.contains($0) } ?? false
      if case .stamped(let stamp) = found,
        stamp.volume != writers[stamp.version] || stamp.sector != sector
      {
        isRight = false
      }
      if !isRight {
        violations.append(
          Violation(volume: volume, sector: sector, found: found, allowed: versions))
      }
    }
    return violations
  }

  /// The version of the sector at a byte; 0 for zeros, nil for what nobody wrote.
  public static func version(at byte: Int, of bytes: UnsafeRawBufferPointer) -> UInt64? {
    version(unsafe StampedSector.read(.init(rebasing: bytes[byte..<byte + 512])))
  }

  static func version(_ contents: SectorContents) -> UInt64? {
    switch contents {
    case .zeros: 0
    case .stamped(let stamp): stamp.version
    case .garbage: nil
    }
  }
}
