import CBlockIO
import Glibc

/// Wakes a reactor from any thread, through an eventfd that its ring reads.
public final class ReactorWaker: Sendable {
  let descriptor: Int32

  init() throws(RingError) {
    // Blocking, because the ring polls only blocking descriptors; a write would block only after
    // 2⁶⁴−2 wakes that nobody read.
    descriptor = lamina_wake_descriptor()
    guard descriptor >= 0 else {
      throw RingError(problem: .outOfResources, errno: -descriptor)
    }
  }

  deinit { _ = close(descriptor) }

  /// Makes the reactor's `turn` return with a `.mailbox` event. Any thread.
  public func wake() {
    var one: UInt64 = 1
    while unsafe write(descriptor, &one, 8) < 0 && errno == EINTR {}
  }
}
