public import StorageUnits

/// Snapshots, clones, rollbacks and resizes.
///
/// A snapshot is cut at one instant between its request and its answer: it holds every write that
/// was answered before the request and none that was issued after the answer. It is durable when it
/// is answered, with all that it holds, and never changes. Until then it is there wholly or not at
/// all, and so are several that were asked for together.
extension ReferenceModel {
  /// What became of a volume as a whole.
  public enum Fate: Hashable, Sendable {
    case certain
    /// Whether the rollback or resize that was issued at `at` took place.
    case replaced(Bool, at: UInt64)

    public var isReplaced: Bool {
      if case .replaced(let isReplaced, _) = self { return isReplaced }
      return false
    }

    func contents(of history: SectorHistory, after ending: Ending) -> [UInt64] {
      switch self {
      case .certain: history.after(ending)
      case .replaced(let isReplaced, let time):
        history.after(ending, replacedAt: time, isReplaced: isReplaced)
      }
    }
  }

  public func isSnapshot(_ id: VolumeID) -> Bool { volumes[id]?.isSnapshot ?? false }

  // MARK: Snapshots and clones

  /// A snapshot or clone is asked for, or several snapshots together: what its source holds from
  /// now on is kept in mind. `branchEnded` follows.
  public mutating func issueBranch() -> UInt64 { issueRead() }

  /// No more is asked about what was issued at `issued`.
  public mutating func branchEnded(issued: UInt64) { readEnded(issued: issued) }

  /// The snapshot or clone that was asked for at `issued` exists whatever happens. `sizeBytes`:
  /// that of its source then; nil: as it is now.
  public mutating func branched(
    _ id: VolumeID, of source: VolumeID, issued: UInt64, isSnapshot: Bool,
    sizeBytes: UInt64? = nil
  ) {
    let time = nextTick()
    let size = sizeBytes ?? self.sizeBytes(of: source)
    var volume = Volume(sizeBytes: size, existence: .certain)
    volume.isSnapshot = isSnapshot
    for (sector, versions) in branchContents(of: source, issued: issued) where sector < size / 512 {
      volume.histories[sector] = SectorHistory(oneOf: versions, at: time)
    }
    volumes[id] = volume
  }

  /// The versions that each sector of a snapshot or clone may hold that was asked for at `issued`;
  /// sectors that are not listed hold zeros. In no particular order.
  public func branchContents(
    of source: VolumeID, issued: UInt64
  ) -> [(sector: UInt64, versions: [UInt64])] {
    guard let source = volumes[source] else { return [] }
    return source.histories.compactMap { sector, history in
      let versions = Set(history.readable(issued: issued)).sorted()
      return versions == [0] ? nil : (sector, versions)
    }
  }

  /// Narrows `instant`, the ticks between which snapshots were cut together, by what one of them
  /// holds from `firstSector` on; nothing is left of it if there was no such instant. To be called
  /// before `branchEnded`.
  public func narrow(
    _ instant: inout Range<UInt64>, by bytes: UnsafeRawBufferPointer, firstSector: UInt64,
    of source: VolumeID
  ) {
    for i in 0..<bytes.count / 512 {
      guard let history = volumes[source]?.histories[firstSector + UInt64(i)] else { continue }
      let contents = unsafe StampedSector.read(.init(rebasing: bytes[i * 512..<i * 512 + 512]))
      guard let version = Self.version(contents) else { continue }
      instant = instant.clamped(to: history.life(of: version))
    }
  }

  // MARK: Rollback and resize

  /// A rollback is asked for: the volume may have the snapshot's content and size from now on. At
  /// most one replacement of a volume is on its way at a time.
  public mutating func issueRollback(of volume: VolumeID, to snapshot: VolumeID) -> UInt64 {
    let time = nextTick()
    let source = volumes[snapshot]?.histories ?? [:]
    precondition(volumes[volume]?.replacement == nil)
    let own = volumes[volume].map { Array($0.histories.keys) } ?? []
    for sector in Set(source.keys).union(own) {
      let contents = source[sector].map { Set($0.readable(issued: time)).sorted() } ?? [0]
      volumes[volume]?.histories[sector, default: SectorHistory()].replace(
        byOneOf: contents, at: time)
    }
    let size = sizeBytes(of: snapshot)
    volumes[volume]?.replacement = Replacement(issued: time, from: 0, sizeBytes: size)
    return time
  }

  /// Another size is asked for: what lies beyond a smaller one may be gone for ever from now on.
  public mutating func issueResize(of volume: VolumeID, to sizeBytes: UInt64) -> UInt64 {
    let time = nextTick()
    precondition(volumes[volume]?.replacement == nil)
    let isShrink = sizeBytes < self.sizeBytes(of: volume)
    let from = isShrink ? sizeBytes / 512 : UInt64.max
    if isShrink { changeHistories(of: volume, from: from) { $0.replace(byOneOf: [0], at: time) } }
    volumes[volume]?.replacement = Replacement(issued: time, from: from, sizeBytes: sizeBytes)
    return time
  }

  /// The rollback or resize that was issued at `issued` is answered: it holds whatever happens.
  public mutating func replaced(_ volume: VolumeID, issued: UInt64) {
    let time = nextTick()
    let oldest = readers.min() ?? .max
    guard let replacement = volumes[volume]?.replacement, replacement.issued == issued else {
      return
    }
    volumes[volume]?.sizeBytes = replacement.sizeBytes
    volumes[volume]?.replacement = nil
    changeHistories(of: volume, from: replacement.from) {
      $0.answer(issued: issued, at: time, isDurable: true)
      $0.prune(oldestReader: oldest)
    }
    // Whatever was answered beyond the end went with it.
    changeHistories(of: volume, from: replacement.sizeBytes / 512) {
      $0.cutOff(issued: issued, at: time)
      $0.prune(oldestReader: oldest)
    }
  }

  /// The rollback or resize that was issued at `issued` was refused: nothing has changed.
  public mutating func replacementRefused(_ volume: VolumeID, issued: UInt64) {
    changes += 1
    volumes[volume]?.replacement = nil
    changeHistories(of: volume, from: 0) { $0.withdraw(issued: issued) }
  }

  /// A rollback or resize of the volume is on its way.
  public func isBeingReplaced(_ volume: VolumeID) -> Bool {
    volumes[volume]?.replacement != nil
  }

  /// The size that the rollback or resize on its way would give the volume.
  public func sizeAfterReplacement(of volume: VolumeID) -> UInt64? {
    volumes[volume]?.replacement?.sizeBytes
  }

  mutating func changeHistories(
    of volume: VolumeID, from first: UInt64, _ change: (inout SectorHistory) -> Void
  ) {
    guard let sectors = volumes[volume]?.histories.keys.filter({ first <= $0 }) else { return }
    for sector in sectors {
      if var history = volumes[volume]?.histories[sector] {
        change(&history)
        volumes[volume]?.histories[sector] = history
      }
    }
  }
}

extension ReferenceModel.Volume {
  /// The history of a sector that nobody wrote: zeros, also of what it is being replaced by.
  func untouched(_ sector: UInt64) -> SectorHistory {
    var history = SectorHistory()
    if let replacement, replacement.from <= sector {
      history.replace(byOneOf: [0], at: replacement.issued)
    }
    return history
  }
}
