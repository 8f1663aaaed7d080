import BlockIO
import Glibc
import Management

/// The thread that owns a `PoolHost`, seen from the control plane.
final class EngineThread: Sendable {
  let mailbox: Mailbox<@Sendable (PoolHost) -> Void>
  let listeners: [ListenAddress]
  let poolName: String
  private let ended: Ending

  private init(
    mailbox: Mailbox<@Sendable (PoolHost) -> Void>, listeners: [ListenAddress],
    poolName: String, ended: Ending
  ) {
    self.mailbox = mailbox
    self.listeners = listeners
    self.poolName = poolName
    self.ended = ended
  }

  /// Opens the pool on a thread of its own; returns when it is served.
  static func start(_ options: PoolHost.Options) async throws(ManagementError) -> EngineThread {
    let ended = Ending()
    let result = await withCheckedContinuation {
      (continuation: CheckedContinuation<Result<EngineThread, ManagementError>, Never>) in
      let body = Body {
        let host: PoolHost
        do throws(ManagementError) {
          host = try PoolHost(options)
        } catch {
          continuation.resume(returning: .failure(error))
          return
        }
        continuation.resume(
          returning: .success(
            EngineThread(
              mailbox: host.mailbox, listeners: host.listeners, poolName: options.record.name.text,
              ended: ended)))
        do throws(ManagementError) {
          try host.run()
          ended.end(with: nil)
        } catch {
          ended.end(with: error)
        }
      }
      body.start()
    }
    return try result.get()
  }

  /// Runs `body` on the thread; false: the pool is closed, and it is never run.
  @discardableResult func post(_ body: @escaping @Sendable (PoolHost) -> Void) -> Bool {
    mailbox.post(body)
  }

  /// Stops cleanly; returns when the pool is closed.
  func stop() async throws(ManagementError) {
    post { $0.beginStop() }
    if let problem = await ended.wait() { throw problem }
  }

  /// Returns when the pool is closed, whoever asked for it.
  func waitUntilEnded() async throws(ManagementError) {
    if let problem = await ended.wait() { throw problem }
  }

  /// Remembers how the thread ended, for whoever asks before or after.
  actor EndingState {
    private var isEnded = false
    private var problem: ManagementError?
    private var waiters: [CheckedContinuation<ManagementError?, Never>] = []

    func end(with problem: ManagementError?) {
      isEnded = true
      self.problem = problem
      for waiter in waiters { waiter.resume(returning: problem) }
      waiters = []
    }

    func wait() async -> ManagementError? {
      if isEnded { return problem }
      return await withCheckedContinuation { waiters.append($0) }
    }
  }

  final class Ending: Sendable {
    private let state = EndingState()
    /// From the thread, which cannot wait.
    func end(with problem: ManagementError?) { Task { [state] in await state.end(with: problem) } }
    func wait() async -> ManagementError? { await state.wait() }
  }

  /// The function of a detached thread; released when it ends.
  private final class Body: Sendable {
    private let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }

    func start() {
      var thread = pthread_t()
      let status = unsafe pthread_create(
        &thread, nil,
        { context in
          guard let context = unsafe context else { return nil }
          unsafe Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
          return nil
        }, Unmanaged.passRetained(self).toOpaque())
      precondition(status == 0, "no thread for the engine")
      pthread_detach(thread)
    }
  }
}
