import BlockExport
import DiskFormat
public import DiskSimulation
import PoolCore
import StorageUnits
import VolumeEngine

extension CrashExpectation {
  /// Compares a server that has recovered with what must be there, and takes what was found as
  /// what there is. Returns what is wrong.
  public mutating func compare(
    with server: SimulatedServer, after ending: ReferenceModel.Ending
  ) -> [String] {
    changed()
    var problems = takeCreations(of: server)
    if !trashExpiry.alternatives.contains(server.pool.trashExpirySeconds) {
      problems.append("the trash is set to \(server.pool.trashExpirySeconds) seconds")
    }
    trashExpiry.settle(on: server.pool.trashExpirySeconds)
    // What was being emptied is not restored any more, and goes when it is looked at again.
    let going = model.volumeIDs.filter { model.existence(of: $0) == .perhaps }
    var known: Set<VolumeID> = []
    for id in model.volumeIDs {
      guard let slot = server.pool.volume(id), server.pool.record(of: slot).uuid == uuids[id]
      else {
        if model.existence(of: id) == .certain { problems.append("volume \(name(id)) is lost") }
        model.settle(id, exists: false)
        facts[id] = nil
        continue
      }
      known.insert(id)
      problems += compare(id, slot, with: server, after: ending)
    }
    for id in server.pool.volumeIDs where !known.contains(id) {
      guard let slot = server.pool.volume(id) else { continue }
      let name = server.pool.shownName(of: slot)
      problems.append(
        wasAskedFor(server.pool.record(of: slot).uuid)
          ? "volume \(name) should not be there" : "volume \(name) was made up")
    }
    let served = known.count { isServed($0) }
    for id in trashItems {
      let hasExpired = expiries[id].map { $0 <= wallSeconds } ?? false
      if hasExpired || isShortOfSpace || going.contains(id) { mayGo(id) }
    }
    if server.engine.exportNames().count != served {
      problems.append("\(server.engine.exportNames().count) volumes are served, not \(served)")
    }
    return problems
  }

  /// For people.
  private func name(_ id: VolumeID) -> String {
    let own = facts[id]?.certain.name ?? "\(id.number)"
    guard let origin = origins[id] else { return own }
    return "\(facts[origin]?.certain.name ?? "\(origin.number)")@\(own)"
  }

  /// Looks which creations that were not answered have taken place, before anything is settled.
  private mutating func takeCreations(of server: SimulatedServer) -> [String] {
    var problems: [String] = []
    let pool = server.pool
    var ids: [StorageUUID: VolumeID] = [:]
    for id in pool.volumeIDs {
      if let slot = pool.volume(id) { ids[pool.record(of: slot).uuid] = id }
    }
    for (_, group) in creationsInFlight.sorted(by: { $0.key < $1.key }) {
      let found = group.map { ids[$0.uuid] }
      let count = found.count { $0 != nil }
      if count > 0 && count < group.count {
        problems.append("of a group of \(group.count) snapshots \(count) are there")
      }
      for (creation, id) in zip(group, found) {
        if let volume = creation.endsReceiveOf, let slot = pool.volume(volume),
          pool.record(of: slot).isReceiving != (id == nil)
        {
          problems.append("what was received is there, and is still being received, or neither")
        }
        guard let id, let slot = pool.volume(id) else { continue }
        var creation = creation
        let found = VolumeFacts(of: slot, in: pool)
        if creation.fits(found) { creation.facts = found }
        created(id, creation)
      }
    }
    creationsInFlight = [:]
    return problems
  }

