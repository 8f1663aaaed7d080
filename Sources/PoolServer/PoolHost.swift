import BlockExport
import BlockIO
import DiskFormat
import Glibc
import Management
import NBDTarget
import PoolCore
import StorageUnits
import VolumeEngine

/// An open pool with its engine, on a reactor thread of its own: the main loop of the server.
///
/// Everything but `mailbox` belongs to that thread. `EngineThread` makes one there, runs it, and
/// lets it go.
final class PoolHost {
  /// What a host is made for.
  struct Options: Sendable {
    var record: PoolRecord
    var state: StateFolder
    var cache: CacheMode
    var nodeCacheBytes: UInt64?
    /// Nil: no targets, for a command that needs the pool itself.
    var serve: ServeOptions?
    /// Its devices get the name of the record.
    var renames = false
    /// What the holder's file says this process does.
    var purpose: String
    var platform = PoolPlatform.system
  }

  let options: Options
  let mailbox: Mailbox<@Sendable (PoolHost) -> Void>
  let engine: VolumeEngine
  let pool: Pool
  private let reactor: Reactor
  private let devices: [FileDevice]
  /// Nil in every product: the reactor carries out the commands.
  private let driver: (any DeviceDriver)?
  private let paths: [DeviceIndex: String]
  private var tail: PoolTail
  private var nbd: NBDServer?
  /// What this process itself reads and writes.
  let local = LocalRequests()
  /// Volumes into which a stream is being received.
  var receiving: Set<VolumeID> = []
  /// The addresses as they are, in the order of the options.
  private(set) var listeners: [ListenAddress] = []
  private var nextToken: UInt64 = 1
  private var waiting: [UInt64: @Sendable (PoolHost, ManagementResult) -> Void] = [:]
  /// Operations may have been begun since the engine last had its turn.
  private var hasAnsweredManagement = false

  private enum Phase { case serving, draining(until: MonotonicTime), closing, finished }
  private var phase = Phase.serving
  private var stopProblem: ManagementError?
  /// Since when nobody is connected; nil: somebody is, or it does not matter.
  private var idleSince: MonotonicTime?

  private static let drainSeconds: UInt64 = 5

  // MARK: Start

  /// Opens the pool: locks, recovers, and begins to listen. On the thread that then runs it.
  init(_ options: Options) throws(ManagementError) {
    self.options = options
    let state = options.state
    let record = options.record
    let lastHolder = state.holder(of: record.name)
    let devices = try PoolDevices.open(record, cache: options.cache, in: state)
    do throws(ManagementError) {
      try Self.noteHolder(options, lastHolder)
      var tail = try PoolTail(poolUUID: record.uuid, lastHolder: lastHolder, in: state)
      let configuration = EngineConfiguration(opening: Self.opening())
      let driver = options.platform.makeDriver?(devices)
      let opened = try Self.open(
        driver?.devices ?? devices, options, tail, configuration.opening)
      let (reactor, mailbox) = try Self.makeReactor(
        options, commandCapacity: configuration.commandSlots)
      try Self.attach(devices, driver, as: opened.indices, to: reactor)
      var paths: [DeviceIndex: String] = [:]
      for (index, device) in zip(opened.indices, devices) { paths[index] = device.name }
      let ring = try Self.makeTail(&tail, opened, options)
      self.reactor = reactor
      self.mailbox = mailbox
      self.devices = devices
      self.driver = driver
      self.paths = paths
      self.tail = tail
      pool = opened.pool
      engine = VolumeEngine(
        pool: opened.pool, configuration: configuration, journal: opened.journal, tail: ring)
      if !opened.report.wasClean { engine.sweepFreeSpace() }
    } catch {
      PoolDevices.close(devices)
      throw error
    }
    try listen()
  }

  private static func noteHolder(
    _ options: Options, _ last: PoolHolder?
  ) throws(ManagementError) {
    let state = options.state
    try state.setHolder(
      PoolHolder(
        host: HostName.current(), processID: getpid(), process: options.purpose,
        since: Timestamp(secondsSince1970: Int64(SystemClock.secondsSince1970())),
        controlSocketPath: options.serve == nil
          ? nil : try state.controlSocketPath(of: options.record.name),
        tailPath: try state.tailPath(poolUUID: options.record.uuid, lastHolder: last),
        listeners: options.serve?.listeners.map(\.description) ?? []),
      of: options.record.name)
  }

  static func opening() -> Opening {
    Opening(
      host: HostName.current(), process: UInt32(getpid()), at: SystemClock.secondsSince1970())
  }

