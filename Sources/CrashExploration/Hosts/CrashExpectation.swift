public import DiskSimulation
public import StorageUnits

/// What must be found after a crash, and how it is looked for.
public struct CrashExpectation {
  public var model = ReferenceModel()
  /// Of every volume and snapshot that exists or may exist.
  var facts: [VolumeID: ExpectedFacts] = [:]
  /// The volume of each snapshot.
  public var origins: [VolumeID: VolumeID] = [:]
  var uuids: [VolumeID: StorageUUID] = [:]
  /// Creations that were not answered, by token: what they create may be there, all of it or
  /// nothing.
  var creationsInFlight: [UInt64: [Creation]] = [:]
  /// What the trash is set to, in seconds.
  var trashExpiry = ExpectedSetting(0)
  /// When items of the trash expire, in seconds since 1970.
  var expiries: [VolumeID: UInt64] = [:]
  /// The wall clock of hosts, in seconds since 1970.
  var wallSeconds: UInt64 = 1000
  /// A pool so full that the trash may be emptied at any time.
  var isShortOfSpace = false
  /// Of each volume, by name: the snapshot's contents that a bookmark stands for.
  var bookmarkBases: [VolumeID: [String: BookmarkBase]] = [:]
  /// The snapshot that a volume goes back to which is being received.
  var receiveBases: [VolumeID: VolumeID] = [:]
  /// Something has come out of the trash.
  var hasRestored = false
  /// Volumes that were rolled back: of these a bookmark may not tell what changed.
  var rolledBack: Set<VolumeID> = []
  /// The sizes that were ever asked for.
  var sizes: [VolumeID: Set<UInt64>] = [:]
  /// Everything that was ever asked for.
  private var uuidsEver: Set<StorageUUID> = []
  /// Counts what was asked and answered beside the model.
  private(set) var changes: UInt64 = 0

  /// A volume, snapshot or clone that was asked for.
  struct Creation: Sendable {
    var uuid: StorageUUID
    var facts: VolumeFacts
    /// Other sizes that it may have: its source was being made larger or smaller.
    var otherSizes: Set<UInt64> = []
    var branch: Branch?
    /// The volume that is no longer being received if it is there, and is if it is not.
    var endsReceiveOf: VolumeID?

    /// The largest size that it may have.
    var largestSize: UInt64 { max(facts.sizeBytes, otherSizes.max() ?? 0) }

    /// Whether it may be found so; then it is what was found.
    func fits(_ found: VolumeFacts) -> Bool {
      var expected = facts
      if otherSizes.contains(found.sizeBytes) { expected.sizeBytes = found.sizeBytes }
      return expected == found
    }
  }

  /// What a snapshot or clone is made of.
  struct Branch: Hashable, Sendable {
    var source: VolumeID
    /// From the model.
    var issued: UInt64
    var isSnapshot: Bool
  }

  public init() {}

  // MARK: What there is

  /// The volumes that hosts can surely use, in order; no snapshots.
  public var certainVolumes: [VolumeID] {
    model.volumeIDs.filter { isServed($0) && !model.isSnapshot($0) }
  }

  /// The snapshots that hosts can surely read, in order.
  public var certainSnapshots: [VolumeID] {
    model.volumeIDs.filter { isServed($0) && model.isSnapshot($0) }
  }

  func isCertainSnapshot(_ id: VolumeID) -> Bool { isServed(id) && model.isSnapshot(id) }

  /// It is there, in no trash, and nothing is on its way that changes this.
  func isReachable(_ id: VolumeID) -> Bool {
    guard model.existence(of: id) == .certain, !mayBeInTrash(id) else { return false }
    return origins[id].map { !mayBeInTrash($0) } ?? true
  }

  /// Hosts know it.
  func isServed(_ id: VolumeID) -> Bool { isReachable(id) && !mayBeReceiving(id) }

  /// Hosts can write it, or a receiver.
  func isWritable(_ id: VolumeID) -> Bool { isReachable(id) && !model.isSnapshot(id) }

  /// It is being received, and surely so.
  func isReceiving(_ id: VolumeID) -> Bool {
    isReachable(id) && facts[id]?.alternatives.allSatisfy(\.facts.isReceiving) == true
  }

  private func mayBeInTrash(_ id: VolumeID) -> Bool {
    facts[id]?.alternatives.contains(where: \.facts.isInTrash) ?? false
  }

  func mayBeReceiving(_ id: VolumeID) -> Bool {
    facts[id]?.alternatives.contains(where: \.facts.isReceiving) ?? false
  }

  /// Requests on it may end because it is gone.
  func mayBeGone(_ id: VolumeID) -> Bool {
    !isReachable(id) || origins[id].map { model.existence(of: $0) != .certain } ?? false
  }

  /// It lies in the trash by itself, and surely so.
  func isTrashItem(_ id: VolumeID) -> Bool {
    model.existence(of: id) != .none
      && facts[id]?.alternatives.allSatisfy(\.facts.isInTrash) == true
  }

  /// The items of the trash, in order.
  var trashItems: [VolumeID] { model.volumeIDs.filter { isTrashItem($0) } }

  /// A volume with its snapshots, a snapshot alone.
  func unit(of id: VolumeID) -> [VolumeID] {
    [id] + model.volumeIDs.filter { origins[$0] == id }
  }

  /// A deletion of it is refused, whatever becomes of what was asked for.
  func isHeld(_ id: VolumeID) -> Bool {
    facts[id]?.alternatives.allSatisfy { !$0.facts.holds.isEmpty } ?? false
  }

