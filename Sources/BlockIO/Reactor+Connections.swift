import CBlockIO
import Glibc

extension Reactor {
  /// Is this a connection that the caller has not closed?
  public func isOpen(_ connection: ConnectionID) -> Bool {
    guard Int(connection.index) < connectionCapacity else { return false }
    let slot = unsafe connections + Int(connection.index)
    return unsafe slot.pointee.state == .open && slot.pointee.generation == connection.generation
  }

  /// Receives up to `count` bytes into `buffer`, or exactly so many if `waitForAll` (fewer only
  /// when the peer closes or an error comes between). One at a time per connection; the buffer
  /// belongs to the reactor until `.received` or `.closed`.
  public func receive(
    _ connection: ConnectionID, into buffer: UnsafeMutableRawPointer, count: Int,
    waitForAll: Bool = false
  ) {
    let slot = unsafe openSlot(connection)
    precondition(unsafe !slot.pointee.isReceiving, "one receive at a time")
    precondition(count > 0)
    unsafe slot.pointee.isReceiving = true
    unsafe slot.pointee.waitsForAll = waitForAll
    unsafe slot.pointee.receiveBuffer = buffer
    unsafe slot.pointee.receiveCount = min(count, 1 << 30)
    unsafe slot.pointee.outstanding &+= 1
    issue(OperationTag(.receive, index: connection.index, generation: connection.generation))
  }

  public func isReceiving(_ connection: ConnectionID) -> Bool {
    unsafe openSlot(connection).pointee.isReceiving
  }

  /// Appends bytes to what the next `startSend` sends; they are not copied and stay the reactor's
  /// until `.sent` or `.closed`. False if the vectors are used up. Not while a send is under way.
  public func addSendVector(_ connection: ConnectionID, _ bytes: UnsafeRawPointer, count: Int)
    -> Bool
  {
    let slot = unsafe openSlot(connection)
    precondition(unsafe !slot.pointee.isSending, "a send is under way")
    precondition(count > 0)
    let used = unsafe slot.pointee.vectorCount
    guard used < sendVectorCapacity else { return false }
    // Safe: the kernel only reads through the vectors of a send.
    unsafe vectorArea(connection.index)[used] = iovec(
      iov_base: UnsafeMutableRawPointer(mutating: bytes), iov_len: count)
    unsafe slot.pointee.vectorCount = used &+ 1
    return true
  }

  /// Sends everything that was added, in order and completely; then comes one `.sent`.
  public func startSend(_ connection: ConnectionID) {
    let slot = unsafe openSlot(connection)
    precondition(unsafe !slot.pointee.isSending, "a send is under way")
    precondition(unsafe slot.pointee.vectorCount > 0, "nothing to send")
    unsafe slot.pointee.isSending = true
    unsafe slot.pointee.nextVector = 0
    unsafe slot.pointee.outstanding &+= 1
    issue(OperationTag(.send, index: connection.index, generation: connection.generation))
  }

  public func isSending(_ connection: ConnectionID) -> Bool {
    unsafe openSlot(connection).pointee.isSending
  }

  /// Ends the connection: what was sent is still delivered, what waits is cancelled. Only `.closed`
  /// comes for it after this, when no operation of it is left.
  public func close(_ connection: ConnectionID) {
    let slot = unsafe openSlot(connection)
    unsafe slot.pointee.state = .closing
    lamina_shut_down(unsafe slot.pointee.descriptor)
    if unsafe slot.pointee.isReceiving { cancel(.cancelReceive, connection) }
    if unsafe slot.pointee.isSending { cancel(.cancelSend, connection) }
    if unsafe slot.pointee.outstanding == 0 { cancel(.closeNotice, connection) }
  }

  private func cancel(_ kind: OperationTag.Kind, _ connection: ConnectionID) {
    unsafe connections[Int(connection.index)].outstanding &+= 1
    issue(OperationTag(kind, index: connection.index, generation: connection.generation))
  }

  @inline(__always) private func openSlot(_ connection: ConnectionID)
    -> UnsafeMutablePointer<ConnectionSlot>
  {
    precondition(Int(connection.index) < connectionCapacity)
    let slot = unsafe connections + Int(connection.index)
    precondition(unsafe slot.pointee.generation == connection.generation, "a stale connection")
    precondition(unsafe slot.pointee.state == .open, "a closed connection")
    return unsafe slot
  }

  @inline(__always) private func vectorArea(_ index: UInt32) -> UnsafeMutablePointer<iovec> {
    unsafe vectors + Int(index) &* sendVectorCapacity
  }

  @inline(__always) private func file(_ index: Int, _ slot: UnsafeMutablePointer<ConnectionSlot>)
    -> (Int32, UInt8)
  {
    unsafe slot.pointee.isRegistered
      ? (Int32(truncatingIfNeeded: Self.deviceCapacity &+ index), LAMINA_SQE_FIXED_FILE)
      : (slot.pointee.descriptor, 0)
  }

  func pushReceive(_ tag: OperationTag) -> Bool {
    let slot = unsafe connections + tag.index
    let (file, flags) = unsafe file(tag.index, slot)
    return unsafe ring.push(
      IORING_OP_RECV, flags: flags, file: file,
      address: UInt64(UInt(bitPattern: slot.pointee.receiveBuffer)),
      length: UInt32(truncatingIfNeeded: slot.pointee.receiveCount),
      options: slot.pointee.waitsForAll ? LAMINA_WAIT_FOR_ALL : 0, tag: tag.bits)
  }

