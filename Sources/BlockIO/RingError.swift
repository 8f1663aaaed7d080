/// Why io_uring cannot be used here, in words that say what to do.
public struct RingError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Problem: Hashable, Sendable {
    /// The kernel was built without io_uring, or a sandbox hides it (ENOSYS).
    case notAvailable
    /// A sandbox (seccomp, container runtime) forbids it (EPERM).
    case notPermitted
    /// `/proc/sys/kernel/io_uring_disabled` holds this value, not zero.
    case disabledBySystem(value: Int)
    /// The kernel lacks what the reactor needs: older than 6.0.
    case kernelTooOld
    /// Not enough locked or kernel memory, or file descriptors, for a ring of this size.
    case outOfResources
    /// Any other errno of the set-up.
    case system
  }

  public var problem: Problem
  /// The positive errno.
  public var errno: Int32

  public init(problem: Problem, errno: Int32) {
    self.problem = problem
    self.errno = errno
  }

  public var description: String {
    switch problem {
    case .notAvailable:
      "io_uring is not available: this kernel has none, or a sandbox hides it. "
        + "Lamina needs Linux 6.0 or later with CONFIG_IO_URING."
    case .notPermitted:
      "io_uring is not permitted: a sandbox or container profile (seccomp) forbids it. "
        + "Allow io_uring_setup, io_uring_enter and io_uring_register, "
        + "for example with a seccomp profile of your own."
    case .disabledBySystem(let value):
      "io_uring is disabled on this machine (kernel.io_uring_disabled = \(value)). "
        + (value == 1
          ? "Run Lamina with CAP_SYS_ADMIN or in the group of kernel.io_uring_group, or as root: "
          : "As root: ") + "sysctl kernel.io_uring_disabled=0"
    case .kernelTooOld:
      "io_uring of this kernel is too old: Lamina needs Linux 6.0 or later."
    case .outOfResources:
      "io_uring could not be set up: \(SystemMessage.text(errno)). "
        + "Raise the limits on locked memory (ulimit -l) and open files (ulimit -n)."
    case .system:
      "io_uring could not be set up: \(SystemMessage.text(errno))."
    }
  }
}
