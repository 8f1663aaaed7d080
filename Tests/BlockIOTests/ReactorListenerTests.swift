import Glibc
import StorageUnits
import Testing

@testable import BlockIO

@Suite struct ReactorListenerTests {
  @Test func everyPeerIsAcceptedFromOneListener() throws {
    let folder = try TemporaryFolder()
    let reactor = try Reactor(connectionCapacity: 8)
    let listener = try reactor.listen(at: .unix(path: folder.file("s")))
    var peers: [TestPeer] = []
    var seen: Set<ConnectionID> = []
    for _ in 0..<8 {
      peers.append(try TestPeer.connect(path: folder.file("s")).get())
      let accepted = reactor.next { event -> ConnectionID? in
        if case .accepted(listener, let connection) = event { connection } else { nil }
      }
      seen.insert(try #require(accepted))
    }
    #expect(seen.count == 8)
    let refused = try TestPeer.connect(path: folder.file("s")).get()
    reactor.turn(until: SystemClock.now().adding(milliseconds: 1000))
    #expect(reactor.nextEvent() == nil)
    #expect(reactor.refusedConnectionCount == 1)
    #expect(refused.receive(1).isEmpty)
  }

  @Test func aClosedListenerAcceptsNobodyAndRemovesItsSocketFile() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("s")
    let reactor = try Reactor()
    let listener = try reactor.listen(at: .unix(path: path))
    let peer = try TestPeer.connect(path: path).get()
    let connection = try #require(reactor.nextAccepted())
    reactor.closeListener(listener)
    while unsafe access(path, F_OK) == 0 {
      reactor.turn(until: SystemClock.now().adding(milliseconds: 100))
      #expect(reactor.nextEvent() == nil)
    }
    #expect(throws: PeerError.self) { try TestPeer.connect(path: path).get() }
    // The connection stays.
    let buffer = AlignedBuffer(64)
    unsafe reactor.receive(connection, into: try #require(buffer.pointer), count: 64)
    #expect(peer.send([1]) == 1)
    #expect(reactor.nextReceived(connection) == 1)
    _ = try reactor.listen(at: .unix(path: path))
  }

  @Test func aStaleSocketFileIsReplacedAndALivingOneRefused() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("s")
    // A server that was killed: its socket file stays.
    let killed = try ListeningSocket.open(at: .unix(path: path))
    for socket in killed { _ = Glibc.close(socket.descriptor) }
    #expect(unsafe access(path, F_OK) == 0)
    let reactor = try Reactor()
    _ = try reactor.listen(at: .unix(path: path))
    _ = try TestPeer.connect(path: path).get()
    #expect(reactor.nextAccepted() != nil)

    let second = try Reactor()
    let error = #expect(throws: ListenError.self) { try second.listen(at: .unix(path: path)) }
    #expect(error?.problem == .inUse)
    _ = try TestPeer.connect(path: path).get()
    #expect(reactor.nextAccepted() != nil)
  }

  @Test func aFileOfAnotherKindIsNeverRemoved() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("s")
    try FileDevice.create(path, sizeBytes: 4096).close()
    let reactor = try Reactor()
    let error = #expect(throws: ListenError.self) { try reactor.listen(at: .unix(path: path)) }
    #expect(error?.problem == .notASocket)
    #expect(unsafe access(path, F_OK) == 0)
  }

  @Test func aPathThatNoSocketAddressHoldsIsRefused() throws {
    let reactor = try Reactor()
    let path = "/var/tmp/" + String(repeating: "x", count: 100)
    let error = #expect(throws: ListenError.self) { try reactor.listen(at: .unix(path: path)) }
    #expect(error?.problem == .pathTooLong)
  }

  @Test(arguments: ["127.0.0.1", "localhost"])
  func aTCPListenerAcceptsWithoutDelay(_ host: String) throws {
    let reactor = try Reactor()
    let listener = try reactor.listen(at: .internet(host: host, port: 0))
    let port = try #require(reactor.boundPort(of: listener))
    #expect(port != 0)
    let peer = try TestPeer.connect(port: port).get()
    let connection = try #require(reactor.nextAccepted())
    var noDelay: Int32 = 0
    var length = socklen_t(4)
    let descriptor = unsafe reactor.connections[Int(connection.index)].descriptor
    let tcp = Int32(IPPROTO_TCP)
    #expect(unsafe getsockopt(descriptor, tcp, TCP_NODELAY, &noDelay, &length) == 0)
    #expect(noDelay != 0)
    let buffer = AlignedBuffer(64)
    unsafe reactor.receive(connection, into: try #require(buffer.pointer), count: 64)
    #expect(peer.send([5]) == 1)
    #expect(reactor.nextReceived(connection) == 1)
    let second = try Reactor()
    let error = #expect(throws: ListenError.self) {
      try second.listen(at: .internet(host: host, port: port))
    }
    #expect(error?.problem == .inUse)
  }

  @Test func acceptingGoesOnAfterDescriptorsRanOut() throws {
    let folder = try TemporaryFolder()
    let reactor = try Reactor()
    _ = try reactor.listen(at: .unix(path: folder.file("s")))
    reactor.turn(until: MonotonicTime(nanoseconds: 0))
    // What the kernel says when no descriptor is left is played here: the limit is the process's,
    // and other tests run beside this one.
    let peer = try TestPeer.connect(path: folder.file("s")).get()
    reactor.listeners[0].isArmed = true
    #expect(reactor.acceptEnded(0, result: -EMFILE, flags: 0) == nil)
    #expect(!reactor.listeners[0].isArmed)
    #expect(reactor.nextAccepted() != nil)
    #expect(peer.descriptor >= 0)
  }
}
