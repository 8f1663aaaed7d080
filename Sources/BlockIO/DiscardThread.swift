import CBlockIO
import Glibc

/// Discards ranges of block devices, one after the other, away from the reactor: BLKDISCARD blocks
/// for as long as the device likes.
final class DiscardThread: @unchecked Sendable {
  struct Job {
    var slot: UInt32
    var descriptor: Int32
    /// In bytes.
    var offset: UInt64
    /// In bytes.
    var length: UInt64
  }
  struct Done {
    var slot: UInt32
    var errno: Int32
  }

  // Sendable: everything below is touched only under the lock. The arrays never grow beyond the
  // reactor's command slots, which bound the jobs.
  private let lock = ThreadLock()
  private let waker: ReactorWaker
  private var waiting: [Job] = []
  private var done: [Done] = []
  private var isStopping = false
  private var thread = pthread_t()

  init(capacity: Int, waker: ReactorWaker) {
    self.waker = waker
    waiting.reserveCapacity(capacity)
    done.reserveCapacity(capacity)
    let status = unsafe pthread_create(
      &thread, nil,
      { context in
        guard let context = unsafe context else { return nil }
        unsafe Unmanaged<DiscardThread>.fromOpaque(context).takeUnretainedValue().run()
        return nil
      }, Unmanaged.passUnretained(self).toOpaque())
    precondition(status == 0, "no thread for discards")
  }

  /// Finishes what was posted and ends the thread. Must be called before the release.
  func stop() {
    lock.withLock {
      isStopping = true
      lock.signal()
    }
    pthread_join(thread, nil)
  }

  func post(_ job: Job) {
    lock.withLock {
      waiting.append(job)
      lock.signal()
    }
  }

  /// A job that has ended, once.
  func nextDone() -> Done? { lock.withLock { done.popLast() } }

  private func run() {
    while let job = nextJob() {
      let status = lamina_block_discard(job.descriptor, job.offset, job.length)
      lock.withLock { done.append(Done(slot: job.slot, errno: -status)) }
      waker.wake()
    }
  }

  private func nextJob() -> Job? {
    lock.withLock {
      while waiting.isEmpty && !isStopping { lock.wait() }
      return waiting.isEmpty ? nil : waiting.removeFirst()
    }
  }
}