  func pushSend(_ tag: OperationTag) -> Bool {
    let slot = unsafe connections + tag.index
    let (file, flags) = unsafe file(tag.index, slot)
    let first = unsafe vectorArea(UInt32(truncatingIfNeeded: tag.index)) + slot.pointee.nextVector
    let count = unsafe slot.pointee.vectorCount &- slot.pointee.nextVector
    let options = LAMINA_WAIT_FOR_ALL | LAMINA_NO_SIGNAL
    if count == 1 {
      return unsafe ring.push(
        IORING_OP_SEND, flags: flags, file: file,
        address: UInt64(UInt(bitPattern: first.pointee.iov_base)),
        length: UInt32(truncatingIfNeeded: min(first.pointee.iov_len, 1 << 30)), options: options,
        tag: tag.bits)
    }
    let message = unsafe messages + tag.index
    unsafe message.pointee.msg_iov = first
    unsafe message.pointee.msg_iovlen = count
    return ring.push(
      IORING_OP_SENDMSG, flags: flags, file: file, address: UInt64(UInt(bitPattern: message)),
      length: 1, options: options, tag: tag.bits)
  }

  func receiveEnded(_ tag: OperationTag, result: Int32) -> ReactorEvent? {
    let slot = unsafe connections + tag.index
    precondition(unsafe slot.pointee.generation & 0xFF_FFFF == tag.generation)
    if unsafe slot.pointee.state == .open && (result == -EINTR || result == -EAGAIN) {
      issue(tag)
      return nil
    }
    unsafe slot.pointee.isReceiving = false
    unsafe slot.pointee.outstanding &-= 1
    guard unsafe slot.pointee.state == .open else { return closedIfQuiet(tag.index) }
    return .received(connection: identity(tag.index), result: Int(result))
  }

  func sendEnded(_ tag: OperationTag, result: Int32) -> ReactorEvent? {
    let slot = unsafe connections + tag.index
    precondition(unsafe slot.pointee.generation & 0xFF_FFFF == tag.generation)
    var errno: Int32 = 0
    if unsafe slot.pointee.state == .open {
      if result == 0 {
        errno = EPIPE
      } else if result > 0 {
        unsafe advance(slot, tag.index, by: Int(result))
      } else if result != -EINTR && result != -EAGAIN {
        errno = -result
      }
      if errno == 0, unsafe slot.pointee.nextVector < slot.pointee.vectorCount {
        issue(tag)
        return nil
      }
    }
    unsafe slot.pointee.isSending = false
    unsafe slot.pointee.vectorCount = 0
    unsafe slot.pointee.outstanding &-= 1
    guard unsafe slot.pointee.state == .open else { return closedIfQuiet(tag.index) }
    return .sent(connection: identity(tag.index), errno: errno)
  }

  /// Skips what was sent: whole vectors, then the first part of one.
  func advance(
    _ slot: UnsafeMutablePointer<ConnectionSlot>, _ index: Int, by sent: Int
  ) {
    let area = unsafe vectorArea(UInt32(truncatingIfNeeded: index))
    var left = sent
    var next = unsafe slot.pointee.nextVector
    while unsafe next < slot.pointee.vectorCount {
      let length = unsafe area[next].iov_len
      if left < length {
        unsafe area[next].iov_base = unsafe area[next].iov_base.map { unsafe $0 + left }
        unsafe area[next].iov_len = length &- left
        left = 0
        break
      }
      left &-= length
      next &+= 1
    }
    precondition(left == 0, "the kernel sent more than it was given")
    unsafe slot.pointee.nextVector = next
  }

  /// A cancellation or a notice of a closing connection ended.
  func connectionOperationEnded(_ index: Int) -> ReactorEvent? {
    unsafe connections[index].outstanding &-= 1
    return closedIfQuiet(index)
  }

  private func closedIfQuiet(_ index: Int) -> ReactorEvent? {
    let slot = unsafe connections + index
    precondition(unsafe slot.pointee.state == .closing)
    guard unsafe slot.pointee.outstanding == 0 else { return nil }
    let connection = identity(index)
    release(index)
    return .closed(connection: connection)
  }

  private func release(_ index: Int) {
    let slot = unsafe connections + index
    if unsafe slot.pointee.isRegistered {
      _ = ring.setRegisteredFile(Self.deviceCapacity + index, descriptor: -1)
    }
    // The result is of no use: nothing is pending on the socket, and the descriptor is gone anyway.
    _ = Glibc.close(unsafe slot.pointee.descriptor)
    unsafe slot.pointee.state = .free
    unsafe slot.pointee.descriptor = -1
    unsafe slot.pointee.receiveBuffer = nil
    unsafe freeConnections[freeConnectionCount] = UInt32(index)
    freeConnectionCount += 1
  }

  @inline(__always) private func identity(_ index: Int) -> ConnectionID {
    ConnectionID(
      index: UInt32(truncatingIfNeeded: index), generation: unsafe connections[index].generation)
  }

  /// Serves a connected, blocking socket from now on, as if it had been accepted; the reactor
  /// closes it. Nil, and the socket is closed, if every connection slot is taken.
  public func adopt(socket descriptor: Int32) -> ConnectionID? {
    guard freeConnectionCount > 0 else {
      refusedConnectionCount += 1
      _ = Glibc.close(descriptor)
      return nil
    }
    lamina_disable_delay(descriptor)
    freeConnectionCount -= 1
    let index = Int(unsafe freeConnections[freeConnectionCount])
    var fresh = ConnectionSlot()
    fresh.state = .open
    fresh.descriptor = descriptor
    // Zero is skipped also in the 24 bits that tags carry, so a tag's generation is never zero.
    fresh.generation = unsafe connections[index].generation &+ 1
    if fresh.generation & 0xFF_FFFF == 0 { fresh.generation &+= 1 }
    fresh.isRegistered =
      hasRegisteredFiles
      && ring.setRegisteredFile(Self.deviceCapacity + index, descriptor: descriptor)
    unsafe connections[index] = fresh
    return identity(index)
  }
}
