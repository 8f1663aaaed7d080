import DiskSimulation

/// What a moment would leave for the next start: the scene of its devices, and the tail.
struct CrashedMedia {
  var scene: CrashScene
  /// Empty after a power cut.
  var tail: [UInt8]
  var tailHash: UInt64
  /// Of the next start.
  var boot: UInt64
  var ending: CrashEnding

  /// The moment as `disks` stand, if it ended so.
  init(
    _ disks: SimulatedDisks, tail: @autoclosure () -> [UInt8], boot: UInt64, ending: CrashEnding
  ) {
    let devices = disks.devices
    let atomSectors = devices.map { $0.logicalBlockBytes / 512 }
    self.ending = ending
    switch ending {
    case .powerCut:
      scene = CrashScene(
        bases: devices.map(\.durableContents), pending: devices.map(\.pendingWrites),
        atomSectors: atomSectors)
      self.tail = []
      tailHash = 0
      self.boot = boot + 1
    case .kill:
      scene = CrashScene(
        bases: devices.map(\.visibleContents), pending: devices.map(\.writesInFlight),
        atomSectors: atomSectors)
      self.tail = tail()
      tailHash = Self.hash(self.tail)
      self.boot = boot
    }
  }

  private static func hash(_ bytes: [UInt8]) -> UInt64 {
    var sum: UInt64 = 1
    unsafe bytes.withUnsafeBytes {
      for at in stride(from: 0, to: $0.count & ~7, by: 8) {
        let word = UInt64(
          littleEndian: unsafe $0.loadUnaligned(fromByteOffset: at, as: UInt64.self))
        if word == 0 { continue }
        sum &+= SeededRandom.mix(word ^ UInt64(at) << 40)
      }
    }
    return SeededRandom.mix(sum)
  }
}
