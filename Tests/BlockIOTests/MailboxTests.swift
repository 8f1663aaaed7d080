import Glibc
import StorageUnits
import Testing

@testable import BlockIO

@Suite struct MailboxTests {
  @Test func aPostFromAnotherThreadWakesAWaitingReactor() throws {
    let reactor = try Reactor()
    let mailbox = Mailbox<Int>(waking: reactor.waker)
    let thread = try TestThread { for i in 0..<1000 { mailbox.post(i) } }
    var got: [Int] = []
    while got.count < 1000 {
      let woken = reactor.next { if case .mailbox = $0 { true } else { nil } }
      try #require(woken == true)
      got += mailbox.takeAll()
    }
    thread.join()
    #expect(got == Array(0..<1000))
  }

  @Test func aMessagePostedBeforeTheFirstTurnIsSeen() throws {
    let reactor = try Reactor()
    let mailbox = Mailbox<String>(waking: reactor.waker)
    mailbox.post("early")
    #expect(reactor.next { if case .mailbox = $0 { true } else { nil } } == true)
    #expect(mailbox.takeAll() == ["early"])
    #expect(mailbox.takeAll().isEmpty)
  }

  @Test func aClosedMailboxSaysSoAndKeepsNothing() throws {
    let reactor = try Reactor()
    let mailbox = Mailbox<Int>(waking: reactor.waker)
    #expect(mailbox.post(1))
    #expect(mailbox.close() == [1])
    #expect(!mailbox.post(2))
    #expect(mailbox.takeAll().isEmpty)
  }

  @Test func twoMailboxesShareOneReactor() throws {
    let reactor = try Reactor()
    let first = Mailbox<Int>(waking: reactor.waker)
    let second = Mailbox<@Sendable (Reactor) -> Void>(waking: reactor.waker)
    first.post(1)
    second.post { reactor in reactor.turn(until: MonotonicTime(nanoseconds: 0)) }
    #expect(reactor.next { if case .mailbox = $0 { true } else { nil } } == true)
    #expect(first.takeAll() == [1])
    for work in second.takeAll() { work(reactor) }
  }
}

/// A thread of one test.
final class TestThread {
  private var thread = pthread_t()

  init(_ body: @escaping @Sendable () -> Void) throws {
    let box = unsafe Unmanaged.passRetained(Body(body))
    let status = unsafe pthread_create(
      &thread, nil,
      { context in
        guard let context = unsafe context else { return nil }
        unsafe Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
        return nil
      }, box.toOpaque())
    try #require(status == 0)
  }

  func join() { _ = pthread_join(thread, nil) }

  private final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }
}
