import BlockExport
public import DiskSimulation
import PoolCore
public import StorageUnits
import VolumeEngine

/// The administrator makes a volume larger or smaller.
public struct ResizeOperation: VolumeOperation {
  public var volume: VolumeID
  public var sizeBytes: UInt64

  public init(_ volume: VolumeID, to sizeBytes: UInt64) {
    self.volume = volume
    self.sizeBytes = sizeBytes
  }

  public static let weight = 3
  /// Inside a block, inside an extent, one leaf and several.
  private static let sizes: [UInt64] = [
    1536, 40 << 10, 263 << 10, 300 * 512, 1 << 20, 12 << 20, 2 << 30,
  ]

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> ResizeOperation? {
    guard let volume = SectorRange.volume(&random, in: session),
      let size = SectorRange.one(of: sizes, &random)
    else { return nil }
    let operation = ResizeOperation(volume, to: size)
    return operation.isPossible(in: session) ? operation : nil
  }

  public func isPossible(in session: HostSession) -> Bool {
    let expectation = session.expectation
    return expectation.isServed(volume) && !expectation.model.isSnapshot(volume)
      && !expectation.model.isBeingReplaced(volume)
  }

  public func issue(in session: HostSession) {
    let issued = session.expectation.model.issueResize(of: volume, to: sizeBytes)
    session.change(volume, "resize", replacement: issued) { [sizeBytes] in
      $0.sizeBytes = sizeBytes
    } issue: {
      $0.resizeVolume(volume, to: sizeBytes, allowsShrink: true, token: $1)
    }
  }

  public var description: String { "resize \(volume.number) to \(sizeBytes)" }
}
