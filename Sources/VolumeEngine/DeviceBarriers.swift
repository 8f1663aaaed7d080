import StorageUnits

/// Which devices hold writes that no barrier has made durable (design §4 rule 2).
///
/// A device is clean if and only if a barrier on it has succeeded since the pool was opened and the
/// number of writes completed on it equals the value sampled when its last successful barrier was
/// *submitted*. A flag cleared at the barrier's completion would lose the write in between:
///
///     host                          device
///     barrier submitted, sample 7
///                                   write 8 completes   (not covered by the barrier)
///     barrier completes, "clean"
///     flush: nothing to do          power cut: write 8 is lost although it was flushed
@safe final class DeviceBarriers {
  private struct State {
    /// All writes, failed ones too: they may have changed the device.
    var completed: UInt64 = 0
    /// Those among them that a flush waits for: all but the journal's own.
    var completedOutsideJournal: UInt64 = 0
    /// The sample of the last successful barrier; nil before the first.
    var durable: UInt64?
  }
  // Indexed by device index; owned from init to deinit.
  private let states: UnsafeMutablePointer<State>
  private let count: Int

  init(deviceCount: Int) {
    count = deviceCount
    unsafe states = .allocate(capacity: deviceCount)
    unsafe states.initialize(repeating: State(), count: deviceCount)
  }

  deinit { unsafe states.deallocate() }

  private func index(_ device: DeviceIndex) -> Int {
    let index = Int(device.index)
    precondition(index < count)
    return index
  }

  func writeCompleted(on device: DeviceIndex, isJournal: Bool) {
    let i = index(device)
    unsafe states[i].completed += 1
    if !isJournal { unsafe states[i].completedOutsideJournal += 1 }
  }

  func isClean(_ device: DeviceIndex) -> Bool {
    let state = unsafe states[index(device)]
    return state.durable == state.completed
  }

  /// To be taken when a barrier is submitted.
  func sample(_ device: DeviceIndex) -> UInt64 { unsafe states[index(device)].completed }

  /// To be taken when a round is cut: whether a write has completed since decides which round a
  /// flush joins. The journal's writes belong to the round itself.
  func sampleOutsideJournal(_ device: DeviceIndex) -> UInt64 {
    unsafe states[index(device)].completedOutsideJournal
  }

  func barrierSucceeded(on device: DeviceIndex, sample: UInt64) {
    let i = index(device)
    unsafe states[i].durable = max(states[i].durable ?? 0, sample)
  }
}