  private static func open(
    _ devices: [any SynchronousDevice], _ options: Options, _ tail: PoolTail, _ opening: Opening
  ) throws(ManagementError) -> PoolOpening.Opened {
    let record = options.record
    var bounds = PoolBounds()
    if let bytes = options.nodeCacheBytes {
      bounds.nodeCacheBytes = Int(bytes)
      bounds.dirtyNodeBytes = min(bounds.dirtyNodeBytes, Int(bytes) / 2)
    }
    let settings = PoolOpening.Settings(
      bounds: bounds, logNonce: SystemRandom.bits64(), opening: opening,
      bootID: options.platform.bootID(),
      expectedPool: PoolOpening.ExpectedPool(uuid: record.uuid, name: record.name.text),
      newName: options.renames ? record.name.text : nil)
    let opened: PoolOpening.Opened
    do throws(PoolOpeningError) {
      if let earlier = tail.earlier {
        let bytes = unsafe UnsafeRawBufferPointer(
          start: earlier.pointer, count: earlier.byteCount)
        opened = try unsafe PoolOpening.open(devices, settings: settings, tail: bytes)
      } else {
        opened = try unsafe PoolOpening.open(devices, settings: settings)
      }
    } catch { throw ManagementError(pool: record.name, opening: error) }
    return opened
  }

  private static func makeReactor(
    _ options: Options, commandCapacity: Int
  ) throws(ManagementError) -> (Reactor, Mailbox<@Sendable (PoolHost) -> Void>) {
    let connections = options.serve?.maximumConnections ?? 1
    do throws(RingError) {
      let reactor = try Reactor(
        commandCapacity: commandCapacity, connectionCapacity: connections + 8)
      try reactor.becomeOwner()
      return (reactor, Mailbox(waking: reactor.waker))
    } catch { throw ManagementError(ring: error) }
  }

  private static func attach(
    _ devices: [FileDevice], _ driver: (any DeviceDriver)?, as indices: [DeviceIndex],
    to reactor: Reactor
  ) throws(ManagementError) {
    if let driver { return driver.attach(as: indices) }
    do throws(RingError) {
      for (index, device) in zip(indices, devices) { try reactor.attach(device, as: index) }
    } catch { throw ManagementError(ring: error) }
  }

  private static func makeTail(
    _ tail: inout PoolTail, _ opened: PoolOpening.Opened, _ options: Options
  ) throws(ManagementError) -> TailRing? {
    guard let bootID = options.platform.bootID() else { return nil }
    let file = try tail.renew(
      byteCount: TailRing.bytes(forRecordBytes: opened.pool.records.capacity), in: options.state)
    return unsafe TailRing(
      memory: UnsafeMutableRawBufferPointer(start: file.pointer, count: file.byteCount),
      pool: opened.pool.uuid, logGeneration: opened.journal.logGeneration, bootID: bootID)
  }

  private func listen() throws(ManagementError) {
    guard let serve = options.serve else { return }
    if let name = serve.defaultExport, pool.volume(named: name.text) == nil {
      throw .volumeNotFound(name, pool: pool.name)
    }
    var limits = NBDLimits()
    limits.connections = serve.maximumConnections
    limits.handshakeMilliseconds = UInt64(serve.handshakeTimeoutSeconds) * 1000
    let server = NBDServer(
      reactor: reactor, directory: engine, defaultExport: serve.defaultExport?.text,
      limits: limits)
    for address in serve.listeners {
      let listener = try Self.listen(at: address.socketAddress, with: server)
      listeners.append(address.bound(to: reactor.boundPort(of: listener)))
    }
    for descriptor in serve.inheritedSockets {
      guard let socket = InheritedSocket(descriptor: descriptor) else {
        throw ManagementError(
          .addressInvalid, "descriptor \(descriptor) cannot be listened with",
          cause: "It is no listening stream socket on a path or an internet address.",
          correction: "Have a ListenStream= in the socket unit, with Accept=no.",
          objects: [ManagementObject(.address, "descriptor \(descriptor)")])
      }
      server.listen(with: socket)
      listeners.append(ListenAddress(socket.address))
    }
    nbd = server
  }

  /// The kernel closes the sockets of a killed server a little after its locks fall, so an address
  /// that is in use gets some time to become free.
  private static func listen(
    at address: SocketAddress, with server: NBDServer
  ) throws(ManagementError) -> ListenerID {
    let start = SystemClock.now()
    while true {
      do throws(ListenError) {
        return try server.listen(at: address)
      } catch {
        guard error.problem == .inUse,
          SystemClock.now() < start.adding(milliseconds: addressPatienceMilliseconds)
        else { throw ManagementError(listening: error) }
        usleep(20_000)
      }
    }
  }

  private static let addressPatienceMilliseconds: UInt64 = 3000

  // MARK: The main loop