  private mutating func compare(
    _ id: VolumeID, _ slot: VolumeSlot, with server: SimulatedServer,
    after ending: ReferenceModel.Ending
  ) -> [String] {
    let found = VolumeFacts(of: slot, in: server.pool)
    var problems: [String] = []
    let name = server.pool.shownName(of: slot)
    let expected = facts[id]?.alternatives ?? []
    let fitting = expected.filter { $0.facts == found }
    if fitting.isEmpty {
      problems.append("volume \(name) is \(found), not one of \(expected.map(\.facts))")
    }
    if sizes[id]?.contains(found.sizeBytes) != true {
      problems.append("volume \(name) has a size that nobody asked for")
    }
    if server.pool.record(of: slot).isReadOnly != model.isSnapshot(id) {
      problems.append("volume \(name): wrong about being read-only")
    }
    let fates = model.fates(of: id).filter { fate in
      fitting.isEmpty
        || fitting.contains { fate == .certain || fate.isReplaced == $0.isReplaced }
    }
    problems += compareContents(of: id, found, fates, with: server, after: ending)
    facts[id]?.settle(on: found)
    model.settle(id, exists: true, sizeBytes: found.sizeBytes)
    let isThere = server.engine.export(named: name)?.volume == id
    let isInTrash = server.pool.isInTrash(slot)
    if isThere != (!isInTrash && !found.isReceiving) {
      problems.append("volume \(name): served is \(isThere)")
    }
    return problems
  }

  private mutating func compareContents(
    of id: VolumeID, _ found: VolumeFacts, _ fates: [ReferenceModel.Fate],
    with server: SimulatedServer, after ending: ReferenceModel.Ending
  ) -> [String] {
    var problems: [String] = []
    var read: [(window: Range<UInt64>, bytes: [UInt8])] = []
    for window in windowsToCompare(id, sizeBytes: found.sizeBytes) {
      if let bytes = server.contents(of: id, sectors: window) {
        read.append((window, bytes))
      } else {
        problems.append("volume \(id.number): cannot be read")
      }
    }
    let violations = fates.map { fate in
      read.flatMap { window, bytes in
        unsafe bytes.withUnsafeBytes {
          unsafe model.checkRecovered(
            id, firstSector: window.lowerBound, bytes: $0, after: ending, fate)
        }
      }
    }
    if let fewest = violations.min(by: { $0.count < $1.count }) {
      problems += fewest.prefix(3).map(\.description)
    }
    for name in found.bookmarks.sorted() {
      problems += checkBookmark(name, of: id, read, with: server)
    }
    for (window, bytes) in read {
      unsafe bytes.withUnsafeBytes {
        unsafe model.settle(id, firstSector: window.lowerBound, bytes: $0)
      }
    }
    return problems
  }

  /// Where hosts write now, and what they have written elsewhere when the volume had another size.
  private func windowsToCompare(_ id: VolumeID, sizeBytes: UInt64) -> [Range<UInt64>] {
    var windows = Self.windows(sizeBytes: sizeBytes)
    let regular = windows
    for sector in model.touchedSectors(of: id) {
      if sector * 512 >= sizeBytes || regular.contains(where: { $0.contains(sector) }) { continue }
      if let last = windows.last, last.upperBound == sector, windows.count > regular.count,
        last.count < 1000
      {
        windows[windows.count - 1] = last.lowerBound..<sector + 1
      } else {
        windows.append(sector..<sector + 1)
      }
    }
    return windows
  }

  // MARK: Bookmarks

  /// What a bookmark says has changed includes everything that has.
  private func checkBookmark(
    _ name: String, of id: VolumeID, _ read: [(window: Range<UInt64>, bytes: [UInt8])],
    with server: SimulatedServer
  ) -> [String] {
    guard let base = bookmarkBases[id]?[name] else { return ["a bookmark \(name) of nobody"] }
    switch server.changes(of: id, since: name) {
    case .failure(.invalidRequest) where rolledBack.contains(id): return []
    case .failure(.inputOutput): return ["volume \(id.number)#\(name): cannot be read"]
    case .failure(let error): return ["volume \(id.number)#\(name): no changes, \(error)"]
    case .success(let ranges):
      for (window, bytes) in read {
        for sector in window {
          let at = Int(sector - window.lowerBound) * 512
          let version = unsafe bytes.withUnsafeBytes {
            unsafe ReferenceModel.version(at: at, of: $0)
          }
          guard base.differs(sector, version) else { continue }
          if !ranges.contains(where: { $0.offset <= sector * 512 && sector * 512 < $0.end }) {
            return ["volume \(id.number) sector \(sector): bookmark \(name) misses its change"]
          }
        }
      }
      return []
    }
  }
}
