import CBlockIO
import Glibc
public import StorageUnits

/// The one thread's I/O: device files and sockets in one io_uring.
///
/// The owner calls `turn`, which submits everything queued and waits, then `nextEvent` until it
/// gives nil; between, it queues new operations. Created on any thread; the first `turn` (or
/// `attach`, `listen`) makes the calling thread its owner, and from then on every method, and the
/// release, belongs to that thread. Nothing here allocates after `init`, except listeners.
///
/// Every operation lives in a preallocated slot from which it can be issued at any time. When the
/// submission queue is full the operation's tag waits in `deferred`, so a small queue serves any
/// number of operations.
@safe public final class Reactor {
  let ring: Ring
  /// Wakes the reactor from other threads; `Mailbox` posts through it.
  public let waker: ReactorWaker
  /// The most commands that can be in flight.
  public let commandCapacity: Int
  /// The most connections that can be open.
  public let connectionCapacity: Int
  /// The most vectors in one send of a connection.
  public let sendVectorCapacity: Int

  var owner: pthread_t?
  /// Completions of this turn that `nextEvent` has not taken.
  var remaining = 0

  // Pointers below are allocated in `init`, freed in `deinit` and never leave the class.
  let commands: UnsafeMutablePointer<CommandSlot>
  let freeCommands: UnsafeMutablePointer<UInt32>
  var freeCommandCount: Int

  static let deviceCapacity = 64
  let devices: UnsafeMutablePointer<DeviceSlot>
  /// Device index in the pool → slot in `devices`; 0xFF none.
  let deviceSlots: UnsafeMutablePointer<UInt8>
  var attached: [FileDevice?]

  let connections: UnsafeMutablePointer<ConnectionSlot>
  let messages: UnsafeMutablePointer<msghdr>
  let vectors: UnsafeMutablePointer<iovec>
  let freeConnections: UnsafeMutablePointer<UInt32>
  var freeConnectionCount: Int
  var listeners: [ListenerSlot] = []
  /// Accepting stopped for want of descriptors or memory; tried again at this time.
  var acceptRetry = MonotonicTime.distantFuture
  /// Peers that were turned away because `connectionCapacity` connections were open.
  public internal(set) var refusedConnectionCount = 0

  let deferred: UnsafeMutablePointer<UInt64>
  let deferredCapacity: Int
  var deferredHead = 0
  var deferredCount = 0

  let hasRegisteredFiles: Bool
  let wakeCount: UnsafeMutablePointer<UInt64>
  var isMailboxArmed = false
  var discards: DiscardThread?
  var isShutDown = false

  /// Takes all memory that the reactor will ever use.
  ///
  /// - Parameters:
  ///   - entries: the size of the submission queue; a turn that queues more submits several times.
  ///   - commandCapacity: the most commands in flight.
  ///   - connectionCapacity: the most open connections.
  ///   - sendVectorCapacity: the most vectors in one send, at most 1024 (the kernel's bound).
  public init(
    entries: Int = 512, commandCapacity: Int = 2048, connectionCapacity: Int = 256,
    sendVectorCapacity: Int = 1024
  ) throws(RingError) {
    precondition(commandCapacity > 0)
    precondition(connectionCapacity > 0)
    precondition((1...1024).contains(sendVectorCapacity))
    // Room for every operation that can be outstanding, so that completions never overflow.
    let operations = commandCapacity + connectionCapacity * 5 + 64
    self.ring = try Ring(submissionEntries: entries, completionEntries: operations)
    self.waker = try ReactorWaker()
    self.commandCapacity = commandCapacity
    self.connectionCapacity = connectionCapacity
    self.sendVectorCapacity = sendVectorCapacity
    hasRegisteredFiles = ring.reserveRegisteredFiles(Self.deviceCapacity + connectionCapacity)

    unsafe commands = .allocate(capacity: commandCapacity)
    unsafe freeCommands = .allocate(capacity: commandCapacity)
    for i in 0..<commandCapacity {
      unsafe freeCommands[i] = UInt32(commandCapacity - 1 - i)
    }
    freeCommandCount = commandCapacity

    unsafe devices = .allocate(capacity: Self.deviceCapacity)
    unsafe deviceSlots = .allocate(capacity: 1 << 16)
    unsafe deviceSlots.initialize(repeating: 0xFF, count: 1 << 16)
    attached = Array(repeating: nil, count: Self.deviceCapacity)

    unsafe connections = .allocate(capacity: connectionCapacity)
    unsafe connections.initialize(repeating: ConnectionSlot(), count: connectionCapacity)
    unsafe messages = .allocate(capacity: connectionCapacity)
    unsafe messages.initialize(repeating: msghdr(), count: connectionCapacity)
    unsafe vectors = .allocate(capacity: connectionCapacity * sendVectorCapacity)
    unsafe freeConnections = .allocate(capacity: connectionCapacity)
    for i in 0..<connectionCapacity {
      unsafe freeConnections[i] = UInt32(connectionCapacity - 1 - i)
    }
    freeConnectionCount = connectionCapacity

    deferredCapacity = operations
    unsafe deferred = .allocate(capacity: operations)
    unsafe wakeCount = .allocate(capacity: 1)
    unsafe wakeCount.initialize(to: 0)
  }

