import CBlockIO
import Glibc
import StorageUnits

/// One listening socket and the listener that it belongs to. Listeners of `localhost` have two.
struct ListenerSlot {
  var listener: ListenerID
  var socket: ListeningSocket
  var isClosed = false
  /// An accept is in the ring or waits for it.
  var isArmed = false
}

extension Reactor {
  /// Listens at the address; peers come as `.accepted`. A socket file that nobody listens on any
  /// more is replaced; one that somebody listens on, or a file of another kind, is refused.
  /// TCP connections have TCP_NODELAY.
  public func listen(at address: SocketAddress) throws(ListenError) -> ListenerID {
    listen(with: try ListeningSocket.open(at: address))
  }

  /// Listens with a socket that this process was started with.
  public func listen(with socket: InheritedSocket) -> ListenerID {
    listen(with: [ListeningSocket(inherited: socket)])
  }

  private func listen(with sockets: [ListeningSocket]) -> ListenerID {
    if owner == nil {
      do throws(RingError) { try becomeOwner() } catch { fatalError(error.description) }
    }
    let listener = ListenerID(index: UInt32(listeners.count))
    for socket in sockets {
      listeners.append(ListenerSlot(listener: listener, socket: socket))
      arm(listeners.count - 1)
    }
    return listener
  }

  /// The TCP port of a listener, for those that asked for port 0; nil for a unix socket.
  public func boundPort(of listener: ListenerID) -> UInt16? {
    guard let slot = listeners.first(where: { $0.listener == listener && !$0.isClosed }) else {
      return nil
    }
    return UInt16(exactly: lamina_bound_port(slot.socket.descriptor))
  }

  /// Stops listening and removes the socket file. Connections stay.
  public func closeListener(_ listener: ListenerID) {
    for i in listeners.indices where listeners[i].listener == listener && !listeners[i].isClosed {
      listeners[i].isClosed = true
      lamina_shut_down(listeners[i].socket.descriptor)
      if listeners[i].isArmed {
        issue(OperationTag(.cancelAccept, index: UInt32(i)))
      } else {
        listeners[i].socket.close()
      }
    }
  }

  func pushAccept(_ tag: OperationTag) -> Bool {
    ring.push(
      IORING_OP_ACCEPT, priority: LAMINA_ACCEPT_MULTISHOT,
      file: listeners[tag.index].socket.descriptor, options: LAMINA_CLOSE_ON_EXEC, tag: tag.bits)
  }

  func acceptEnded(_ index: Int, result: Int32, flags: UInt32) -> ReactorEvent? {
    let goesOn = flags & LAMINA_CQE_MORE != 0
    if !goesOn { listeners[index].isArmed = false }
    if listeners[index].isClosed {
      if result >= 0 { _ = Glibc.close(result) }
      if !goesOn { listeners[index].socket.close() }
      return nil
    }
    if !goesOn { armAgain(index, after: result) }
    guard result >= 0, let connection = adopt(socket: result) else { return nil }
    return .accepted(listener: listeners[index].listener, connection: connection)
  }

  /// An accept that ended for want of descriptors or memory, or for a reason unknown, would end at
  /// once again: it is given a pause. One peer that went away is no reason for one.
  private func armAgain(_ index: Int, after result: Int32) {
    if result >= 0 || [ECONNABORTED, EPROTO, EINTR, EAGAIN].contains(-result) {
      arm(index)
    } else {
      acceptRetry = SystemClock.now().adding(milliseconds: 100)
    }
  }

  func retryAccepting() {
    acceptRetry = .distantFuture
    for i in listeners.indices where !listeners[i].isArmed && !listeners[i].isClosed { arm(i) }
  }

  private func arm(_ index: Int) {
    listeners[index].isArmed = true
    issue(OperationTag(.accept, index: UInt32(index)))
  }
}
