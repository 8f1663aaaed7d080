import Glibc
import Management
import NIOCore
import NIOPosix

/// The file of a unix socket: who answers there, and who may use it.
enum SocketFile {
  /// Which file a path named at some moment.
  struct Identity: Hashable, Sendable {
    var device: UInt64
    var inode: UInt64
  }

  /// Throws `addressInUse` unless nothing is at the path, or a socket at which nobody answers.
  static func checkFree(_ path: String) throws(ManagementError) {
    switch probe(path) {
    case ENOENT, ECONNREFUSED: return
    case 0, EAGAIN:
      throw ManagementError(
        .addressInUse, "another server answers at \(path)",
        correction: "Stop it first, or use another state folder (--home).",
        objects: [ManagementObject(.file, path)])
    case ENAMETOOLONG:
      throw ManagementError(
        .socketPathTooLong, "the socket \(path) cannot be made",
        cause: "A socket's path has at most \(StateFolder.maximumSocketPathBytes) bytes.",
        correction: "Use a state folder with a shorter path (--home).",
        objects: [ManagementObject(.file, path)])
    case let problem:
      throw .system("make the socket", file: path, errorNumber: problem, code: .addressInvalid)
    }
  }

  /// The error number of an attempt to connect, 0 if it succeeds.
  private static func probe(_ path: String) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    guard bytes.count <= StateFolder.maximumSocketPathBytes else { return ENAMETOOLONG }
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
    let descriptor = socket(
      AF_UNIX,
      Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        | Int32(SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { return errno }
    defer { close(descriptor) }
    let length = socklen_t(MemoryLayout<sockaddr_un>.size)
    let result = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe connect(descriptor, $0, length)
      }
    }
    return result == 0 ? 0 : errno
  }

  /// Lets only the owner use the socket, and says which file it is.
  static func makePrivate(_ path: String) throws(ManagementError) -> Identity? {
    guard unsafe chmod(path, 0o600) == 0 else {
      throw .system("protect the socket", file: path, errorNumber: errno, code: .addressInvalid)
    }
    return identity(of: path)
  }

  /// Removes the socket unless another server has put its own there in the meantime.
  static func remove(_ path: String, ifStill identity: Identity?) {
    guard let identity, self.identity(of: path) == identity else { return }
    _ = unsafe unlink(path)
  }

  private static func identity(of path: String) -> Identity? {
    var status = stat()
    guard unsafe lstat(path, &status) == 0 else { return nil }
    return Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
  }

  /// What the failure to make a socket means.
  static func refusal(_ error: any Error, path: String) -> ManagementError {
    if error is UnixDomainSocketPathWrongType {
      return ManagementError(
        .addressInUse, "\(path) is there already, and is not a socket",
        correction: "Move it away.", objects: [ManagementObject(.file, path)])
    }
    if let error = error as? IOError {
      return .system(
        "make the socket", file: path, errorNumber: error.errnoCode, code: .addressInvalid)
    }
    return ManagementError(
      .addressInvalid, "cannot make the socket \(path)", cause: "\(error)",
      objects: [ManagementObject(.file, path)])
  }
}
