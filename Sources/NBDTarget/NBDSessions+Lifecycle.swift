import BlockExport
public import StorageUnits

/// How connections begin and end.
extension NBDSessions {
  /// A peer has connected: the session to use for it, or nil if there is no room or the server is
  /// stopping; then the owner closes the socket.
  public func accept(at now: MonotonicTime) -> Int? {
    guard !isDraining, freeSessions.freeCount > 0 else {
      counters.connectionsRefused += 1
      return nil
    }
    let i = freeSessions.take()
    var session = SessionSlot()
    session.phase = .negotiating
    session.generation = sessions[i].generation + 1
    session.lastProgress = now
    // It may still be in a list from its life before.
    session.isInWaitingList = sessions[i].isInWaitingList
    session.nextWaiting = sessions[i].nextWaiting
    session.isInFlushList = sessions[i].isInFlushList
    session.nextFlush = sessions[i].nextFlush
    sessions[i] = session
    negotiations[i] = Negotiation()
    handshakes.append(
      Handshake(
        session: i, generation: session.generation,
        deadline: now.adding(milliseconds: limits.handshakeMilliseconds)))
    counters.connections += 1
    counters.connectionsTotal += 1
    putOut(i, Negotiation.greeting)
    return i
  }

  /// The client has said good-bye or stopped sending: what is under way is still answered.
  func end(_ i: Int) {
    precondition(sessions[i].phase == .transmitting)
    sessions[i].phase = .ending
    // A payload that broke off is nobody's write.
    let fill = sessions[i].fill
    if fill != noSlot {
      sessions[i].fill = noSlot
      releaseWindow(fill)
    }
    abandonCurrent(i)
    abandonSkip(i)
    markFlush(i)
  }

  private func abandonCurrent(_ i: Int) {
    let r = sessions[i].current
    guard r != noSlot else { return }
    sessions[i].current = noSlot
    requests[r].isAbandoned = true
    if requests[r].windows == 0 { releaseRequest(r) }
  }

  private func abandonSkip(_ i: Int) {
    let w = sessions[i].skipReply
    guard w != noSlot else { return }
    sessions[i].skipReply = noSlot
    sessions[i].skipBytes = 0
    releaseWindow(w)
  }

  /// Closes a session that is ending, or any when the server is stopping, once nothing of it is
  /// under way.
  func finishIfIdle(_ i: Int) {
    guard sessions[i].requests == 0, !sessions[i].isSending else { return }
    switch sessions[i].phase {
    case .ending: close(i)
    case .transmitting:
      let headerBytes = RequestHeader.byteCount(isExtended: sessions[i].terms.extendedHeaders)
      let hasRequest = sessions[i].tail - sessions[i].head >= headerBytes
      if isDraining && !hasRequest { close(i) }
    case .free, .negotiating, .closing, .lingering: break
    }
  }

  /// Ends a connection whose stream cannot be followed or whose time is up.
  func drop(_ i: Int) {
    counters.connectionsDropped += 1
    close(i)
  }

  /// Asks for the end of the connection. Its memory is kept until `closed`.
  func close(_ i: Int) {
    switch sessions[i].phase {
    case .negotiating, .transmitting, .ending:
      sessions[i].phase = .closing
      append(.close(session: i))
    case .free, .closing, .lingering: break
    }
  }

  /// The socket is gone and does not use the session's memory any more.
  public func closed(_ i: Int) {
    precondition(sessions[i].phase == .closing)
    sessions[i].isSending = false
    sessions[i].isReceiving = false
    releaseList(sessions[i].firstSending)
    sessions[i].firstSending = noSlot
    releaseList(sessions[i].firstReady)
    sessions[i].firstReady = noSlot
    sessions[i].lastReady = noSlot
    let fill = sessions[i].fill
    sessions[i].fill = noSlot
    if fill != noSlot { releaseWindow(fill) }
    abandonOrdered(i)
    abandonCurrent(i)
    abandonSkip(i)
    negotiations[i] = nil
    counters.connections -= 1
    sessions[i].phase = .lingering
    settle(i)
  }

  func releaseList(_ first: Int) {
    var w = first
    while w != noSlot {
      let next = windows[w].next
      releaseWindow(w)
      w = next
    }
  }

