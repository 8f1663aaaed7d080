/// A connection of a reactor. The index is smaller than the reactor's connection capacity, so that
/// owners can keep their own state in an array; it is reused after `.closed`, with another
/// generation.
@frozen public struct ConnectionID: Hashable, Sendable {
  public var index: UInt32
  /// Odd and even generations alike are valid; zero is never given.
  public var generation: UInt32

  @inlinable public init(index: UInt32, generation: UInt32) {
    self.index = index
    self.generation = generation
  }
}

/// A listener of a reactor.
@frozen public struct ListenerID: Hashable, Sendable {
  public var index: UInt32

  @inlinable public init(index: UInt32) { self.index = index }
}

/// What happened: plain values, no references.
@frozen public enum ReactorEvent: Sendable {
  /// A command ended.
  case io(IOCompletion)
  /// A peer connected.
  case accepted(listener: ListenerID, connection: ConnectionID)
  /// A `receive` ended: the number of bytes, 0 if the peer has closed, or -errno.
  case received(connection: ConnectionID, result: Int)
  /// A `startSend` ended: 0 if everything was handed to the kernel, else the positive errno. The
  /// buffers belong to the caller again.
  case sent(connection: ConnectionID, errno: Int32)
  /// The connection that the caller closed has no operation left: its buffers belong to the caller
  /// again and its index may come back. Always the connection's last event.
  case closed(connection: ConnectionID)
  /// Another thread called `ReactorWaker.wake`. Several calls may give one event.
  case mailbox
}
