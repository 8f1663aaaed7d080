import BlockIO
import DiskFormat
import PoolCore
import StorageUnits

extension VolumeEngine {
  /// The part goes on when the node is in memory. Equal loads are one read.
  func waitForNode(_ node: NodeLoad, _ p: PartIndex) {
    let l = startLoad(node)
    guard !l.isNone else {
      waitForResources(p)
      return
    }
    slots.append(p, to: &loader[l].waiters)
  }

  /// The checkpoint, drops or management go on when the node is in memory.
  func waitForNodeInBackground(_ node: NodeLoad) {
    let l = startLoad(node)
    guard !l.isNone else { return }
    loader[l].wakesBackground = true
    isBackgroundLoading = true
  }

  /// The scans that wait for the node go on when it is in memory. False: no load can begin now.
  func waitForNodeInScan(_ node: NodeLoad) -> Bool {
    let l = startLoad(node)
    guard !l.isNone else { return false }
    loader[l].wakesScans = true
    return true
  }

  /// The management operation at hand goes on when the node is in memory, or is told with
  /// `managementLoadFailed` that it cannot be read.
  func waitForNodeInManagement(_ node: NodeLoad) {
    let l = startLoad(node)
    guard !l.isNone else { return }
    loader[l].wakesManagement = true
    isManagementLoading = true
  }

  /// The sweep goes on when the node is in memory, and without it if it cannot be read.
  func waitForNodeInSweep(_ node: NodeLoad) {
    let l = startLoad(node)
    guard !l.isNone else { return }
    loader[l].wakesSweep = true
    isSweepLoading = true
  }

  /// The work on what is owed goes on when the node is in memory, and not at all if it cannot be
  /// read. False: no load can begin now.
  func waitForNodeInOwed(_ node: NodeLoad) -> Bool {
    let l = startLoad(node)
    guard !l.isNone else { return false }
    loader[l].wakesOwed = true
    owedWork.isLoading = true
    return true
  }

  private func startLoad(_ node: NodeLoad) -> LoadIndex {
    let running = loader.find(node)
    guard running.isNone else { return running }
    guard loader.hasFree, ioSlots.freeCount > 0 else { return .none }
    let l = loader.start(node, epoch: grace.enter())
    unsafe emit(
      .read, .nodeLoad, at: pool.places(of: node.address).first,
      length: FormatConstants.blockBytes, buffer: loader.buffer(l), first: l.raw)
    return l
  }

  func nodeReadEnded(_ l: LoadIndex, failed: Bool) {
    if !failed && supply(l) {
      endLoad(l, failed: false)
    } else if !loader[l].isSecondTry,
      let second = pool.places(of: loader[l].node.address).second
    {
      loader[l].isSecondTry = true
      unsafe emit(
        .read, .nodeLoad, at: second, length: FormatConstants.blockBytes,
        buffer: loader.buffer(l), first: l.raw)
    } else {
      endLoad(l, failed: true)
    }
  }

  /// False if the bytes are not the node that was asked for.
  private func supply(_ l: LoadIndex) -> Bool {
    do {
      try unsafe pool.supply(loader[l].node, from: UnsafeRawPointer(loader.buffer(l)))
      return true
    } catch {
      return false
    }
  }

  private func endLoad(_ l: LoadIndex, failed: Bool) {
    var load = loader.finish(l)
    grace.leave(load.epoch)
    if load.wakesBackground {
      isBackgroundLoading = false
      if failed { backgroundNodeFailed() }
    }
    if load.wakesScans { scanNodeEnded(load.node.address, failed: failed) }
    if load.wakesSweep {
      isSweepLoading = false
      if failed { pool.skipSweepStep() }
    }
    if load.wakesOwed {
      owedWork.isLoading = false
      if failed { owedWork.hasFailed = true }
    }
    if load.wakesManagement {
      isManagementLoading = false
      managementLoadFailed = failed
    }
    while let p = slots.popFirst(&load.waiters) {
      if failed { slots[p].nodeFailed = true }
      slots.append(p, to: &ready)
    }
  }

  /// What the background needs is damaged: a checkpoint cannot be complete without it, and trees
  /// are not dropped past it.
  private func backgroundNodeFailed() {
    dropsFailed = true
    if checkpointing.isRunning { failPool() }
  }
}
