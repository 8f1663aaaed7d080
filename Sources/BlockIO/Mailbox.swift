/// Messages from any thread to the thread of a reactor: the control plane's way in.
///
/// The owner takes them when the reactor gives `.mailbox`. A message may be a closure that takes
/// what only the owner has, such as `@Sendable (Server) -> Void`.
public final class Mailbox<Message: Sendable>: @unchecked Sendable {
  // Sendable: `messages` is touched only under the lock.
  private let lock = ThreadLock()
  private let waker: ReactorWaker
  private var messages: [Message] = []
  private var isClosed = false

  public init(waking waker: ReactorWaker) { self.waker = waker }

  /// Appends the message and wakes the reactor. Any thread. False: the owner has closed the mailbox
  /// and never takes the message.
  @discardableResult public func post(_ message: Message) -> Bool {
    let count: Int? = lock.withLock {
      if isClosed { return nil }
      messages.append(message)
      return messages.count
    }
    guard let count else { return false }
    // Not empty means that a wake is on its way and the owner has not taken anything since.
    if count == 1 { waker.wake() }
    return true
  }

  /// Takes the messages that are left; no more are accepted.
  public func close() -> [Message] {
    lock.withLock {
      let taken = messages
      messages = []
      isClosed = true
      return taken
    }
  }

  /// Takes every message posted so far, in order.
  public func takeAll() -> [Message] {
    lock.withLock {
      let taken = messages
      messages = []
      return taken
    }
  }
}
