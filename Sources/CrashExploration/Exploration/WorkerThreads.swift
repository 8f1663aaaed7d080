import Glibc
import Synchronization

/// Threads of their own for work that keeps a core busy for long: the threads of Swift's
/// concurrency are not to be blocked.
enum WorkerThreads {
  private final class Group: Sendable {
    let body: @Sendable () -> Void
    private let left: Mutex<Int>
    private let ended: @Sendable () -> Void

    init(
      count: Int, _ body: @escaping @Sendable () -> Void, ended: @escaping @Sendable () -> Void
    ) {
      self.body = body
      left = Mutex(count)
      self.ended = ended
    }

    func threadEnded() {
      let isLast = left.withLock {
        $0 -= 1
        return $0 == 0
      }
      if isLast { ended() }
    }
  }

  /// Runs `body` on each of `count` threads; returns when all have ended.
  static func run(count: Int, _ body: @escaping @Sendable () -> Void) async {
    precondition(count > 0)
    await withCheckedContinuation { continuation in
      let group = Group(count: count, body) { continuation.resume() }
      for _ in 0..<count { start(group) }
    }
  }

  private static func start(_ group: Group) {
    var thread: pthread_t = 0
    let status = unsafe pthread_create(
      &thread, nil,
      { context in
        guard let context = unsafe context else { return nil }
        let group = unsafe Unmanaged<Group>.fromOpaque(context).takeRetainedValue()
        group.body()
        group.threadEnded()
        return nil
      }, Unmanaged.passRetained(group).toOpaque())
    precondition(status == 0, "no thread for an exploration")
    pthread_detach(thread)
  }
}
