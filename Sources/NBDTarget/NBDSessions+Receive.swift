import BlockExport
public import StorageUnits

/// From received bytes to requests.
extension NBDSessions {
  /// A receive ended: the number of bytes, 0 at the end of the stream, or a negative errno.
  public func received(_ i: Int, result: Int, at now: MonotonicTime) {
    precondition(sessions[i].isReceiving)
    sessions[i].isReceiving = false
    switch sessions[i].phase {
    case .negotiating where result <= 0: close(i)
    case .transmitting where result < 0: close(i)
    case .transmitting where result == 0: end(i)
    case .negotiating, .transmitting:
      sessions[i].lastProgress = now
      if sessions[i].receivesIntoWindow {
        sessions[i].filledBytes &+= result
      } else {
        sessions[i].tail &+= result
        precondition(sessions[i].tail <= limits.receiveBufferBytes)
      }
      advance(i)
    case .ending, .closing: break
    case .free, .lingering: preconditionFailure("bytes for a session without a socket")
    }
  }

  /// Does everything that can be done with the bytes that are there.
  func advance(_ i: Int) {
    switch sessions[i].phase {
    case .negotiating: negotiate(i)
    case .transmitting: takeRequests(i)
    case .free, .ending, .closing, .lingering: break
    }
  }

  // MARK: Negotiation

  private func negotiate(_ i: Int) {
    while sessions[i].phase == .negotiating && sessions[i].outputBytes == 0 {
      var output: [UInt8] = []
      let head = sessions[i].head
      // Safe: the bytes between head and tail have been received, and no receive is under way.
      let bytes = unsafe UnsafeRawBufferPointer(
        start: receiveArea(i) + head, count: sessions[i].tail - head)
      let step = unsafe bytes.withMemoryRebound(to: UInt8.self) { bytes in
        unsafe negotiations[i]?.step(bytes.span, exports: exports, into: &output)
      }
      guard let step else { preconditionFailure("a negotiating session has a negotiation") }
      sessions[i].head = head + step.consumed
      switch step.outcome {
      case .needsBytes:
        requestReceive(i)
        return
      case .again: break
      case .transmit(let agreement):
        agreements[i] = agreement
        sessions[i].beginsTransmission = true
      case .close:
        guard !output.isEmpty else {
          drop(i)
          return
        }
        sessions[i].closesAfterSend = true
      }
      if !output.isEmpty { putOut(i, output) }
    }
  }

  /// The last output of the negotiation has been sent.
  func beginTransmission(_ i: Int) {
    guard let agreement = agreements[i] else { preconditionFailure("nothing was agreed on") }
    negotiations[i] = nil
    sessions[i].phase = .transmitting
    sessions[i].terms = agreement.terms
    exports.directory.opened(agreement.export.volume)
    advance(i)
  }

  // MARK: Transmission

  private func takeRequests(_ i: Int) {
    let isExtended = sessions[i].terms.extendedHeaders
    let headerBytes = RequestHeader.byteCount(isExtended: isExtended)
    while sessions[i].phase == .transmitting {
      if sessions[i].skipReply != noSlot {
        guard skipPayload(i) else { break }
        continue
      }
      if sessions[i].current != noSlot {
        guard cut(i) else { break }
        continue
      }
      let head = sessions[i].head
      guard sessions[i].tail &- head >= headerBytes else { break }
      guard mayTakeRequest(i) else {
        wait(i, for: .request)
        break
      }
      // Safe: these bytes have been received, and no receive is under way.
      let header = unsafe RequestHeader(
        parsing: UnsafeRawBufferPointer(
          start: receiveArea(i) + head, count: headerBytes), isExtended: isExtended)
      sessions[i].head = head &+ headerBytes
      begin(i, header)
    }
    requestReceive(i)
    if isDraining { markFlush(i) }
  }

  /// Reads over the payload of a refused request; then its reply may go.
  private func skipPayload(_ i: Int) -> Bool {
    let n = min(sessions[i].tail - sessions[i].head, sessions[i].skipBytes)
    sessions[i].head += n
    sessions[i].skipBytes -= n
    guard sessions[i].skipBytes == 0 else { return false }
    let w = sessions[i].skipReply
    sessions[i].skipReply = noSlot
    makeReady(w, i)
    return true
  }

  /// Receives more, unless the session waits for something else.
  func requestReceive(_ i: Int) {
    guard !sessions[i].isReceiving, sessions[i].wait == .nothing else { return }
    switch sessions[i].phase {
    case .negotiating, .transmitting: break
    case .free, .ending, .closing, .lingering: return
    }
    let fill = sessions[i].fill
    if fill != noSlot, sessions[i].head == sessions[i].tail,
      let address = unsafe dataAddress(fill)
    {
      let filled = sessions[i].filledBytes
      let missing = windows[fill].length &- filled
      if missing >= Self.directReceiveBytes {
        sessions[i].isReceiving = true
        sessions[i].receivesIntoWindow = true
        append(
          unsafe .receive(
            session: i, buffer: address + filled, count: missing, waitForAll: true))
        return
      }
    }
    compactReceiveArea(i)
    var count = limits.receiveBufferBytes &- sessions[i].tail
    precondition(count > 0, "what is left of the stream is shorter than the buffer")
    if sessions[i].expectsLargePayload && fill == noSlot { count = min(count, 8 << 10) }
    sessions[i].isReceiving = true
    sessions[i].receivesIntoWindow = false
    append(
      unsafe .receive(
        session: i, buffer: receiveArea(i) + sessions[i].tail, count: count, waitForAll: false))
  }

  /// Makes room behind the bytes that have not been looked at.
  private func compactReceiveArea(_ i: Int) {
    let head = sessions[i].head
    let left = sessions[i].tail &- head
    guard head > 0 else { return }
    if left > 0 {
      guard limits.receiveBufferBytes &- sessions[i].tail < limits.receiveBufferBytes / 2 else {
        return
      }
      let area = unsafe receiveArea(i)
      unsafe area.copyMemory(from: area + head, byteCount: left)
    }
    sessions[i].head = 0
    sessions[i].tail = left
  }
}
