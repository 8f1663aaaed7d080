import CBlockIO
import StorageUnits

extension Reactor {
  /// Closes every listener and connection, waits for every command, and gives nothing back. After
  /// it no buffer is in use. The release calls it if the owner did not.
  public func shutDown() {
    guard owner != nil, !isShutDown else { return }
    isShutDown = true
    for listener in Set(listeners.map(\.listener)) { closeListener(listener) }
    for index in 0..<connectionCapacity where unsafe connections[index].state == .open {
      close(
        ConnectionID(index: UInt32(index), generation: unsafe connections[index].generation))
    }
    discards?.stop()
    collectDiscards()
    if isMailboxArmed { issue(OperationTag(.cancelMailbox, index: 0)) }
    while !isQuiet {
      turn(until: nil)
      while nextEvent() != nil {}
    }
  }

  private var isQuiet: Bool {
    freeCommandCount == commandCapacity && freeConnectionCount == connectionCapacity
      && !isMailboxArmed && deferredCount == 0 && listeners.allSatisfy { !$0.isArmed }
  }
}
