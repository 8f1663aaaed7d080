import BlockExport
import DiskFormat
import DiskSimulation
import PoolCore
import PoolInspection
import StorageUnits
import VolumeEngine

/// What a start made of a crash state: which volumes there are and where each of their blocks lies.
///
/// A start reads tables alone, never what hosts wrote, and this is checked (`isShareable`). So two
/// crash states that agree in all tables are recovered to the same maps, and what their volumes
/// hold is told by looking up those places in the one and in the other.
struct RecoveredPool {
  var volumes: [Volume] = []
  /// In seconds.
  var trashExpiry: UInt32 = 0
  /// What is wrong with the pool, whatever its volumes hold.
  var problems: [String] = []
  /// The start and the inspections read nothing that hosts wrote: the result holds for every state
  /// with the same tables whose pages `zeroPages` are zeros.
  var isShareable = false
  var zeroPages: [[UInt64]] = []

  /// Of a large volume, so many sectors are looked at in each of a few places: those that hosts
  /// write in an exploration.
  private static let windowSectors: UInt64 = 128

  struct Volume: Equatable {
    var id: VolumeID
    var uuid: StorageUUID
    var facts: VolumeFacts
    /// By itself or with its volume.
    var isInTrash: Bool
    /// Where the blocks lie that do not read as zeros, in order.
    var mapped: [MappedBlock] = []
    /// What changed since each bookmark, in bytes; nil where that is not known.
    var changes: [String: [ChangedRange]?] = [:]
  }
  struct MappedBlock: Equatable {
    var block: Int
    /// The position of the device, and the page on it.
    var device: Int
    var page: UInt64
  }

  /// Takes down what `server`, which has just recovered from `crashed`, has. Every block is read
  /// through the engine as well.
  mutating func take(_ server: SimulatedServer, crashed: [SparseBytes]) {
    trashExpiry = server.pool.trashExpirySeconds
    var served = 0
    for id in server.pool.volumeIDs {
      guard let slot = server.pool.volume(id) else { continue }
      let facts = VolumeFacts(of: slot, in: server.pool)
      var volume = Volume(
        id: id, uuid: server.pool.record(of: slot).uuid, facts: facts,
        isInTrash: server.pool.isInTrash(slot))
      let name = server.pool.shownName(of: slot)
      let isServed = server.engine.export(named: name)?.volume == id
      if isServed { served += 1 }
      if isServed != (!volume.isInTrash && !facts.isReceiving) {
        problems.append("volume \(name): served is \(isServed)")
      }
      for window in CrashExpectation.windows(
        sizeBytes: facts.sizeBytes, longest: Self.windowSectors)
      {
        take(window, of: &volume, slot, server, crashed)
      }
      takeChanges(of: &volume, server)
      volumes.append(volume)
    }
    if server.engine.exportNames().count != served {
      problems.append("other volumes are served than there are")
    }
    volumes.sort { $0.id.number < $1.id.number }
  }

  private mutating func takeChanges(of volume: inout Volume, _ server: SimulatedServer) {
    for name in volume.facts.bookmarks {
      switch server.changes(of: volume.id, since: name) {
      case .success(let ranges): volume.changes[name] = .some(ranges)
      case .failure(.invalidRequest): volume.changes[name] = .some(nil)
      case .failure(let error):
        problems.append("what changed in \(volume.facts.name) since \(name): \(error)")
      }
    }
  }

  /// Takes down the blocks that lie wholly in a range of sectors, or at the volume's end.
  private mutating func take(
    _ window: Range<UInt64>, of volume: inout Volume, _ slot: VolumeSlot,
    _ server: SimulatedServer, _ crashed: [SparseBytes]
  ) {
    let first = Int((window.lowerBound + 7) / 8)
    let isLast = window.upperBound * 512 == volume.facts.sizeBytes
    let end = Int(isLast ? (window.upperBound + 7) / 8 : window.upperBound / 8)
    guard first < end else { return }
    let sectors = UInt64(first) * 8..<min(UInt64(end) * 8, volume.facts.sizeBytes / 512)
    guard let bytes = server.contents(of: volume.id, sectors: sectors) else {
      problems.append("volume \(volume.facts.name) cannot be read")
      return
    }
    for block in first..<end {
      let extent = VirtualExtent(index: UInt64(block / StorageSizes.blocksPerExtent))
      guard case .entry(let entry) = server.pool.lookup(slot, extent) else {
        problems.append("the map of volume \(volume.facts.name) is not in memory after it was read")
        return
      }
      let isOwed = server.pool.owedMask(slot, extent).contains(block & 15)
      if !isOwed, let place = server.place(of: block, entry) {
        volume.mapped.append(
          MappedBlock(block: block, device: place.device, page: place.page))
      }
    }
    compare(bytes, from: first, with: volume, crashed)
  }

