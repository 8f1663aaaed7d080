import DiskSimulation
import StorageUnits

/// What may be found after a crash at one moment, laid out for looking at many states.
struct RecoverableState {
  let volumes: [Volume]
  /// Volumes, snapshots and clones whose creation was under way: all of a group are there or none.
  let creations: [[Creation]]
  /// What the trash may be set to, in seconds.
  let trashExpiries: [UInt32]
  /// Tells expectations apart.
  let fingerprint: UInt64

  struct Volume {
    var id: VolumeID
    /// False if a deletion was under way.
    var isCertain: Bool
    /// Each thing that may have become of the volume as a whole.
    var fates: [Fate] = []
    var bookmarks: [String: BookmarkBase]
    /// What changed since a bookmark may not be known.
    var wasRolledBack: Bool
  }
  struct Fate {
    var facts: VolumeFacts
    /// The blocks that may hold something else than zeros, in order.
    var blocks: [Block]
  }
  struct Creation {
    var asked: CrashExpectation.Creation
    var blocks: [Block]
  }
  struct Block {
    var block: Int
    /// The versions that each of its sectors may hold.
    var sectors: [[UInt64]]
  }

  init(_ expectation: CrashExpectation, after ending: CrashEnding) {
    var hash = SeededRandom.mix(ending == .powerCut ? 11 : 13)
    func add(_ value: UInt64) { hash = SeededRandom.mix(hash ^ value) &* 0x9E37_79B9_7F4A_7C15 }
    var volumes: [Volume] = []
    let model = expectation.model
    for id in model.volumeIDs {
      guard let facts = expectation.facts[id] else { continue }
      var volume = Volume(
        id: id, isCertain: model.existence(of: id) == .certain,
        bookmarks: expectation.bookmarkBases[id] ?? [:],
        wasRolledBack: expectation.rolledBack.contains(id))
      add(id.number)
      add(volume.isCertain ? 1 : 2)
      let contents = model.fates(of: id).map { fate in
        Self.blocks(model.recoverable(id, after: ending.modelEnding, fate))
      }
      for alternative in facts.alternatives {
        let (blocks, sum) = contents[alternative.isReplaced ? contents.count - 1 : 0]
        volume.fates.append(Fate(facts: alternative.facts, blocks: blocks))
        add(sum)
        add(alternative.facts.fingerprint)
      }
      volumes.append(volume)
    }
    var creations: [[Creation]] = []
    for (_, group) in expectation.creationsInFlight.sorted(by: { $0.key < $1.key }) {
      add(UInt64(group.count))
      creations.append([])
      for creation in group {
        add(creation.facts.fingerprint)
        let contents = creation.branch.map {
          model.branchContents(of: $0.source, issued: $0.issued)
        }
        let end = creation.largestSize / 512
        let (blocks, sum) = Self.blocks(contents?.filter { $0.sector < end } ?? [])
        creations[creations.count - 1].append(
          Creation(asked: creation, blocks: blocks))
        add(sum)
      }
    }
    for expiry in expectation.trashExpiry.alternatives { add(UInt64(expiry)) }
    trashExpiries = expectation.trashExpiry.alternatives
    self.creations = creations
    self.volumes = volumes
    fingerprint = hash
  }

  /// The blocks of sectors that may hold something else than zeros, in order, and a hash.
  private static func blocks(
    _ contents: [(sector: UInt64, versions: [UInt64])]
  ) -> (blocks: [Block], hash: UInt64) {
    var blocks: [Int: [[UInt64]]] = [:]
    // The sectors come in no particular order, so their hashes are added up.
    var sum: UInt64 = 0
    for (sector, versions) in contents where versions != [0] {
      blocks[Int(sector / 8), default: zeros][Int(sector % 8)] = versions
      var one = SeededRandom.mix(sector &+ 0x51)
      for version in versions { one = SeededRandom.mix(one ^ version) }
      sum &+= one
    }
    let sorted = blocks.sorted { $0.key < $1.key }
    return (sorted.map { Block(block: $0.key, sectors: $0.value) }, sum)
  }

  /// A block whose sectors all hold zeros.
  private static let zeros = [[UInt64]](repeating: [0], count: StoredPage.sectorCount)
}
