import BlockExport
import BlockIO
import NBDTarget
import StorageUnits

/// Joins the NBD sessions to the reactor: the thin layer that has I/O and no protocol.
///
/// Once a turn the main loop, on the reactor's thread:
/// 1. gives each of the reactor's events to `handle`, which says whether it was one of NBD;
/// 2. gives the engine what it takes of `submitRequests`, lets it work, and gives its answers to
///    `deliver`;
/// 3. calls `flushSends`. Who waited for a buffer may have got one: if `hasRequests` says so, it
///    goes on with 2 before it waits in the reactor.
///
/// The reactor's connections must be at least as many as `NBDLimits.connections`.
final class NBDServer {
  private let reactor: Reactor
  private let sessions: NBDSessions
  private var listeners: [ListenerID] = []
  /// The reactor's connection of a session, and the session of a connection index.
  private var connections: [ConnectionID?]
  private var sessionOfConnection: [Int]

  /// - Parameter defaultExport: what the empty export name stands for; nil: the only volume, if
  /// there   is only one.
  init(
    reactor: Reactor, directory: any ExportDirectory, defaultExport: String?,
    limits: NBDLimits = NBDLimits()
  ) {
    self.reactor = reactor
    sessions = NBDSessions(directory: directory, defaultExport: defaultExport, limits: limits)
    connections = Array(repeating: nil, count: limits.connections)
    sessionOfConnection = Array(repeating: Self.nobody, count: reactor.connectionCapacity)
  }

  private static let nobody = -1

  var statistics: NBDStatistics { sessions.statistics }

  /// When `flushSends` is to be called next, at the latest.
  var nextDeadline: MonotonicTime { sessions.nextDeadline }

  /// Starts to listen; may be called for several addresses.
  func listen(at address: SocketAddress) throws(ListenError) -> ListenerID {
    let listener = try reactor.listen(at: address)
    listeners.append(listener)
    return listener
  }

  /// Starts to listen with a socket that this process was started with.
  func listen(with socket: InheritedSocket) {
    listeners.append(reactor.listen(with: socket))
  }

  /// Takes an event of the reactor; false if it belongs to somebody else.
  func handle(_ event: ReactorEvent, at now: MonotonicTime) -> Bool {
    switch event {
    case .accepted(let listener, let connection):
      guard listeners.contains(listener) else { return false }
      accept(connection, at: now)
      return true
    case .received(let connection, let result):
      guard let i = session(of: connection) else { return false }
      sessions.received(i, result: result, at: now)
      return true
    case .sent(let connection, let errno):
      guard let i = session(of: connection) else { return false }
      sessions.sent(i, errno: errno, at: now)
      return true
    case .closed(let connection):
      guard let i = session(of: connection) else { return refused.remove(connection) != nil }
      connections[i] = nil
      sessionOfConnection[Int(connection.index)] = Self.nobody
      sessions.closed(i)
      return true
    case .io, .mailbox: return false
    }
  }

  /// Connections for which there was no session; their last event is still to come.
  private var refused: Set<ConnectionID> = []

  private func accept(_ connection: ConnectionID, at now: MonotonicTime) {
    guard let i = sessions.accept(at: now) else {
      refused.insert(connection)
      reactor.close(connection)
      return
    }
    connections[i] = connection
    sessionOfConnection[Int(connection.index)] = i
  }

  private func session(of connection: ConnectionID) -> Int? {
    let i = sessionOfConnection[Int(connection.index)]
    guard i != Self.nobody, connections[i] == connection else { return nil }
    return i
  }

  /// Gives what has been asked for to the engine, oldest first, until `submit` says that it takes
  /// no more; the rest is given the next time.
  func submitRequests(_ submit: (ExportRequest) -> Bool) {
    while let request = sessions.firstRequest, submit(request) { sessions.removeFirstRequest() }
  }

  /// There are requests that the engine has not taken.
  var hasRequests: Bool { sessions.firstRequest != nil }

  /// Takes an answer of the engine, and the extents that it refers to if it is one about blocks.
  func deliver(_ answer: ExportAnswer, extents: Span<BlockStatusExtent>) {
    sessions.deliver(answer, extents: extents)
  }

  /// Once a turn: keeps the deadlines, makes one gathered send per connection, and hands everything
  /// for the sockets to the reactor.
  func flushSends(at now: MonotonicTime) {
    sessions.expire(at: now)
    sessions.flush(at: now)
    while let action = sessions.nextAction() {
      switch action {
      case .receive(let i, let buffer, let count, let waitForAll):
        unsafe reactor.receive(
          connection(of: i), into: buffer, count: count, waitForAll: waitForAll)
      case .send(let i, let vectors):
        unsafe send(connection(of: i), vectors)
      case .close(let i):
        reactor.close(connection(of: i))
      }
    }
  }

  private func send(_ connection: ConnectionID, _ vectors: UnsafeBufferPointer<SendVector>) {
    for n in vectors.indices {
      let vector = unsafe vectors[n]
      let hasRoom = unsafe reactor.addSendVector(connection, vector.base, count: vector.count)
      precondition(hasRoom, "a send has fewer vectors than the reactor takes")
    }
    reactor.startSend(connection)
  }

  private func connection(of i: Int) -> ConnectionID {
    guard let connection = connections[i] else { preconditionFailure("a session without a socket") }
    return connection
  }

  // MARK: Stopping

  /// Stops to accept; requests under way are answered and sent, then each connection is closed.
  func beginDrain() {
    for listener in listeners { reactor.closeListener(listener) }
    sessions.beginDrain()
  }

  /// Closes what is left, without waiting for the clients any longer.
  func closeAll() { sessions.closeAll() }

  /// No connection is left, and the engine has nothing of one.
  var isDrained: Bool { sessions.isDrained }

  /// Is a connection open that could write to or read from the volume?
  func isInUse(_ volume: VolumeID) -> Bool { sessions.isInUse(volume) }
}
