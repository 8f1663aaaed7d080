/// Tells when every operation that could have looked up freed space has ended (design §4 rule 4b).
///
/// An operation enters the current epoch when it looks an address up in the map and leaves it when
/// its last I/O on that address has completed. Space that a checkpoint freed is tagged with the
/// epoch that was current when the checkpoint was complete; once that epoch and all before it have
/// no members, nobody holds an old address.
///
/// Invariants: `oldest <= current`; every epoch below `oldest` has no members and never gets one;
/// at most `capacity` epochs are open, so that each has a counter of its own.
@safe final class GraceEpochs {
  private static let capacity: UInt64 = 64
  // One counter for each open epoch, at epoch % capacity; owned from init to deinit.
  private let members: UnsafeMutablePointer<UInt32>
  private(set) var current: UInt64 = 1
  private(set) var oldest: UInt64 = 1

  init() {
    unsafe members = .allocate(capacity: Int(Self.capacity))
    unsafe members.initialize(repeating: 0, count: Int(Self.capacity))
  }

  deinit { unsafe members.deallocate() }

  /// Enters the current epoch; the result is given to `leave` exactly once.
  func enter() -> UInt64 {
    unsafe members[Int(current % Self.capacity)] += 1
    return current
  }

  func leave(_ epoch: UInt64) {
    precondition(oldest <= epoch)
    precondition(epoch <= current)
    let index = Int(epoch % Self.capacity)
    precondition(unsafe members[index] > 0, "left more often than entered")
    unsafe members[index] -= 1
    if epoch == oldest { retire() }
  }

  /// Closes the current epoch and returns it. If too many are open, it stays open, which only makes
  /// its end come later.
  func advance() -> UInt64 {
    let closed = current
    if current - oldest + 1 < Self.capacity {
      current += 1
      retire()
    }
    return closed
  }

  /// Everybody who entered this epoch or one before it has left, and nobody enters it any more.
  func hasEnded(_ epoch: UInt64) -> Bool { epoch < oldest }

  private func retire() {
    while oldest < current, unsafe members[Int(oldest % Self.capacity)] == 0 { oldest += 1 }
  }
}
