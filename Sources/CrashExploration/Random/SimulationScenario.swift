public import DiskFormat
import DiskSimulation

/// What a random history plays on: drawn from its seed.
public struct SimulationScenario: Hashable, Sendable {
  /// What may go wrong with devices, and with it what can be asked of the server.
  public enum Kind: String, CaseIterable, Hashable, Sendable {
    /// Devices fail, are slow and full, vanish, and say so. Everything is checked.
    case honest
    /// One device's tables rot, and writes to them get lost. Where there is a second device nobody
    /// may notice; else hosts are given right bytes or an error, and a start may be refused.
    case rotting
    /// One device loses and misdirects writes, lies about flushes, and lets host data rot. There
    /// are no checksums of data, so contents are not checked: the server may not trap, answers
    /// everything, and does not make up volumes.
    case lying
  }

  public let seed: UInt64
  public var kind: Kind
  public var options = SimulatedMedia.Options()
  /// The device that rots or lies.
  public var badDevice: Int
  public var policies: [FullPoolPolicy] = [.error]
  /// Space that a first volume holds, in bytes: so that the pool is almost full.
  public var ballastBytes: UInt64 = 0

  public init(seed: UInt64) {
    self.seed = seed
    var random = SeededRandom(seed: seed)
    kind = [.honest, .honest, .honest, .rotting, .lying][random.below(5)]
    let shapes: [[UInt64]] = [
      [36], [44], [20, 14], [14, 24], [30, 6], [16, 12, 10], [12, 12, 12], [8, 30, 8],
    ]
    options.deviceBytes = shapes[random.below(shapes.count)].map { $0 << 20 }
    options.logicalBlockBytes = random.oneIn(4) ? 4096 : 512
    options.segmentBytes = [128 << 10, 256 << 10, 512 << 10][random.below(3)]
    options.journalBlocks = [12, 16, 24, 48][random.below(4)]
    options.allocationRunExtents = [1, 3, 16][random.below(3)]
    badDevice = random.below(options.deviceBytes.count)
    if random.oneIn(2) { policies += [.wait(seconds: 2), .wait(seconds: .max)] }
    // In a pool that is almost full a node may have one place although there are two devices.
    if random.oneIn(3) && (kind != .rotting || !hasTwoPlaces) {
      let total = options.deviceBytes.reduce(0, +)
      ballastBytes = total * UInt64(70 + random.below(30)) / 100
    }
  }

  var hasTwoPlaces: Bool { options.deviceBytes.count > 1 }
}

extension SimulationScenario: CustomStringConvertible {
  public var description: String {
    let devices = options.deviceBytes.map { "\($0 >> 20)" }.joined(separator: "+")
    return "\(kind.rawValue), devices of \(devices) MiB with sectors of "
      + "\(options.logicalBlockBytes), segments of \(options.segmentBytes >> 10) KiB, "
      + "\(options.journalBlocks) journal blocks, runs of \(options.allocationRunExtents)"
      + (kind == .honest ? "" : ", device \(badDevice) is bad")
      + (ballastBytes == 0 ? "" : ", \(ballastBytes >> 20) MiB held")
  }
}
