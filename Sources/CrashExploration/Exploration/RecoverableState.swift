import DiskSimulation
import StorageUnits

/// What may be found after a crash at one moment, laid out for looking at many states.
struct RecoverableState {
  let volumes: [Volume]
  /// Volumes whose creation was under way.
  let creations: [CrashExpectation.Creation]
  /// Tells expectations apart.
  let fingerprint: UInt64

  struct Volume {
    var id: VolumeID
    var name: String
    var sizeBytes: UInt64
    /// False if a deletion was under way.
    var isCertain: Bool
    /// Those that may hold something else than zeros, in order.
    var blocks: [Block] = []
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
      guard let name = expectation.names[id] else { continue }
      let size = model.sizeBytes(of: id)
      var volume = Volume(
        id: id, name: name, sizeBytes: size, isCertain: model.existence(of: id) == .certain)
      var blocks: [Int: [[UInt64]]] = [:]
      add(id.number)
      add(volume.isCertain ? 1 : 2)
      // The sectors come in no particular order, so their hashes are added up.
      var sum: UInt64 = 0
      for (sector, versions) in model.recoverable(id, after: ending.modelEnding)
      where versions != [0] {
        blocks[Int(sector / 8), default: Self.zeros][Int(sector % 8)] = versions
        var one = SeededRandom.mix(sector &+ 0x51)
        for version in versions { one = SeededRandom.mix(one ^ version) }
        sum &+= one
      }
      add(sum)
      volume.blocks = blocks.sorted { $0.key < $1.key }.map {
        Block(block: $0.key, sectors: $0.value)
      }
      volumes.append(volume)
    }
    creations = expectation.creationsInFlight.sorted { $0.key < $1.key }.map(\.value)
    for creation in creations { add(creation.sizeBytes ^ UInt64(creation.name.utf8.count) << 40) }
    self.volumes = volumes
    fingerprint = hash
  }

  /// A block whose sectors all hold zeros.
  private static let zeros = [[UInt64]](repeating: [0], count: StoredPage.sectorCount)
}
