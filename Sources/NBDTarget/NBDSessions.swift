public import BlockExport
import StorageUnits

/// Every NBD connection of a server, without I/O: bytes and answers in, requests and socket actions
/// out.
///
/// The owner reports what happened on the sockets (`accept`, `received`, `sent`, `closed`) and what
/// the engine answered (`deliver`), calls `flush` once a turn, and carries out what `firstRequest`
/// and `nextAction` give. All memory is taken at start; per request nothing is allocated and no
/// reference is counted. Belongs to one thread.
///
/// What bounds a client (`NBDLimits`): one receive and one send at a time; a request is taken in
/// only when it has a slot and, window by window, its buffers; until then the connection does not
/// receive, which is the back-pressure. At most one request per connection waits, so the stream
/// keeps its order, and the requests before it never need anything that it holds.
@safe public final class NBDSessions {
  /// Replies of one send.
  static let vectorsPerSend = 256
  /// Bytes of headers of one send, and of one piece of negotiation output.
  static let headerAreaBytes = 16 << 10
  /// One send takes no further data beyond this.
  static let bytesPerSend = 4 << 20
  /// A write window up to this long waits in the receive buffer until it is whole; so a slow client
  /// holds no data buffer for it.
  static let stagedPayloadBytes = 32 << 10
  /// A payload that still lacks this much is received straight into its window.
  static let directReceiveBytes = 16 << 10

  let limits: NBDLimits
  let exports: NBDExports

  let sessions: SlotTable<SessionSlot>
  let freeSessions: FreeIndices
  let requests: SlotTable<RequestSlot>
  let freeRequests: FreeIndices
  let windows: SlotTable<WindowSlot>
  let freeWindows: FreeIndices
  let buffers: TransferBuffers

  // Allocated in `init`, freed in `deinit`; pieces of them are lent to the socket until it reports
  // back, and to nobody else.
  let receiveMemory: UnsafeMutableRawPointer
  let headerMemory: UnsafeMutableRawPointer
  let vectors: UnsafeMutablePointer<SendVector>
  let submissions: UnsafeMutablePointer<ExportRequest>
  let actions: UnsafeMutablePointer<NBDAction>

  var firstSubmission = 0
  var submissionCount = 0
  let actionCapacity: Int
  var firstAction = 0
  var actionCount = 0

  // Sessions that wait for a slot or a buffer, and sessions that may have something to send.
  var firstWaiting = noSlot
  var lastWaiting = noSlot
  var firstFlush = noSlot
  var lastFlush = noSlot
  /// A slot or buffer came back since the waiting sessions were last tried.
  var hasFreed = false

  // Per session, and only while a connection is set up.
  var negotiations: [Negotiation?]
  var agreements: [ExportAgreement?]
  /// In the order of their deadlines; entries of sessions that are done are skipped.
  var handshakes: [Handshake] = []
  var firstHandshake = 0
  var stallCheck = MonotonicTime.distantFuture

  public internal(set) var isDraining = false
  var counters = NBDStatistics()

  struct Handshake {
    var session: Int
    var generation: UInt64
    var deadline: MonotonicTime
  }

  /// - Parameter defaultExport: what the empty export name stands for; nil: the only volume, if
  /// there   is only one.
  public init(
    directory: any ExportDirectory, defaultExport: String? = nil, limits: NBDLimits = NBDLimits()
  ) {
    precondition(limits.connections > 0)
    precondition(limits.requests > 0)
    precondition(limits.requestsPerConnection > 0)
    precondition(limits.receiveBufferBytes >= 128 << 10, "an option of 64 KiB must fit")
    self.limits = limits
    exports = NBDExports(directory: directory, defaultExport: defaultExport)
    let connections = limits.connections
    sessions = SlotTable(count: connections, repeating: SessionSlot())
    freeSessions = FreeIndices(count: connections)
    requests = SlotTable(count: limits.requests, repeating: RequestSlot())
    freeRequests = FreeIndices(count: limits.requests)
    // One per buffer, and one per request for its reply: whoever has those finds a window.
    let windowCount =
      limits.requests + limits.smallBuffers + limits.mediumBuffers + limits.windowBuffers
    windows = SlotTable(count: windowCount, repeating: WindowSlot())
    freeWindows = FreeIndices(count: windowCount)
    buffers = TransferBuffers(limits)
    unsafe receiveMemory = .allocate(
      byteCount: connections * limits.receiveBufferBytes, alignment: 4096)
    unsafe headerMemory = .allocate(
      byteCount: connections * Self.headerAreaBytes, alignment: 4096)
    unsafe vectors = .allocate(capacity: connections * Self.vectorsPerSend)
    unsafe submissions = .allocate(capacity: windowCount)
    // A session has at most one receive, one send and one close that nobody has carried out.
    actionCapacity = connections * 3
    unsafe actions = .allocate(capacity: actionCapacity)
    negotiations = Array(repeating: nil, count: connections)
    agreements = Array(repeating: nil, count: connections)
  }

  /// The sockets and the engine must have given everything back.
  deinit {
    sessions.deallocate()
    freeSessions.deallocate()
    requests.deallocate()
    freeRequests.deallocate()
    windows.deallocate()
    freeWindows.deallocate()
    buffers.deallocate()
    unsafe receiveMemory.deallocate()
    unsafe headerMemory.deallocate()
    unsafe vectors.deallocate()
    unsafe submissions.deallocate()
    unsafe actions.deallocate()
  }

  public var statistics: NBDStatistics { counters }

  // MARK: What is to be done

  /// The oldest request that the engine has not taken.
  public var firstRequest: ExportRequest? {
    submissionCount > 0 ? unsafe submissions[firstSubmission] : nil
  }

  /// The engine has taken `firstRequest`.
  public func removeFirstRequest() {
    precondition(submissionCount > 0)
    firstSubmission &+= 1
    if firstSubmission == windows.count { firstSubmission = 0 }
    submissionCount &-= 1
  }

  /// The next thing to do with a socket, each given once.
  public func nextAction() -> NBDAction? {
    guard actionCount > 0 else { return nil }
    let action = unsafe actions[firstAction]
    firstAction &+= 1
    if firstAction == actionCapacity { firstAction = 0 }
    actionCount &-= 1
    return action
  }

  func append(_ request: ExportRequest) {
    precondition(submissionCount < windows.count)
    var at = firstSubmission &+ submissionCount
    if at >= windows.count { at &-= windows.count }
    unsafe submissions[at] = request
    submissionCount &+= 1
  }

  func append(_ action: NBDAction) {
    precondition(actionCount < actionCapacity)
    var at = firstAction &+ actionCount
    if at >= actionCapacity { at &-= actionCapacity }
    unsafe actions[at] = action
    actionCount &+= 1
  }

  // MARK: Memory of a session

  func receiveArea(_ i: Int) -> UnsafeMutableRawPointer {
    unsafe receiveMemory + i &* limits.receiveBufferBytes
  }

  func headerArea(_ i: Int) -> UnsafeMutableRawPointer {
    unsafe headerMemory + i &* Self.headerAreaBytes
  }
}
