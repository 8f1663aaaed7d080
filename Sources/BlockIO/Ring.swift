import CBlockIO
import Glibc

/// One io_uring: a submission queue, a completion queue, nothing more. What the entries mean is the
/// reactor's business.
///
/// Used by one thread at a time; after `enable` only by the thread that called it.
@safe struct Ring: ~Copyable {
  /// At a stable address for the ring's whole life, as liburing demands.
  private let raw: UnsafeMutablePointer<io_uring>

  /// Creates a ring that is not enabled yet. The kernel rounds both sizes up to powers of two.
  init(submissionEntries: Int, completionEntries: Int) throws(RingError) {
    let raw = UnsafeMutablePointer<io_uring>.allocate(capacity: 1)
    unsafe raw.initialize(to: io_uring())
    let status = unsafe lamina_ring_create(
      raw, UInt32(submissionEntries), UInt32(completionEntries), 1)
    guard status == 0 else {
      unsafe raw.deallocate()
      throw Self.error(status)
    }
    unsafe self.raw = raw
  }

  deinit {
    unsafe io_uring_queue_exit(raw)
    unsafe raw.deallocate()
  }

  /// Makes the calling thread the only one that may use the ring.
  func enable() throws(RingError) {
    let status = unsafe lamina_ring_enable(raw)
    guard status == 0 else { throw Self.error(status) }
  }

  /// Queues one submission; false if the queue is full (then `turn` first). The arguments are the
  /// fields of `struct io_uring_sqe`.
  @inline(__always) func push(
    _ operation: io_uring_op, flags: UInt8 = 0, priority: UInt16 = 0, file: Int32,
    offset: UInt64 = 0, address: UInt64 = 0, length: UInt32 = 0, options: UInt32 = 0, tag: UInt64
  ) -> Bool {
    // Safe: the entry belongs to us until it is submitted, and liburing checks for room.
    unsafe lamina_ring_push(
      raw, UInt8(truncatingIfNeeded: operation.rawValue), flags, priority, file, offset, address,
      length, options, tag) != 0
  }

  /// Submits what is queued and waits until a completion is there or the timeout (nanoseconds; 0
  /// polls, `UInt64.max` is for ever) has passed. Returns the number submitted, or -errno.
  @inline(__always) func turn(timeoutNanoseconds: UInt64) -> Int32 {
    unsafe lamina_ring_turn(raw, timeoutNanoseconds)
  }

  /// The number of completions that can be popped.
  @inline(__always) var readyCount: Int { Int(unsafe io_uring_cq_ready(raw)) }

  /// Takes the next completion; only if `readyCount` is not zero.
  @inline(__always) func pop() -> lamina_completion { unsafe lamina_ring_pop(raw) }

  /// Reserves a table of registered files, all empty; false if the kernel refuses.
  func reserveRegisteredFiles(_ count: Int) -> Bool {
    unsafe io_uring_register_files_sparse(raw, UInt32(count)) == 0
  }

  /// Puts a descriptor (-1 for none) into the table of registered files; false if refused.
  func setRegisteredFile(_ index: Int, descriptor: Int32) -> Bool {
    var descriptor = descriptor
    return unsafe io_uring_register_files_update(raw, UInt32(index), &descriptor, 1) == 1
  }

  private static func error(_ status: Int32) -> RingError {
    let errno = -status
    let problem: RingError.Problem =
      switch errno {
      case ENOSYS: .notAvailable
      case EPERM: disabledProblem() ?? .notPermitted
      case EINVAL: .kernelTooOld
      case ENOMEM, EMFILE, ENFILE: .outOfResources
      default: .system
      }
    return RingError(problem: problem, errno: errno)
  }

  private static func disabledProblem() -> RingError.Problem? {
    guard let text = SmallFile.read("/proc/sys/kernel/io_uring_disabled"),
      let value = Int(text), value != 0
    else { return nil }
    return .disabledBySystem(value: value)
  }
}
