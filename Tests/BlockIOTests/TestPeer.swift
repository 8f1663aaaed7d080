import Glibc

/// The other end of a connection, with plain blocking calls.
final class TestPeer {
  let descriptor: Int32
  private var isOpen = true

  init(_ descriptor: Int32) { self.descriptor = descriptor }

  deinit { close() }

  private static let streamType = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)

  /// Two connected unix sockets.
  static func pair() -> (peer: TestPeer, other: Int32)? {
    var ends: [Int32] = [-1, -1]
    let status = unsafe socketpair(AF_UNIX, streamType, 0, &ends)
    return status == 0 ? (TestPeer(ends[0]), ends[1]) : nil
  }

  /// Connects to a socket file; the errno if that fails.
  static func connect(path: String) -> Result<TestPeer, PeerError> {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { room in
      for (i, byte) in path.utf8.enumerated() where i < room.count - 1 { unsafe room[i] = byte }
    }
    return connect(AF_UNIX, &address)
  }

  /// Connects to a port of the IPv4 loopback address.
  static func connect(port: UInt16) -> Result<TestPeer, PeerError> {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return connect(AF_INET, &address)
  }

  private static func connect<Address>(_ family: Int32, _ address: inout Address)
    -> Result<TestPeer, PeerError>
  {
    let descriptor = socket(family, streamType, 0)
    let length = socklen_t(MemoryLayout<Address>.size)
    let status = unsafe withUnsafeBytes(of: &address) { bytes in
      unsafe bytes.withMemoryRebound(to: sockaddr.self) {
        unsafe Glibc.connect(descriptor, $0.baseAddress, length)
      }
    }
    let error = errno
    let peer = TestPeer(descriptor)
    return status == 0 ? .success(peer) : .failure(PeerError(errno: error))
  }

  func send(_ bytes: [UInt8]) -> Int {
    unsafe Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }

  /// Up to `count` bytes; none at the end of the stream.
  func receive(_ count: Int) -> [UInt8] {
    unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
      used = unsafe max(0, recv(descriptor, buffer.baseAddress, count, 0))
    }
  }

  /// Takes `count` bytes (at most 64) and forgets them, without allocating.
  func discard(_ count: Int) -> Bool {
    var room = (0, 0, 0, 0, 0, 0, 0, 0)
    return unsafe recv(descriptor, &room, count, Int32(MSG_WAITALL)) == count
  }

  func close() {
    guard isOpen else { return }
    isOpen = false
    // A child that another test starts may share the socket for a moment: the end comes now.
    _ = shutdown(descriptor, Int32(SHUT_RDWR))
    _ = Glibc.close(descriptor)
  }
}

struct PeerError: Error {
  var errno: Int32
}
