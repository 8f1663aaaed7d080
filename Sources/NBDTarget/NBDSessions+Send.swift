import BlockExport
public import StorageUnits

/// From replies to gathered sends.
extension NBDSessions {
  /// Once a turn, after all events and answers: lets those go on who waited for what has become
  /// free, and makes one send per connection of everything that is ready. May give new requests.
  public func flush(at now: MonotonicTime) {
    repeat {
      serveWaiting()
      while let i = takeFlush() { makeSend(i, at: now) }
    } while hasFreed && firstWaiting != noSlot
    hasFreed = false
    armStallCheck(at: now)
  }

  /// A send ended: 0, or a positive errno.
  public func sent(_ i: Int, errno: Int32, at now: MonotonicTime) {
    precondition(sessions[i].isSending)
    sessions[i].isSending = false
    sessions[i].lastProgress = now
    guard sessions[i].phase != .closing else { return }
    guard errno == 0 else {
      close(i)
      return
    }
    let first = sessions[i].firstSending
    sessions[i].firstSending = noSlot
    releaseList(first)
    if sessions[i].phase == .negotiating {
      sessions[i].outputBytes = 0
      if sessions[i].closesAfterSend {
        close(i)
      } else if sessions[i].beginsTransmission {
        beginTransmission(i)
      } else {
        advance(i)
      }
    }
    markFlush(i)
  }

  /// Output of the negotiation, sent by the next flush.
  func putOut(_ i: Int, _ bytes: [UInt8]) {
    precondition(sessions[i].outputBytes == 0 && !sessions[i].isSending)
    precondition(bytes.count <= Self.headerAreaBytes)
    let area = unsafe headerArea(i)
    for (n, byte) in bytes.enumerated() {
      unsafe area.storeBytes(of: byte, toByteOffset: n, as: UInt8.self)
    }
    sessions[i].outputBytes = bytes.count
    markFlush(i)
  }

  private func makeSend(_ i: Int, at now: MonotonicTime) {
    switch sessions[i].phase {
    case .negotiating, .transmitting, .ending: break
    case .free, .closing, .lingering: return
    }
    guard !sessions[i].isSending else { return }
    let area = unsafe vectors + i &* Self.vectorsPerSend
    var assembly = unsafe SendAssembly(headers: headerArea(i), vectors: area)
    if sessions[i].outputBytes > 0 {
      unsafe assembly.addData(headerArea(i), count: sessions[i].outputBytes)
    } else {
      gather(i, &assembly)
    }
    guard assembly.vectorCount > 0, sessions[i].phase != .closing else {
      finishIfIdle(i)
      return
    }
    sessions[i].isSending = true
    sessions[i].lastProgress = now
    append(
      unsafe .send(
        session: i,
        vectors: UnsafeBufferPointer(start: area, count: assembly.vectorCount)))
  }

  /// Replies that stand alone go first, in the order in which they became ready; then the read
  /// whose data must follow its header without a gap.
  private func gather(_ i: Int, _ assembly: inout SendAssembly) {
    while assembly.hasRoom && sessions[i].phase != .closing {
      if sessions[i].isStreaming {
        guard streamOrdered(i, &assembly) else { return }
      } else if sessions[i].firstReady != noSlot {
        let w = sessions[i].firstReady
        sessions[i].firstReady = windows[w].next
        if sessions[i].firstReady == noSlot { sessions[i].lastReady = noSlot }
        addReply(w, i, &assembly)
      } else {
        guard startOrdered(i, &assembly) else { return }
      }
    }
  }

  private func addReply(_ w: Int, _ i: Int, _ assembly: inout SendAssembly) {
    let window = windows[w]
    let reply = reply(window.request, i)
    let isStructured = sessions[i].terms.structuredReplies
    if window.error != nil { counters.errors &+= 1 }
    switch window.reply {
    case .status:
      unsafe assembly.addHeader { out in
        reply.isExtended
          ? unsafe reply.none(out) : unsafe reply.simple(out, error: window.error)
      }
    case .data:
      unsafe assembly.addHeader { out in
        isStructured
          ? unsafe reply.offsetData(
            out, isDone: window.isDone, offset: window.offset, length: window.length)
          : unsafe reply.simple(out, error: nil)
      }
      if let data = unsafe dataAddress(w) {
        unsafe assembly.addData(data, count: window.length)
      }
    case .hole:
      unsafe assembly.addHeader { out in
        unsafe reply.offsetHole(
          out, isDone: window.isDone, offset: window.offset, length: window.length)
      }
    case .error:
      unsafe assembly.addHeader { out in
        unsafe reply.error(out, window.error ?? .inputOutput)
      }
    case .errorOffset:
      unsafe assembly.addHeader { out in
        unsafe reply.errorOffset(
          out, isDone: window.isDone, window.error ?? .inputOutput, offset: window.offset)
      }
    case .none: unsafe assembly.addHeader { out in unsafe reply.none(out) }
    case .blockStatus:
      if let buffer = window.buffer {
        unsafe assembly.addData(buffers.address(buffer), count: window.length)
      }
    }
    willSend(w, i)
  }

