import CBlockIO

extension Reactor {
  /// Asks the ring to read the waker's eventfd.
  func armMailbox() {
    isMailboxArmed = true
    issue(OperationTag(.mailbox, index: 0))
  }

  func pushMailbox(_ tag: OperationTag) -> Bool {
    unsafe ring.push(
      IORING_OP_READ, file: waker.descriptor, address: UInt64(UInt(bitPattern: wakeCount)),
      length: 8, tag: tag.bits)
  }

  /// Armed again before the event is given, so that a wake during its handling is not lost.
  func mailboxEnded(result: Int32) -> ReactorEvent? {
    isMailboxArmed = false
    guard !isShutDown else { return nil }
    armMailbox()
    collectDiscards()
    return .mailbox
  }
}
