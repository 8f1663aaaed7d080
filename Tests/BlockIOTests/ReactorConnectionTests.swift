import CBlockIO
import Glibc
import StorageUnits
import Testing

@testable import BlockIO

@Suite struct ReactorConnectionTests {
  @Test func bytesArriveInBothDirections() throws {
    let (reactor, connection, peer) = try connected()
    let buffer = AlignedBuffer(64)
    unsafe reactor.receive(connection, into: try #require(buffer.pointer), count: 64)
    #expect(peer.send([1, 2, 3]) == 3)
    #expect(reactor.nextReceived(connection) == 3)
    #expect(buffer.contents.prefix(3) == [1, 2, 3])
    #expect(unsafe reactor.addSendVector(connection, try #require(buffer.pointer), count: 2))
    #expect(
      unsafe reactor.addSendVector(connection, try #require(buffer.pointer) + 2, count: 1))
    reactor.startSend(connection)
    #expect(reactor.nextSent(connection) == 0)
    #expect(peer.receive(64) == [1, 2, 3])
  }

  @Test func aReceiveForAllWaitsForTheWholeCount() throws {
    let (reactor, connection, peer) = try connected()
    let buffer = AlignedBuffer(64)
    unsafe reactor.receive(
      connection, into: try #require(buffer.pointer), count: 8, waitForAll: true)
    #expect(peer.send([1, 2, 3]) == 3)
    reactor.turn(until: SystemClock.now().adding(milliseconds: 5))
    #expect(reactor.nextEvent() == nil)
    #expect(peer.send([4, 5, 6, 7, 8, 9]) == 6)
    #expect(reactor.nextReceived(connection) == 8)
    #expect(buffer.contents.prefix(8) == [1, 2, 3, 4, 5, 6, 7, 8])
  }

  @Test func aPeerThatClosesIsReceivedAsZeroBytes() throws {
    let (reactor, connection, peer) = try connected()
    let buffer = AlignedBuffer(64)
    unsafe reactor.receive(connection, into: try #require(buffer.pointer), count: 64)
    peer.close()
    #expect(reactor.nextReceived(connection) == 0)
  }

  @Test func sendingToAPeerThatClosedReportsAnErrno() throws {
    let (reactor, connection, peer) = try connected()
    peer.close()
    let buffer = AlignedBuffer(64)
    #expect(unsafe reactor.addSendVector(connection, try #require(buffer.pointer), count: 64))
    reactor.startSend(connection)
    #expect(reactor.nextSent(connection) == EPIPE)
  }

  @Test func aGatheredSendArrivesWholeThroughASmallSocketBuffer() throws {
    let (reactor, connection, peer) = try connected(sendBufferBytes: 4096)
    let total = 1 << 20
    let data = AlignedBuffer(total)
    for i in 0..<total { unsafe data.bytes[i] = UInt8(truncatingIfNeeded: i &* 7 &+ i >> 11) }
    let base = unsafe try #require(data.pointer)
    var offset = 0
    var length = 1
    while offset < total {
      let count = min(length, total - offset)
      try #require(unsafe reactor.addSendVector(connection, base + offset, count: count))
      offset += count
      length = length * 3 % 8191 + 1000
    }
    reactor.startSend(connection)
    var got: [UInt8] = []
    var sent: Int32?
    while got.count < total {
      reactor.turn(until: SystemClock.now().adding(milliseconds: 1))
      while let event = reactor.nextEvent() {
        if case .sent(connection, let errno) = event { sent = errno }
      }
      if sent == nil { #expect(reactor.isSending(connection)) }
      let part = peer.receive(3001)
      try #require(!part.isEmpty)
      got += part
    }
    if sent == nil { sent = reactor.nextSent(connection) }
    #expect(sent == 0)
    #expect(got == data.contents)
  }

  @Test func whatTheKernelTakesInPartsIsContinuedAtTheRightByte() throws {
    let (reactor, connection, _) = try connected()
    let data = AlignedBuffer(100)
    let base = unsafe try #require(data.pointer)
    for (start, count) in [(0, 10), (10, 20), (30, 70)] {
      #expect(unsafe reactor.addSendVector(connection, base + start, count: count))
    }
    let slot = unsafe reactor.connections + Int(connection.index)
    let area = unsafe reactor.vectors + Int(connection.index) * reactor.sendVectorCapacity
    // The kernel seldom sends short on a stream socket, so its results are played here.
    for (sent, next, first, left) in [(5, 0, 5, 5), (5, 1, 10, 20), (21, 2, 31, 69)] {
      unsafe reactor.advance(slot, Int(connection.index), by: sent)
      #expect(unsafe slot.pointee.nextVector == next)
      #expect(unsafe area[next].iov_base == base + first)
      #expect(unsafe area[next].iov_len == left)
    }
    unsafe reactor.advance(slot, Int(connection.index), by: 69)
    #expect(unsafe slot.pointee.nextVector == 3)
  }

  @Test func addingMoreVectorsThanThereAreIsRefused() throws {
    let (reactor, connection, _) = try connected(sendVectorCapacity: 2)
    let base = unsafe try #require(AlignedBuffer(64).pointer)
    #expect(unsafe reactor.addSendVector(connection, base, count: 1))
    #expect(unsafe reactor.addSendVector(connection, base, count: 1))
    #expect(unsafe !reactor.addSendVector(connection, base, count: 1))
  }

  @Test func closingWithOutstandingOperationsGivesOneClosedAndNothingElse() throws {
    let (reactor, connection, peer) = try connected(sendBufferBytes: 4096)
    let buffer = AlignedBuffer(1 << 20)
    let base = unsafe try #require(buffer.pointer)
    unsafe reactor.receive(connection, into: base, count: 64)
    #expect(unsafe reactor.addSendVector(connection, base, count: 1 << 20))
    reactor.startSend(connection)
    reactor.turn(until: MonotonicTime(nanoseconds: 0))
    reactor.close(connection)
    #expect(!reactor.isOpen(connection))
    var events: [String] = []
    while events.isEmpty {
      reactor.turn(until: SystemClock.now().adding(milliseconds: 1000))
      while let event = reactor.nextEvent() { events.append("\(event)") }
    }
    reactor.turn(until: SystemClock.now().adding(milliseconds: 5))
    while let event = reactor.nextEvent() { events.append("\(event)") }
    #expect(events == ["\(ReactorEvent.closed(connection: connection))"])
    while !peer.receive(65536).isEmpty {}
  }

  @Test func anIdleConnectionClosesAndItsSlotComesBackWithAnotherGeneration() throws {
    let (reactor, connection, _) = try connected(connectionCapacity: 1)
    reactor.close(connection)
    #expect(reactor.next { if case .closed(connection) = $0 { true } else { nil } } == true)
    let (peer, other) = try #require(TestPeer.pair())
    let again = try #require(reactor.adopt(socket: other))
    #expect(again.index == connection.index)
    #expect(again.generation != connection.generation)
    #expect(!reactor.isOpen(connection))
    #expect(reactor.isOpen(again))
    peer.close()
  }

  @Test func aPeerBeyondTheCapacityIsTurnedAway() throws {
    let (reactor, _, _) = try connected(connectionCapacity: 1)
    let (peer, other) = try #require(TestPeer.pair())
    #expect(reactor.adopt(socket: other) == nil)
    #expect(reactor.refusedConnectionCount == 1)
    #expect(peer.receive(1).isEmpty)
  }

  @Test func operationsBeyondTheSubmissionQueueAreNotLost() throws {
    let reactor = try Reactor(entries: 2, commandCapacity: 1, connectionCapacity: 32)
    try reactor.becomeOwner()
    var peers: [TestPeer] = []
    let buffer = AlignedBuffer(32)
    let base = unsafe try #require(buffer.pointer)
    for i in 0..<32 {
      let (peer, other) = try #require(TestPeer.pair())
      peers.append(peer)
      let connection = try #require(reactor.adopt(socket: other))
      unsafe reactor.receive(connection, into: base + i, count: 1)
      #expect(peer.send([UInt8(i)]) == 1)
    }
    for _ in 0..<32 {
      let received = reactor.next { if case .received(_, 1) = $0 { true } else { nil } }
      #expect(received == true)
    }
    #expect(buffer.contents == (0..<32).map { UInt8($0) })
  }

  @Test func shuttingDownEndsEverything() throws {
    let folder = try TemporaryFolder()
    let (reactor, connection, peer) = try connected()
    let listener = try reactor.listen(at: .unix(path: folder.file("s")))
    let device = try FileDevice.create(folder.file("d"), sizeBytes: 1 << 20)
    try reactor.attach(device, as: firstDevice)
    let buffer = AlignedBuffer(4096)
    unsafe reactor.receive(connection, into: try #require(buffer.pointer), count: 64)
    reactor.submit(command(.read, at: 0, AlignedBuffer(4096)))
    reactor.shutDown()
    #expect(reactor.freeCommandSlotCount == reactor.commandCapacity)
    #expect(reactor.boundPort(of: listener) == nil)
    #expect(peer.receive(1).isEmpty)
    #expect(unsafe access(folder.file("s"), F_OK) != 0)
  }

  private func connected(
    connectionCapacity: Int = 4, sendVectorCapacity: Int = 1024, sendBufferBytes: Int32 = 0
  ) throws -> (Reactor, ConnectionID, TestPeer) {
    let reactor = try Reactor(
      connectionCapacity: connectionCapacity, sendVectorCapacity: sendVectorCapacity)
    try reactor.becomeOwner()
    let (peer, other) = try #require(TestPeer.pair())
    if sendBufferBytes > 0 {
      var bytes = sendBufferBytes
      #expect(unsafe setsockopt(other, SOL_SOCKET, SO_SNDBUF, &bytes, 4) == 0)
    }
    return (reactor, try #require(reactor.adopt(socket: other)), peer)
  }
}
