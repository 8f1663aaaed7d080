public import DiskFormat
public import DiskSimulation
import StorageUnits
import VolumeEngine

/// The administrator creates a volume, under a name that no volume has.
public struct CreateVolumeOperation: HostOperation {
  public var sizeBytes: UInt64
  public var fullPolicy: FullPoolPolicy

  public init(sizeBytes: UInt64, fullPolicy: FullPoolPolicy = .error) {
    self.sizeBytes = sizeBytes
    self.fullPolicy = fullPolicy
  }

  public static let weight = 4
  /// Random histories keep at most so many volumes.
  static let mostVolumes = 5
  /// Sizes of volumes: odd ones, one with large blocks' worth of tail, a wide one.
  private static let sizes: [UInt64] = [512, 528 << 10, 263 << 10, 529 * 512, 2 << 30]

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> CreateVolumeOperation? {
    guard session.expectation.creationsInFlight.count < 2,
      session.expectation.certainVolumes.count < mostVolumes
    else { return nil }
    let size = sizes[random.below(sizes.count)]
    let policies = session.fullPolicies
    return CreateVolumeOperation(
      sizeBytes: size,
      fullPolicy: policies.count == 1 ? policies[0] : policies[random.below(policies.count)])
  }

  public func issue(in session: HostSession) {
    let (name, number) = session.freshName()
    session.create(
      VolumeRecord(
        id: VolumeID(0), uuid: StorageUUID(high: number, low: 1), name: name,
        sizeBytes: sizeBytes, logicalBlockBytes: 512, createdAt: 0, fullPolicy: fullPolicy))
  }

  public var description: String {
    "create \(sizeBytes)" + (fullPolicy == .error ? "" : " that waits for space")
  }
}

extension HostSession {
  /// Creates a volume.
  func create(_ record: VolumeRecord) {
    let creation = CrashExpectation.Creation(
      uuid: record.uuid,
      facts: VolumeFacts(
        name: record.name, sizeBytes: record.sizeBytes, isReceiving: record.isReceiving))
    var key: UInt64 = 0
    manage {
      key = $1
      expectation.asked([creation], $1)
      $0.createVolume(record, token: $1)
    } answered: { session, result in
      session.judge(result, of: "create")
      // If it failed, it may be there.
      if case .failed = result { return }
      session.expectation.ended(key)
      guard case .created(let id) = result else { return }
      session.expectation.created(id, creation)
    }
  }
}