  /// What the engine read must be what lies at the places in the crash state: recovery does not
  /// write there.
  private mutating func compare(
    _ bytes: [UInt8], from first: Int, with volume: Volume, _ crashed: [SparseBytes]
  ) {
    let end = first + (bytes.count + 4095) / 4096
    var next = volume.mapped.firstIndex { $0.block >= first } ?? volume.mapped.endIndex
    for block in first..<end {
      var stored: StoredPage?
      if next < volume.mapped.endIndex, volume.mapped[next].block == block {
        stored = crashed[volume.mapped[next].device][volume.mapped[next].page]
        next += 1
      }
      let start = (block - first) * 4096
      let count = min(4096, bytes.count - start)
      let isSame = unsafe bytes.withUnsafeBytes {
        unsafe StoredPage.matches(
          stored, UnsafeRawBufferPointer(rebasing: $0[start..<start + count]))
      }
      if !isSame {
        problems.append(
          "volume \(volume.facts.name) block \(block): not read from where the map says")
        return
      }
    }
  }

  // MARK: Judging

  /// What is wrong with a state whose pages `contents` gives; adds what its volumes hold to
  /// `fingerprint`.
  func violations(
    of expected: RecoverableState, _ fingerprint: inout UInt64,
    contents: (_ device: Int, _ page: UInt64) -> StoredPage?
  ) -> [String] {
    var found: [String] = []
    var known = 0
    if !expected.trashExpiries.contains(trashExpiry) {
      found.append("the trash is set to \(trashExpiry) seconds")
    }
    for volume in expected.volumes {
      guard let there = volumes.first(where: { $0.id == volume.id }) else {
        if volume.isCertain { found.append("volume \(volume.id.number) is lost") }
        continue
      }
      known += 1
      let fates = volume.fates.filter { $0.facts == there.facts }
      if fates.isEmpty {
        let expected = volume.fates.map { "\($0.facts)" }
        found.append("volume \(volume.id.number) is \(there.facts), not one of \(expected)")
        continue
      }
      check(there, fates.map(\.blocks), &found, &fingerprint, contents)
      checkBookmarks(of: there, volume, &found, contents)
    }
    for group in expected.creations {
      let there = group.map { creation in volumes.first { $0.uuid == creation.asked.uuid } }
      let count = there.count { $0 != nil }
      known += count
      if count > 0 && count < group.count {
        found.append("of a group of \(group.count) snapshots \(count) are there")
      }
      for (creation, volume) in zip(group, there) {
        if let receiver = volumes.first(where: { $0.id == creation.asked.endsReceiveOf }),
          receiver.facts.isReceiving != (volume == nil)
        {
          found.append("what was received is there, and is still being received, or neither")
        }
        guard let volume else { continue }
        if !creation.asked.fits(volume.facts) {
          found.append("volume \(volume.id.number) is \(volume.facts), not \(creation.asked.facts)")
        }
        check(volume, [creation.blocks], &found, &fingerprint, contents)
      }
    }
    if known != volumes.count {
      found.append("there are \(volumes.count) volumes, of which \(known) should be there")
    }
    return found
  }

  /// Holds a volume against each of its fates: one must fit.
  private func check(
    _ volume: Volume, _ fates: [[RecoverableState.Block]], _ found: inout [String],
    _ fingerprint: inout UInt64, _ contents: (_ device: Int, _ page: UInt64) -> StoredPage?
  ) {
    var fewest: [String]?
    for (i, fate) in fates.enumerated() {
      var problems: [String] = []
      // Of the contents, and so the same for each fate.
      var print = fingerprint
      check(volume, fate, &problems, &print, contents)
      if i == fates.count - 1 || problems.isEmpty { fingerprint = print }
      if problems.count < fewest?.count ?? .max { fewest = problems }
      if problems.isEmpty { break }
    }
    found += fewest ?? []
  }