  /// Whether a deletion of it is refused is not known yet.
  func mayBecomeHeld(_ id: VolumeID) -> Bool {
    !isHeld(id) && facts[id]?.alternatives.contains { !$0.facts.holds.isEmpty } == true
  }

  /// Something received goes back to it if that ends early.
  func mayBeReceiveBase(_ id: VolumeID) -> Bool {
    receiveBases.contains { $0.value == id && mayBeReceiving($0.key) }
  }

  /// The volume has a snapshot, or may have.
  public func hasSnapshots(_ volume: VolumeID) -> Bool {
    origins.contains { $0.value == volume && model.existence(of: $0.key) != .none }
      || creationsInFlight.values.contains {
        $0.contains { $0.branch?.isSnapshot == true && $0.branch?.source == volume }
      }
  }

  /// The smallest size that the volume may have or may have had, in bytes.
  func smallestSize(of id: VolumeID) -> UInt64 { sizes[id]?.min() ?? model.sizeBytes(of: id) }

  // MARK: What is asked and answered

  mutating func changed() { changes += 1 }

  /// A change of a volume's facts was asked for; `answered` or `refused` follows, or neither.
  mutating func ask(
    _ id: VolumeID, _ token: UInt64, replacement: UInt64? = nil,
    _ apply: @escaping @Sendable (inout VolumeFacts) -> Void
  ) {
    changes += 1
    facts[id]?.ask(ExpectedFacts.Change(token: token, apply: apply, replacement: replacement))
    if let size = facts[id]?.latest.sizeBytes { sizes[id, default: []].insert(size) }
  }

  mutating func answered(_ id: VolumeID, _ token: UInt64) {
    changes += 1
    facts[id]?.take(token)
  }

  mutating func refused(_ id: VolumeID, _ token: UInt64) {
    changes += 1
    facts[id]?.withdraw(token)
  }

  /// Creations were asked for.
  mutating func asked(_ creations: [Creation], _ token: UInt64) {
    changes += 1
    creationsInFlight[token] = creations
    uuidsEver.formUnion(creations.map(\.uuid))
  }

  /// They were answered or refused.
  mutating func ended(_ token: UInt64) {
    changes += 1
    creationsInFlight[token] = nil
  }

  /// Takes down what was created.
  mutating func created(_ id: VolumeID, _ creation: Creation) {
    changes += 1
    if let branch = creation.branch {
      model.branched(
        id, of: branch.source, issued: branch.issued, isSnapshot: branch.isSnapshot,
        sizeBytes: creation.facts.sizeBytes)
      if branch.isSnapshot { origins[id] = branch.source }
    } else {
      model.volumeCreated(id, sizeBytes: creation.facts.sizeBytes)
    }
    facts[id] = ExpectedFacts(creation.facts)
    uuids[id] = creation.uuid
    sizes[id] = [creation.facts.sizeBytes]
  }

  /// Items of the trash, with all that belongs to them, may go by themselves from now on.
  mutating func mayGo(_ id: VolumeID) {
    changes += 1
    for part in unit(of: id) where model.existence(of: part) == .certain {
      model.volumeDeleteIssued(part)
    }
  }

  /// It has left the trash: what belongs to it is there, but for what lies there by itself.
  mutating func hasComeBack(_ id: VolumeID) {
    changes += 1
    expiries[id] = nil
    hasRestored = true
    for part in unit(of: id) where model.existence(of: part) == .perhaps {
      if part == id || !isTrashItem(part) { model.volumeDeleteRefused(part) }
    }
  }

  func wasAskedFor(_ uuid: StorageUUID) -> Bool { uuidsEver.contains(uuid) }

  // MARK: Where hosts write

  /// The parts of a volume that histories touch, in sectors of 512 bytes.
  public static func windows(sizeBytes: UInt64, longest: UInt64 = 1000) -> [Range<UInt64>] {
    let sectors = sizeBytes / 512
    guard sectors > 4096 else { return [0..<sectors] }
    return [0, 168 * 128 - 40, 3000 * 128, sectors - 300].filter { $0 < sectors }.map {
      $0..<min($0 + longest, sectors)
    }
  }
}

/// A setting of the pool, and what it was asked to become and was not answered.
struct ExpectedSetting: Sendable {
  private(set) var certain: UInt32
  private var pending: [(token: UInt64, value: UInt32)] = []

  init(_ certain: UInt32) { self.certain = certain }

  var alternatives: [UInt32] { [certain] + pending.map(\.value) }
  var isCertain: Bool { pending.isEmpty }

  mutating func ask(_ token: UInt64, _ value: UInt32) { pending.append((token, value)) }

  mutating func take(_ token: UInt64) {
    guard let last = pending.firstIndex(where: { $0.token == token }) else { return }
    certain = pending[last].value
    pending.removeSubrange(...last)
  }

  mutating func withdraw(_ token: UInt64) { pending.removeAll { $0.token == token } }

  mutating func settle(on value: UInt32) { self = ExpectedSetting(value) }
}

/// What a bookmark stands for: the versions that each sector of its snapshot holds, of those that
/// are not zeros.
struct BookmarkBase: Sendable {
  var versions: [UInt64: [UInt64]]

  /// The sector surely holds something else now.
  func differs(_ sector: UInt64, _ version: UInt64?) -> Bool {
    guard let version else { return true }
    return !(versions[sector] ?? [0]).contains(version)
  }
}
