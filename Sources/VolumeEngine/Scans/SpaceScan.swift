public import BlockExport
public import PoolCore
public import StorageUnits

/// Finds out what would be freed if some volumes and snapshots were deleted together, in the order
/// in which they are named; of one alone that is what it holds exclusively.
///
/// While hosts write, the answer is of no single moment: what is shared or given up meanwhile may
/// be in it or not. With nobody writing it is exact.
public final class SpaceScan: MapScan {
  private let volumes: [VolumeID]
  private let done: (Result<SpaceMeasure, ExportError>) -> Void
  private var measure = SpaceMeasure()
  private var current = 0
  private var position = MapPosition.start
  private var isWalked = false
  private var nodes = 0

  public init(
    _ volumes: [VolumeID], done: @escaping (Result<SpaceMeasure, ExportError>) -> Void
  ) {
    self.volumes = volumes
    self.done = done
  }

  public func step(_ pool: Pool, nodesAtMost: Int) -> MapScanStep {
    if let load = measure.judgeExtents(in: pool) { return .missing(load) }
    if isWalked {
      current += 1
      position = .start
      isWalked = false
    }
    guard current < volumes.count else { return .done }
    guard let volume = pool.volume(volumes[current]) else { return .failed(.volumeGone) }
    let end = VirtualExtent(index: ByteCount(pool.sizeBytes(of: volume)).extentsRoundingUp)
    switch pool.walk(
      volume, from: position, to: end, nodesAtMost: nodesAtMost, nodes: &nodes, &measure)
    {
    case .done: isWalked = true
    case .paused(let position): self.position = position
    case .missing(let node, let position):
      self.position = position
      return .missing(node)
    }
    if let load = measure.judgeExtents(in: pool) { return .missing(load) }
    return .goOn
  }

  public func ended(_ error: ExportError?) {
    if let error { done(.failure(error)) } else { done(.success(measure)) }
  }
}
