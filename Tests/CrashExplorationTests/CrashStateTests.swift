import BlockIO
@testable import CrashExploration
import DiskSimulation
import StorageUnits
import Testing

/// The legal crash states of a moment: how many there are, and what each holds.
@Suite struct CrashStateTests {
  /// A device with volatile writes of host sectors, one block each.
  private func device(_ blocks: [UInt64]) throws -> SimulatedDevice {
    let device = SimulatedDevice(name: "disk", sizeBytes: 1 << 20)
    for (i, block) in blocks.enumerated() {
      let bytes = stamped(block, version: UInt64(i) + 1)
      try unsafe bytes.withUnsafeBytes {
        try unsafe device.write(at: DeviceByteOffset(block * 4096), from: $0)
      }
    }
    return device
  }

  private func stamped(_ block: UInt64, version: UInt64) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 4096)
    unsafe bytes.withUnsafeMutableBytes {
      for sector in 0..<8 {
        unsafe StampedSector(
          volume: VolumeID(1), sector: block * 8 + UInt64(sector), version: version
        ).write(into: .init(rebasing: $0[sector * 512..<sector * 512 + 512]))
      }
    }
    return bytes
  }

  private func scene(_ device: SimulatedDevice) -> CrashScene {
    CrashScene(
      bases: [device.durableContents], pending: [device.pendingWrites], atomSectors: [1])
  }

  private func choices(_ scene: CrashScene, _ bounds: ExplorationBounds) -> [CrashChoice] {
    var found: [CrashChoice] = []
    var states = CrashStates(scene, bounds: bounds)
    states.forEach {
      found.append($0)
      return true
    }
    return found
  }

  @Test func everySubsetAndEveryTearIsTriedOnce() throws {
    let found = choices(scene(try device([3, 4, 5])), ExplorationBounds())
    // 8 subsets; each of 3 writes torn in 7 + 7 ways beside 4 subsets of the other two.
    #expect(found.count == 8 + 3 * 14 * 4)
    #expect(Set(found).count == found.count)
  }

  @Test func twoTornWritesAreTriedWhereTheyAreAllowed() throws {
    var bounds = ExplorationBounds()
    bounds.tornWrites = 2
    let found = choices(scene(try device([3, 4])), bounds)
    #expect(found.count == 4 + 2 * 14 * 2 + 14 * 14)
    #expect(Set(found).count == found.count)
  }

  @Test func whatTheBoundsLeaveOutIsCounted() throws {
    var bounds = ExplorationBounds()
    bounds.tornWrites = 0
    let scene = scene(try device(Array(2..<14)))
    var states = CrashStates(scene, bounds: bounds)
    var found: Set<CrashChoice> = []
    states.forEach {
      found.insert($0)
      return true
    }
    #expect(states.leftOutSubsets == 4096 - Double(found.count))
    #expect(found.count > 12 * 11 / 2 * 2)
    // Each write alone, each left out alone, and whatever a device without reordering leaves.
    for write in 0..<12 as Range<UInt64> {
      #expect(found.contains(CrashChoice(kept: 1 << write)))
      #expect(found.contains(CrashChoice(kept: 0xFFF & ~(1 << write))))
      #expect(found.contains(CrashChoice(kept: (1 << write) - 1)))
    }
  }

  /// What is told by fingerprints is what is there: each state is made, and its own fingerprint
  /// taken; equal bytes have equal ones and others have others.
  @Test func fingerprintsTellStatesApart() throws {
    let device = try device([3, 4])
    try device.flush()
    // Over what is there: once the same bytes, once a punch, and twice one page.
    for (block, version) in [(3, 1), (5, 9), (3, 7)] as [(UInt64, UInt64)] {
      try unsafe stamped(block, version: version).withUnsafeBytes {
        try unsafe device.write(at: DeviceByteOffset(block * 4096), from: $0)
      }
    }
    let scene = scene(device)
    var byFingerprint: [UInt64: [UInt8]] = [:]
    var byContents: [[UInt8]: UInt64] = [:]
    for choice in choices(scene, ExplorationBounds()) {
      let state = scene.state(choice)
      let whole = SimulatedDevice(
        name: "disk", sizeBytes: 1 << 20, logicalBlockBytes: 512, contents: state[0])
      let bytes = whole.contents(at: DeviceByteOffset(0), count: 8 * 4096)
      let told = scene.fingerprints(of: choice).whole
      let bare = CrashScene(bases: state, pending: [[]], atomSectors: [1])
      #expect(bare.fingerprints(of: CrashChoice()).whole == told)
      if let known = byFingerprint[told] { #expect(known == bytes) }
      if let known = byContents[bytes] { #expect(known == told) }
      byFingerprint[told] = bytes
      byContents[bytes] = told
      for page in 0..<8 as Range<UInt64> {
        #expect(scene.contents(device: 0, page: page, choice)?.hash == state[0][page]?.hash)
      }
    }
    #expect(byFingerprint.count > 30)
  }

  @Test func crashesAreWrittenAndReadBack() throws {
    let path = [
      CrashStep(
        event: 12, ending: .powerCut,
        choice: CrashChoice(kept: 0x2f, torn: [TornWrite(write: 6, sectors: 0..<3)])),
      CrashStep(
        event: 3, ending: .kill,
        choice: CrashChoice(
          kept: 0, torn: [TornWrite(write: 1, sectors: 8..<16, isHole: true)])),
    ]
    let text = path.map(\.description).joined(separator: "/")
    #expect(CrashStep.path(text) == path)
    for bad in ["", "cut", "cut@x:1", "cut@1:zz", "cut@1:1+2[5-3]", "melt@1:1"] {
      #expect(CrashStep.path(bad) == nil, "\(bad)")
    }
  }
}
