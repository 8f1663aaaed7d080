/// Why a server cannot listen at an address.
public struct ListenError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Problem: Hashable, Sendable {
    /// A server listens there already.
    case inUse
    /// The path exists and is no socket.
    case notASocket
    /// The path is longer than the 107 bytes that a socket address holds.
    case pathTooLong
    /// The host is neither numeric nor `localhost`.
    case unknownHost
    /// Anything else that the system refused.
    case system
  }

  public var problem: Problem
  public var address: SocketAddress
  /// The positive errno.
  public var errno: Int32

  public init(problem: Problem, address: SocketAddress, errno: Int32) {
    self.problem = problem
    self.address = address
    self.errno = errno
  }

  public var description: String {
    switch problem {
    case .inUse:
      "cannot listen at \(address): another server listens there. "
        + "Stop it or choose another address."
    case .notASocket:
      "cannot listen at \(address): a file of another kind is there. "
        + "Remove it or choose another path."
    case .pathTooLong:
      "cannot listen at \(address): a socket's path has at most 107 bytes. Choose a shorter one."
    case .unknownHost:
      "cannot listen at \(address): the host must be a numeric address or localhost."
    case .system:
      "cannot listen at \(address): \(SystemMessage.text(errno))."
    }
  }
}
