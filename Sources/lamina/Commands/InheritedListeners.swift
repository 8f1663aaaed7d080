import Glibc
import Management

/// The listening sockets that systemd starts a service with (sd_listen_fds(3)): descriptors from 3
/// on, as many as `LISTEN_FDS` says, if `LISTEN_PID` is this process.
enum InheritedListeners {
  private static let firstDescriptor: Int32 = 3

  /// Takes them: programs that this one starts are not told of them. Throws `addressInvalid` if the
  /// number is none.
  static func take() throws(ManagementError) -> [Int32] {
    let environment = HostEnvironment.current.variables
    defer {
      for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsafe unsetenv(name) }
    }
    guard let text = environment["LISTEN_FDS"], environment["LISTEN_PID"] == "\(getpid())" else {
      return []
    }
    guard let count = Int32(text), 0...64 ~= count else {
      throw ManagementError(
        .addressInvalid, "LISTEN_FDS is '\(text)', which is no number of sockets",
        correction: "Start the server by a socket unit, or without LISTEN_FDS and with --listen.",
        objects: [ManagementObject(.address, "LISTEN_FDS")])
    }
    return (0..<count).map { firstDescriptor + $0 }
  }
}
