/// Messages from any thread to the thread of a reactor: the control plane's way in.
///
/// The owner takes them when the reactor gives `.mailbox`. A message may be a closure that takes
/// what only the owner has, such as `@Sendable (Server) -> Void`.
public final class Mailbox<Message: Sendable>: @unchecked Sendable {
  // Sendable: `messages` is touched only under the lock.
  private let lock = ThreadLock()
  private let waker: ReactorWaker
  private var messages: [Message] = []

  public init(waking waker: ReactorWaker) { self.waker = waker }

  /// Appends the message and wakes the reactor. Any thread.
  public func post(_ message: Message) {
    let wasEmpty = lock.withLock {
      messages.append(message)
      return messages.count == 1
    }
    // Not empty means that a wake is on its way and the owner has not taken anything since.
    if wasEmpty { waker.wake() }
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
