import CAllocationCounter
import StorageUnits
import Testing

@testable import BlockIO

/// The data path's promise: no heap allocation per event.
@Suite struct ReactorAllocationTests {
  @Test func commandsAllocateNothing() throws {
    let folder = try TemporaryFolder()
    let device = try FileDevice.create(folder.file("d"), sizeBytes: 1 << 20)
    let reactor = try Reactor(entries: 8)
    try reactor.attach(device, as: firstDevice)
    let buffer = AlignedBuffer(4096)
    func run(_ operation: IOCommand.Operation) {
      for token in 0..<64 {
        reactor.submit(command(operation, at: UInt64(token) * 4096, buffer, token: UInt64(token)))
      }
      var left = 64
      while left > 0 {
        reactor.turn(until: nil)
        while let event = reactor.nextEvent() {
          if case .io = event { left -= 1 }
        }
      }
    }
    for operation in [IOCommand.Operation.write, .read] {
      run(operation)
      let before = lamina_allocation_count()
      run(operation)
      #expect(lamina_allocation_count() - before == 0)
    }
  }

  @Test func receivingAndSendingAllocateNothing() throws {
    let reactor = try Reactor()
    try reactor.becomeOwner()
    let (peer, other) = try #require(TestPeer.pair())
    let connection = try #require(reactor.adopt(socket: other))
    let buffer = AlignedBuffer(4096)
    let base = unsafe try #require(buffer.pointer)
    let question: [UInt8] = [1, 2, 3, 4]
    func run() -> Int {
      var answered = 0
      for _ in 0..<64 {
        unsafe reactor.receive(connection, into: base, count: 4096)
        guard peer.send(question) == 4, reactor.nextReceived(connection) == 4 else { break }
        for at in 0..<4 {
          _ = unsafe reactor.addSendVector(connection, base + at, count: 1)
        }
        reactor.startSend(connection)
        guard reactor.nextSent(connection) == 0, peer.discard(4) else { break }
        answered += 1
      }
      return answered
    }
    #expect(run() == 64)
    let before = lamina_allocation_count()
    let answered = run()
    #expect(lamina_allocation_count() - before == 0)
    #expect(answered == 64)
  }
}