  private func abandonOrdered(_ i: Int) {
    while sessions[i].firstOrdered != noSlot {
      let r = sessions[i].firstOrdered
      sessions[i].firstOrdered = requests[r].nextOrdered
      if sessions[i].current == r { sessions[i].current = noSlot }
      abandonWindows(r)
    }
    sessions[i].lastOrdered = noSlot
    sessions[i].isStreaming = false
  }

  /// Gives back the windows of an ordered read; those in the engine come back with their answers.
  func abandonWindows(_ r: Int) {
    requests[r].isAbandoned = true
    var w = requests[r].firstWindow
    requests[r].firstWindow = noSlot
    if requests[r].windows == 0 {
      releaseRequest(r)
      return
    }
    while w != noSlot {
      let next = windows[w].next
      if windows[w].state == .answered { releaseWindow(w) }
      w = next
    }
  }

  /// Frees the session of a socket that is gone once the engine has answered everything.
  func settle(_ i: Int) {
    guard sessions[i].phase == .lingering, sessions[i].windowsInEngine == 0 else { return }
    precondition(sessions[i].requests == 0)
    if let agreement = agreements[i] {
      agreements[i] = nil
      exports.directory.closed(agreement.export.volume)
    }
    sessions[i].phase = .free
    freeSessions.giveBack(i)
  }

  // MARK: Stopping

  /// From now on nobody new is accepted, requests that arrive are answered with ESHUTDOWN, and each
  /// connection is closed once what is under way has been answered and sent.
  public func beginDrain() {
    isDraining = true
    for i in 0..<sessions.count {
      switch sessions[i].phase {
      case .negotiating: close(i)
      case .transmitting, .ending: markFlush(i)
      case .free, .closing, .lingering: break
      }
    }
  }

  /// Closes every connection without waiting for its client.
  public func closeAll() {
    isDraining = true
    for i in 0..<sessions.count { close(i) }
  }

  /// No connection is left, and the engine has nothing of one.
  public var isDrained: Bool { freeSessions.freeCount == sessions.count }

  /// Could a connection of this volume still send a request?
  public func isInUse(_ volume: VolumeID) -> Bool {
    agreements.contains { $0?.export.volume == volume }
  }

  // MARK: Deadlines

  /// When `expire` is to be called next, at the latest.
  public var nextDeadline: MonotonicTime {
    guard firstHandshake < handshakes.count else { return stallCheck }
    return min(handshakes[firstHandshake].deadline, stallCheck)
  }

  /// Drops who has negotiated for too long, and, while somebody waits for buffers, who keeps some
  /// and neither sends nor takes a byte.
  public func expire(at now: MonotonicTime) {
    while firstHandshake < handshakes.count {
      let handshake = handshakes[firstHandshake]
      let i = handshake.session
      let isUnderWay =
        sessions[i].phase == .negotiating && sessions[i].generation == handshake.generation
      guard !isUnderWay || handshake.deadline <= now else { break }
      if isUnderWay { drop(i) }
      firstHandshake += 1
    }
    if firstHandshake >= 64 && firstHandshake * 2 >= handshakes.count {
      handshakes.removeFirst(firstHandshake)
      firstHandshake = 0
    }
    if now >= stallCheck {
      stallCheck = .distantFuture
      if firstWaiting != noSlot { dropStalled(at: now) }
    }
  }

  private func dropStalled(at now: MonotonicTime) {
    for i in 0..<sessions.count {
      switch sessions[i].phase {
      case .transmitting, .ending: break
      case .free, .negotiating, .closing, .lingering: continue
      }
      let waitsForClient = sessions[i].isSending || sessions[i].fill != noSlot
      let limit = sessions[i].lastProgress.adding(milliseconds: limits.stallMilliseconds)
      if waitsForClient && sessions[i].requests > 0 && limit <= now { drop(i) }
    }
  }

  /// Looks for stalled clients a second after somebody began to wait.
  func armStallCheck(at now: MonotonicTime) {
    if firstWaiting == noSlot {
      stallCheck = .distantFuture
    } else if stallCheck == .distantFuture {
      stallCheck = now.adding(milliseconds: 1000)
    }
  }
}