  deinit {
    if owner != nil && !isShutDown { shutDown() }
    unsafe commands.deallocate()
    unsafe freeCommands.deallocate()
    unsafe devices.deallocate()
    unsafe deviceSlots.deallocate()
    unsafe connections.deallocate()
    unsafe messages.deallocate()
    unsafe vectors.deallocate()
    unsafe freeConnections.deallocate()
    unsafe deferred.deallocate()
    unsafe wakeCount.deallocate()
  }

  /// Makes the calling thread the owner, once. `turn`, `attach` and `listen` do it by themselves.
  public func becomeOwner() throws(RingError) {
    guard owner == nil else { return }
    try ring.enable()
    owner = pthread_self()
    armMailbox()
  }

  /// Submits everything that was queued and waits until something happens, or until `deadline`
  /// (nil: no deadline; one in the past: does not wait at all). Then `nextEvent` gives the events.
  ///
  /// Does not wait if events of the turn before are still there.
  public func turn(until deadline: MonotonicTime?) {
    if owner == nil {
      do throws(RingError) { try becomeOwner() } catch { fatalError(error.description) }
    }
    let timeout = timeoutNanoseconds(until: deadline)
    while deferredCount > 0 {
      issueDeferred()
      if deferredCount > 0 { check(ring.turn(timeoutNanoseconds: 0)) }
      // Completions must be taken before the kernel accepts more.
      if ring.readyCount > 0 && deferredCount > 0 { break }
    }
    check(ring.turn(timeoutNanoseconds: ring.readyCount > 0 ? 0 : timeout))
    remaining = ring.readyCount
  }

  /// The next thing that happened in this turn, or nil.
  public func nextEvent() -> ReactorEvent? {
    while remaining > 0 {
      remaining &-= 1
      let completion = ring.pop()
      let tag = OperationTag(bits: completion.tag)
      let event: ReactorEvent? =
        switch tag.kind {
        case .command: commandEnded(tag.index, result: completion.result)
        case .receive: receiveEnded(tag, result: completion.result)
        case .send: sendEnded(tag, result: completion.result)
        case .cancelReceive, .cancelSend, .closeNotice: connectionOperationEnded(tag.index)
        case .accept: acceptEnded(tag.index, result: completion.result, flags: completion.flags)
        case .mailbox: mailboxEnded(result: completion.result)
        case .cancelAccept, .cancelMailbox: nil
        case nil: preconditionFailure("a completion that nobody submitted")
        }
      if let event { return event }
    }
    return nil
  }

  private func timeoutNanoseconds(until deadline: MonotonicTime?) -> UInt64 {
    let limit = min(deadline ?? .distantFuture, acceptRetry)
    if limit == .distantFuture { return .max }
    let now = SystemClock.now()
    if acceptRetry <= now { retryAccepting() }
    return limit <= now ? 0 : limit.nanoseconds - now.nanoseconds
  }

  /// The errors of a turn that end by themselves are left to the next one; others are bugs.
  private func check(_ status: Int32) {
    if status >= 0 { return }
    switch -status {
    case EINTR, ETIME, EAGAIN, EBUSY: return
    case EEXIST: fatalError("the reactor was used by a thread that does not own it")
    default: fatalError("io_uring_enter failed: \(SystemMessage.text(-status))")
    }
  }
}