  /// Runs until the pool is closed. Throws what kept it from being closed cleanly.
  func run() throws(ManagementError) {
    // What was taken over by the start (deleted trees) goes on at once.
    undoUnfinishedReceives()
    pump(at: SystemClock.now())
    noteIdleness(at: SystemClock.now())
    while !isFinished {
      reactor.turn(until: deadline)
      let now = SystemClock.now()
      while let event = reactor.nextEvent() {
        if let nbd, nbd.handle(event, at: now) { continue }
        switch event {
        case .io(let completion): engine.complete(completion)
        case .mailbox: for message in mailbox.takeAll() { message(self) }
        case .accepted, .received, .sent, .closed: break
        }
      }
      if let driver {
        while let completion = driver.nextCompletion() { engine.complete(completion) }
      }
      pump(at: now)
      noteIdleness(at: now)
      stepStop(at: now)
    }
    reactor.shutDown()
    local.refuseAll()
    // Who asked too late is told so.
    for message in mailbox.close() { message(self) }
    if stopProblem == nil { tail.remove() }
    if stopProblem == nil { try options.state.removeHolder(of: options.record.name) }
    PoolDevices.close(devices)
    if let stopProblem { throw stopProblem }
  }

  private var isFinished: Bool {
    if case .finished = phase { return true }
    return false
  }

  private var deadline: MonotonicTime? {
    if let driver, driver.isBusy { return MonotonicTime(nanoseconds: 0) }
    var deadline = engine.nextDeadline ?? .distantFuture
    if let nbd {
      deadline = min(deadline, nbd.nextDeadline)
      if nbd.hasRequests && engine.hasRoom { return MonotonicTime(nanoseconds: 0) }
    }
    if local.hasRequests && engine.hasRoom { return MonotonicTime(nanoseconds: 0) }
    if hasAnsweredManagement { return MonotonicTime(nanoseconds: 0) }
    if case .draining(let until) = phase { deadline = min(deadline, until) }
    deadline = min(deadline, idleDeadline)
    return deadline == .distantFuture ? nil : deadline
  }

  /// Requests to the engine, commands to the devices, answers to the hosts.
  private func pump(at now: MonotonicTime) {
    engine.noteTime(now)
    // Without trash nobody asks for the time of day.
    if pool.hasTrash { engine.secondsSince1970 = SystemClock.secondsSince1970() }
    // A turn that frees buffers may let requests through that waited for them, and who hears that
    // an operation has ended may begin the next; a few rounds do, the rest comes with the next turn
    // of the reactor.
    hasAnsweredManagement = false
    for _ in 0..<4 {
      nbd?.submitRequests(engine.submit)
      local.submitRequests(engine.submit)
      engine.turn(now: now)
      // One question a turn, not one a command: the path of every product is the second loop.
      if let driver {
        while let command = engine.commands.removeFirst() { driver.submit(command) }
      } else {
        while let command = engine.commands.removeFirst() { reactor.submit(command) }
      }
      // Nothing is asked of the engine before all answers are taken, so the extents stay.
      let extents = engine.blockStatusExtents
      while let answer = engine.answers.removeFirst() {
        if local.deliver(answer, extents: extents.span) { continue }
        nbd?.deliver(answer, extents: extents.span)
      }
      nbd?.flushSends(at: now)
      hasAnsweredManagement = answerManagement()
      guard nbd?.hasRequests == true || local.hasRequests || hasAnsweredManagement else { break }
    }
  }

  /// Whether there was anything to tell.
  private func answerManagement() -> Bool {
    var hasAnswered = false
    while let answer = engine.nextManagementAnswer() {
      waiting.removeValue(forKey: answer.token)?(self, answer.result)
      hasAnswered = true
    }
    return hasAnswered
  }

  /// A token for a management operation; `done` is called on this thread with its outcome.
  func token(_ done: @escaping @Sendable (PoolHost, ManagementResult) -> Void) -> UInt64 {
    let token = nextToken
    nextToken += 1
    waiting[token] = done
    return token
  }

  // MARK: Stop

  /// When nobody will have been connected for long enough.
  private var idleDeadline: MonotonicTime {
    guard let seconds = options.serve?.idleExitSeconds, let idleSince, !isStopping else {
      return .distantFuture
    }
    return idleSince.adding(milliseconds: UInt64(seconds) * 1000)
  }

  private func noteIdleness(at now: MonotonicTime) {
    guard options.serve?.idleExitSeconds != nil, let nbd else { return }
    let isIdle = nbd.statistics.connections == 0 && receiving.isEmpty && !local.isBusy
    idleSince = isIdle ? idleSince ?? now : nil
    if idleDeadline <= now { beginStop() }
  }

  /// Stops cleanly: requests under way end, then the pool is closed.
  func beginStop() {
    guard case .serving = phase else { return }
    nbd?.beginDrain()
    phase = .draining(
      until: SystemClock.now().adding(milliseconds: Self.drainSeconds * 1000))
  }

  var isStopping: Bool {
    if case .serving = phase { return false }
    return true
  }

