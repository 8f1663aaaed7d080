import Glibc

/// A mutual exclusion between threads, for the control plane.
///
/// A `pthread_mutex` and not `Synchronization.Mutex`, because ThreadSanitizer sees only the first.
@safe final class ThreadLock: @unchecked Sendable {
  // Sendable: a mutex exists to be shared, and the pointer is constant. Stable addresses, as POSIX
  // demands.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>

  init() {
    unsafe mutex = .allocate(capacity: 1)
    unsafe condition = .allocate(capacity: 1)
    unsafe mutex.initialize(to: pthread_mutex_t())
    unsafe condition.initialize(to: pthread_cond_t())
    let mutexStatus = unsafe pthread_mutex_init(mutex, nil)
    precondition(mutexStatus == 0)
    let conditionStatus = unsafe pthread_cond_init(condition, nil)
    precondition(conditionStatus == 0)
  }

  deinit {
    unsafe pthread_cond_destroy(condition)
    unsafe pthread_mutex_destroy(mutex)
    unsafe condition.deallocate()
    unsafe mutex.deallocate()
  }

  func withLock<Result>(_ body: () -> Result) -> Result {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    return body()
  }

  /// Waits for `signal`, giving the lock up meanwhile; only inside `withLock`, in a loop.
  func wait() { unsafe pthread_cond_wait(condition, mutex) }

  /// Lets one waiting thread go on.
  func signal() { unsafe pthread_cond_signal(condition) }
}
