import BlockExport
import PoolCore
import StorageUnits

/// Scans of maps, one after the other in each turn, so that each gets on.
extension VolumeEngine {
  /// Begins a scan; it ends by `MapScan.ended`, at once if the engine is stopping. Call `turn`
  /// afterwards.
  public func begin(_ scan: any MapScan) {
    guard !isStopping else { return scan.ended(.shuttingDown) }
    scans.append(RunningScan(scan: scan))
  }

  /// A scan can go on without waiting for a completion.
  var canScan: Bool { canLoadForScan && scans.contains { $0.waitsFor == nil } }

  func stepScans() {
    guard canScan else { return }
    let hostsAreActive = slots.freeCount < slots.capacity
    let budget = configuration.scanNodesPerTurn / (hostsAreActive ? 8 : 1)
    let share = max(1, budget / scans.count)
    // A scan that ends may begin another one, which waits for the next turn.
    let running = scans
    scans = []
    var left: [RunningScan] = []
    for one in running {
      if let next = step(one, nodesAtMost: share) { left.append(next) }
    }
    scans = left + scans
  }

  /// Nil: the scan has ended.
  private func step(_ running: RunningScan, nodesAtMost: Int) -> RunningScan? {
    guard running.waitsFor == nil, canLoadForScan else { return running }
    var running = running
    switch running.scan.step(pool, nodesAtMost: nodesAtMost) {
    case .goOn: break
    case .missing(let node): if waitForNodeInScan(node) { running.waitsFor = node }
    case .done:
      running.scan.ended(nil)
      return nil
    case .failed(let error):
      running.scan.ended(error)
      return nil
    }
    return running
  }

  private var canLoadForScan: Bool {
    loader.hasFree && ioSlots.freeCount > Self.backgroundReserve
  }

  func scanNodeEnded(_ address: PoolAddress, failed: Bool) {
    var ended: [RunningScan] = []
    for index in scans.indices.reversed() where scans[index].waitsFor?.address == address {
      scans[index].waitsFor = nil
      if failed { ended.append(scans.remove(at: index)) }
    }
    for one in ended { one.scan.ended(.inputOutput) }
  }

  /// Ends all of them.
  func endScans(_ error: ExportError) {
    let running = scans
    scans = []
    for one in running { one.scan.ended(error) }
  }
}