  private func stepStop(at now: MonotonicTime) {
    guard case .draining(let until) = phase else { return }
    if let nbd, !nbd.isDrained {
      if until <= now { nbd.closeAll() }
      if now < until.adding(milliseconds: Self.drainSeconds * 1000) { return }
    }
    phase = .closing
    engine.stop(
      token: token { host, result in
        if result != .done { host.stopProblem = host.closingProblem(result) }
        host.phase = .finished
      })
    pump(at: now)
  }

  private func closingProblem(_ result: ManagementResult) -> ManagementError {
    ManagementError(
      .inputOutput, "pool '\(pool.name)' was not closed cleanly", cause: "\(result).",
      correction: "The next start recovers what was flushed.",
      objects: [ManagementObject(.pool, pool.name)])
  }

  /// Nil: no hosts are served.
  var nbdStatistics: NBDStatistics? { nbd?.statistics }

  /// A host is connected to the volume.
  func isInUse(_ volume: VolumeID) -> Bool { nbd?.isInUse(volume) ?? false }

  // MARK: Answers to queries

  func status() -> PoolStatus {
    let usage = pool.usage
    let uuids = Dictionary(
      pool.members.map { ($0.index, $0.uuid) }, uniquingKeysWith: { first, _ in first })
    let deviceStatus = usage.devices.map { device in
      let counters = engine.statistics(of: device.device)
      return DeviceStatus(
        path: paths[device.device] ?? "", uuid: uuids[device.device] ?? .zero,
        index: device.device.index, sizeBytes: device.sizeBytes, usedBytes: device.usedBytes,
        dataReads: counters.dataReads, dataWrites: counters.dataWrites,
        nodeReads: counters.nodeReads, nodeWrites: counters.nodeWrites, flushes: counters.flushes)
    }
    return PoolStatus(
      name: pool.name, uuid: pool.uuid, state: engine.isReadOnly ? .readOnly : .online,
      stateReason: engine.isReadOnly ? "A device failed to make data durable." : nil,
      sizeBytes: usage.sizeBytes, usedBytes: usage.usedBytes, metadataBytes: usage.metadataBytes,
      reclaimableBytes: usage.reclaimableBytes, volumeCount: pool.volumeSlots.count,
      segmentSizeBytes: 4096 << UInt64(pool.segmentShift),
      allocationRunBytes: UInt64(pool.allocationRunExtents * StorageSizes.extentBytes),
      cacheMode: options.cache, checkpointSequence: pool.checkpointSequence,
      devices: deviceStatus, trashCount: pool.trash.count, trashBytes: usage.trashBytes,
      trashExpirySeconds: pool.trashExpirySeconds, owedBytes: pool.owedBytes,
      pendingDropCount: pool.doomedCount)
  }

  func description(of slot: VolumeSlot) -> VolumeDescription {
    let record = pool.record(of: slot)
    return VolumeDescription(
      name: pool.shownName(of: slot), pool: pool.name, uuid: record.uuid, id: record.id.number,
      sizeBytes: record.sizeBytes,
      allocatedBytes: record.allocatedExtents * UInt64(StorageSizes.extentBytes),
      mappedBytes: record.mappedBlocks * UInt64(StorageSizes.blockBytes),
      logicalBlockBytes: Int(record.logicalBlockBytes), readOnly: record.isReadOnly,
      fullPolicy: record.fullPolicy.shown,
      createdAt: Timestamp(secondsSince1970: Int64(record.createdAt)),
      snapshotOf: record.origin.flatMap { pool.volume($0) }.map { pool.record(of: $0).name },
      receiving: record.isReceiving ? true : nil,
      receivedFrom: record.origin != nil && record.lineage != .zero ? record.lineage : nil,
      owedBytes: pool.owes(slot) ? pool.owedBytes(of: slot) : nil)
  }
}

extension ListenAddress {
  init(_ address: SocketAddress) {
    switch address {
    case .unix(let path): self = .unix(path: path)
    case .internet(let host, let port): self = .tcp(host: host, port: port)
    }
  }

  var socketAddress: SocketAddress {
    switch self {
    case .unix(let path): .unix(path: path)
    case .tcp(let host, let port): .internet(host: host, port: port)
    }
  }

  /// With the port that the system chose.
  func bound(to port: UInt16?) -> ListenAddress {
    guard case .tcp(let host, _) = self, let port else { return self }
    return .tcp(host: host, port: port)
  }
}

extension FullPoolPolicy {
  var shown: FullPolicy {
    switch self {
    case .error: .error
    case .wait(let seconds): .wait(seconds: seconds)
    }
  }
}

extension FullPolicy {
  var stored: FullPoolPolicy {
    switch self {
    case .error: .error
    case .wait(let seconds): .wait(seconds: seconds)
    }
  }
}