  /// The window is kept until the send has ended.
  private func willSend(_ w: Int, _ i: Int) {
    windows[w].state = .sending
    windows[w].next = sessions[i].firstSending
    sessions[i].firstSending = w
  }

  // MARK: Reads in one piece

  /// Sends the header of the first ordered read if the time has come; false if not.
  ///
  /// A short one waits until all of it has been read, so that an error can still be said. A long
  /// one begins with its first window, and so does one that waits for a buffer, because the buffers
  /// that it holds may be all there are.
  private func startOrdered(_ i: Int, _ assembly: inout SendAssembly) -> Bool {
    let r = sessions[i].firstOrdered
    guard r != noSlot else { return false }
    if let error = requests[r].error {
      failOrdered(r, i, error, &assembly)
      return true
    }
    let first = requests[r].firstWindow
    guard first != noSlot, windows[first].state == .answered else { return false }
    let isWhole = requests[r].isCut && requests[r].unanswered == 0
    let isLong = requests[r].windowCount > 4
    let isBlocked = sessions[i].current == r && sessions[i].wait != .nothing
    guard isWhole || isLong || isBlocked else { return false }

    let request = requests[r]
    let reply = reply(r, i)
    let isStructured = sessions[i].terms.structuredReplies
    unsafe assembly.addHeader { out in
      isStructured
        ? unsafe reply.offsetData(
          out, isDone: false, offset: request.offset, length: request.length)
        : unsafe reply.simple(out, error: nil)
    }
    sessions[i].isStreaming = true
    return true
  }

  /// Adds the next window of the read whose header has been sent; false if it is not there yet, or
  /// if the connection had to be dropped.
  private func streamOrdered(_ i: Int, _ assembly: inout SendAssembly) -> Bool {
    let r = sessions[i].firstOrdered
    let w = requests[r].firstWindow
    guard w != noSlot, windows[w].state == .answered, let data = unsafe dataAddress(w) else {
      return false
    }
    let isStructured = sessions[i].terms.structuredReplies
    if windows[w].error != nil {
      // A simple reply has no way left to say so (proto.md, `NBD_CMD_READ`).
      guard isStructured else {
        drop(i)
        return false
      }
      // A chunk that has begun is completed with zeros; the error follows it.
      unsafe data.initializeMemory(as: UInt8.self, repeating: 0, count: windows[w].length)
    }
    unsafe assembly.addData(data, count: windows[w].length)
    requests[r].firstWindow = windows[w].next
    willSend(w, i)
    guard requests[r].isCut && requests[r].firstWindow == noSlot else { return true }
    if isStructured { addTrailer(r, i, &assembly) }
    sessions[i].isStreaming = false
    removeFirstOrdered(i)
    return true
  }

  private func addTrailer(_ r: Int, _ i: Int, _ assembly: inout SendAssembly) {
    let reply = reply(r, i)
    let error = requests[r].error
    if error != nil { counters.errors &+= 1 }
    unsafe assembly.addHeader { out in
      if let error {
        unsafe reply.error(out, error)
      } else {
        unsafe reply.none(out)
      }
    }
  }

  /// Nothing of the read has been sent, and a part of it has failed.
  private func failOrdered(_ r: Int, _ i: Int, _ error: NBDError, _ assembly: inout SendAssembly) {
    counters.errors &+= 1
    let reply = reply(r, i)
    let isStructured = sessions[i].terms.structuredReplies
    unsafe assembly.addHeader { out in
      isStructured
        ? unsafe reply.error(out, error)
        : unsafe reply.simple(out, error: error)
    }
    removeFirstOrdered(i)
    if sessions[i].current == r {
      sessions[i].current = noSlot
      hasFreed = true
    }
    abandonWindows(r)
  }

  private func removeFirstOrdered(_ i: Int) {
    let r = sessions[i].firstOrdered
    sessions[i].firstOrdered = requests[r].nextOrdered
    if sessions[i].firstOrdered == noSlot { sessions[i].lastOrdered = noSlot }
  }
}