  /// What a bookmark says has changed includes everything that has.
  private func checkBookmarks(
    of volume: Volume, _ expected: RecoverableState.Volume, _ found: inout [String],
    _ contents: (_ device: Int, _ page: UInt64) -> StoredPage?
  ) {
    for (name, changes) in volume.changes {
      guard let base = expected.bookmarks[name] else {
        found.append("a bookmark \(name) of nobody")
        continue
      }
      guard let changes else {
        if !expected.wasRolledBack { found.append("bookmark \(name) knows of no changes") }
        continue
      }
      var pages = Dictionary(uniqueKeysWithValues: volume.mapped.map { ($0.block, $0) })
      for sector in base.versions.keys where pages[Int(sector / 8)] == nil {
        pages[Int(sector / 8)] = MappedBlock(block: Int(sector / 8), device: -1, page: 0)
      }
      for (block, place) in pages.sorted(by: { $0.key < $1.key }) {
        if changes.contains(where: { $0.offset <= block << 12 && block << 12 < $0.end }) {
          continue
        }
        let page = place.device < 0 ? nil : contents(place.device, place.page)
        for sector in 0..<StoredPage.sectorCount {
          let number = UInt64(block * StoredPage.sectorCount + sector)
          guard number * 512 < volume.facts.sizeBytes,
            base.differs(number, Self.version(page, sector, number))
          else { continue }
          found.append(
            "volume \(volume.id.number) sector \(number): bookmark \(name) misses its change")
          return
        }
      }
    }
  }

  /// Goes through the blocks that are mapped and those of which something is expected, in order.
  private func check(
    _ volume: Volume, _ expected: [RecoverableState.Block], _ found: inout [String],
    _ fingerprint: inout UInt64, _ contents: (_ device: Int, _ page: UInt64) -> StoredPage?
  ) {
    fingerprint = SeededRandom.mix(
      fingerprint ^ volume.id.number ^ volume.facts.fingerprint &* 3)
    var m = 0
    var e = 0
    while m < volume.mapped.count || e < expected.count {
      let mappedBlock = m < volume.mapped.count ? volume.mapped[m].block : .max
      let expectedBlock = e < expected.count ? expected[e].block : .max
      let block = min(mappedBlock, expectedBlock)
      var page: StoredPage?
      if mappedBlock == block {
        page = contents(volume.mapped[m].device, volume.mapped[m].page)
        m += 1
      }
      var allowed: [[UInt64]]?
      if expectedBlock == block {
        allowed = expected[e].sectors
        e += 1
      }
      if let page { fingerprint &+= SeededRandom.mix(page.hash ^ UInt64(block)) }
      if let problem = Self.problem(volume, block, page, allowed) { found.append(problem) }
    }
  }

  private static func problem(
    _ volume: Volume, _ block: Int, _ page: StoredPage?, _ allowed: [[UInt64]]?
  ) -> String? {
    if page == nil && allowed == nil { return nil }
    for sector in 0..<StoredPage.sectorCount {
      let number = UInt64(block * StoredPage.sectorCount + sector)
      if number * 512 >= volume.facts.sizeBytes { break }
      let version = version(page, sector, number)
      if let version, allowed?[sector].contains(version) ?? (version == 0) { continue }
      let what = page.map { $0.sectors.isEmpty ? "garbage" : "\($0.sectors[sector])" } ?? "zeros"
      return "volume \(volume.id.number) sector \(number): found \(what), "
        + "allowed \(allowed?[sector] ?? [0])"
    }
    return nil
  }

  /// The version that a sector holds, 0 for zeros; nil if it is not this sector's. A version
  /// belongs to one write, and so tells the volume as well.
  private static func version(
    _ page: StoredPage?, _ sector: Int, _ number: UInt64
  ) -> UInt64? {
    guard let page else { return 0 }
    guard !page.sectors.isEmpty else { return nil }
    switch page.sectors[sector] {
    case .zeros: return 0
    case .stamped(let stamp):
      return stamp.sector == number ? stamp.version : nil
    case .garbage: return nil
    }
  }
}
