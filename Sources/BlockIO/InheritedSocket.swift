import CBlockIO
import Glibc

/// A listening socket that this process was started with (systemd's socket activation).
public struct InheritedSocket: Hashable, Sendable {
  public let descriptor: Int32
  public let address: SocketAddress

  /// Takes the descriptor: it is closed with the listener, and by every program that this process
  /// starts. Nil if it is no listening stream socket on a path or an internet address.
  public init?(descriptor: Int32) {
    let capacity = 128
    var address: SocketAddress?
    unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity) { text in
      guard let base = text.baseAddress else { return }
      guard unsafe lamina_listener_address(descriptor, base, UInt64(capacity)) == 0 else { return }
      address = SocketAddress(unsafe String(cString: base))
    }
    guard let address else { return nil }
    self.descriptor = descriptor
    self.address = address
  }
}
