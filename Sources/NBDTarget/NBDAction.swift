/// What the owner of the sockets is to do for a session.
@safe @frozen public enum NBDAction {
  /// Receive up to `count` bytes, or exactly so many if `waitForAll`, into `buffer`, which stays
  /// valid until `received` or `closed`.
  case receive(session: Int, buffer: UnsafeMutableRawPointer, count: Int, waitForAll: Bool)
  /// Send the vectors in order and completely; they and their bytes stay valid until `sent` or
  /// `closed`.
  case send(session: Int, vectors: UnsafeBufferPointer<SendVector>)
  /// End the connection; `closed` follows.
  case close(session: Int)
}

/// A piece of a send.
@safe @frozen public struct SendVector {
  public var base: UnsafeRawPointer
  public var count: Int

  @inlinable public init(base: UnsafeRawPointer, count: Int) {
    unsafe self.base = base
    self.count = count
  }
}
