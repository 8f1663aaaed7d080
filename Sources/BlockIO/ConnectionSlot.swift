import Glibc

/// A connection, its operations and its area of send vectors.
@safe struct ConnectionSlot {
  enum State { case free, open, closing }

  var state = State.free
  var descriptor: Int32 = -1
  var generation: UInt32 = 0
  /// The descriptor is in the table of registered files.
  var isRegistered = false
  /// Operations that have not completed, cancellations included. The slot is not reused before this
  /// is zero.
  var outstanding = 0

  var isReceiving = false
  var waitsForAll = false
  var receiveBuffer: UnsafeMutableRawPointer?
  var receiveCount = 0

  var isSending = false
  /// Vectors filled in.
  var vectorCount = 0
  /// The first vector that is not wholly sent.
  var nextVector = 0
}
