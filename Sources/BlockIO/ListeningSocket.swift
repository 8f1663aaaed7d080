import CBlockIO
import Glibc

/// A bound, listening socket. Closed, and its socket file removed, by `close`.
struct ListeningSocket {
  let descriptor: Int32
  /// The socket file and its identity, to be removed at the end only if it still is ours.
  private var file: (path: String, device: UInt64, inode: UInt64)?

  /// One socket, or two for `localhost` where the machine has IPv6.
  static func open(at address: SocketAddress) throws(ListenError) -> [ListeningSocket] {
    switch address {
    case .unix(let path): return [try ListeningSocket(path: path, address)]
    case .internet("localhost", let port):
      let first = try ListeningSocket(host: "127.0.0.1", port: port, address)
      let chosen = port == 0 ? UInt16(clamping: lamina_bound_port(first.descriptor)) : port
      do throws(ListenError) {
        return [first, try ListeningSocket(host: "::1", port: chosen, address)]
      } catch {
        // A machine without IPv6 has one loopback address.
        if error.errno == EADDRNOTAVAIL || error.errno == EAFNOSUPPORT { return [first] }
        first.close()
        throw error
      }
    case .internet(let host, let port):
      return [try ListeningSocket(host: host, port: port, address)]
    }
  }

  func close() {
    if let file { unsafe lamina_remove_socket_file(file.path, file.device, file.inode) }
    _ = Glibc.close(descriptor)
  }

  /// One that somebody else has bound and listens with, and whose file is theirs to remove.
  init(inherited socket: InheritedSocket) { descriptor = socket.descriptor }

  private init(host: String, port: UInt16, _ address: SocketAddress) throws(ListenError) {
    let onlyV6: Int32 = host == "::" ? 0 : 1
    let status = unsafe lamina_listen_internet(host, port, onlyV6)
    guard status >= 0 else {
      let problem: ListenError.Problem =
        switch -status {
        case EADDRINUSE: .inUse
        case EINVAL: .unknownHost
        default: .system
        }
      throw ListenError(problem: problem, address: address, errno: -status)
    }
    descriptor = status
  }

  /// A socket file that nobody listens on was left by a server that was killed: it is replaced.
  private init(path: String, _ address: SocketAddress) throws(ListenError) {
    var device: UInt64 = 0
    var inode: UInt64 = 0
    var status = unsafe lamina_listen_unix(path, &device, &inode)
    if status == -EADDRINUSE {
      switch unsafe lamina_probe_unix(path) {
      case 1: throw ListenError(problem: .inUse, address: address, errno: EADDRINUSE)
      case -ENOTSOCK: throw ListenError(problem: .notASocket, address: address, errno: EADDRINUSE)
      case 0: _ = unsafe unlink(path)
      default: break
      }
      status = unsafe lamina_listen_unix(path, &device, &inode)
    }
    guard status >= 0 else {
      let problem: ListenError.Problem =
        switch -status {
        case EADDRINUSE: .inUse
        case ENAMETOOLONG: .pathTooLong
        default: .system
        }
      throw ListenError(problem: problem, address: address, errno: -status)
    }
    descriptor = status
    file = (path, device, inode)
  }
}
