import BlockExport
import StorageUnits

/// Taking and giving back what requests are made of.
extension NBDSessions {
  /// May this session have one more request? Like buffers, slots are never all one client's.
  func mayTakeRequest(_ i: Int) -> Bool {
    let free = freeRequests.freeCount
    let held = sessions[i].requests
    return free > 0 && held < limits.requestsPerConnection && (held == 0 || held < free)
  }

  func takeRequest(_ i: Int, _ command: NBDCommand, _ header: RequestHeader) -> Int {
    let r = freeRequests.take()
    var request = RequestSlot()
    request.session = i
    request.command = command
    request.flags = CommandFlags(rawValue: header.flags)
    request.cookie = header.cookie
    request.offset = header.offset
    request.length = Int(clamping: header.length)
    requests[r] = request
    sessions[i].requests &+= 1
    return r
  }

  /// A window of the request without a buffer.
  func takeWindow(_ r: Int, offset: UInt64, length: Int) -> Int {
    let w = freeWindows.take()
    var window = WindowSlot()
    window.state = .filling
    window.request = r
    window.offset = offset
    window.length = length
    windows[w] = window
    requests[r].windows &+= 1
    return w
  }

  func takeBuffer(_ i: Int, _ kind: BufferClass) -> TransferBuffer? {
    let held = sessions[i].buffers[kind.rawValue]
    guard let buffer = buffers.take(kind, held: held) else { return nil }
    sessions[i].buffers[kind.rawValue] = held &+ 1
    return buffer
  }

  func giveBackBuffer(_ w: Int) {
    guard let buffer = windows[w].buffer else { return }
    windows[w].buffer = nil
    buffers.giveBack(buffer)
    sessions[requests[windows[w].request].session].buffers[buffer.kind.rawValue] &-= 1
    hasFreed = true
  }

  /// Gives a window back, and its request if it was the last one.
  func releaseWindow(_ w: Int) {
    precondition(windows[w].state != .free && windows[w].state != .inEngine)
    giveBackBuffer(w)
    let r = windows[w].request
    windows[w].state = .free
    freeWindows.giveBack(w)
    requests[r].windows &-= 1
    if requests[r].windows == 0 && (requests[r].isCut || requests[r].isAbandoned) {
      releaseRequest(r)
    }
  }

  func releaseRequest(_ r: Int) {
    precondition(requests[r].windows == 0)
    sessions[requests[r].session].requests &-= 1
    requests[r].session = noSlot
    freeRequests.giveBack(r)
    hasFreed = true
  }

  /// Where the window's first byte lies: at the same distance from a multiple of 4096 as in the
  /// volume.
  func dataAddress(_ w: Int) -> UnsafeMutableRawPointer? {
    guard let buffer = windows[w].buffer else { return nil }
    let shift = Int(windows[w].offset % UInt64(StorageSizes.blockBytes))
    return unsafe buffers.address(buffer) + shift
  }

  // MARK: Waiting

  /// The session's request cannot go on before a slot or a buffer comes back.
  func wait(_ i: Int, for wait: SessionSlot.Wait) {
    sessions[i].wait = wait
    // A reply that was held back to be whole must not wait for what it holds itself.
    markFlush(i)
    guard !sessions[i].isInWaitingList else { return }
    sessions[i].isInWaitingList = true
    sessions[i].nextWaiting = noSlot
    if lastWaiting == noSlot {
      firstWaiting = i
    } else {
      sessions[lastWaiting].nextWaiting = i
    }
    lastWaiting = i
  }

  /// Tries everybody who waits once, in order; who still cannot go on keeps the place.
  func serveWaiting() {
    guard hasFreed && firstWaiting != noSlot else { return }
    hasFreed = false
    var i = firstWaiting
    firstWaiting = noSlot
    lastWaiting = noSlot
    while i != noSlot {
      let next = sessions[i].nextWaiting
      sessions[i].isInWaitingList = false
      sessions[i].wait = .nothing
      advance(i)
      i = next
    }
  }

  /// The session may have something to send, or may have come to its end.
  func markFlush(_ i: Int) {
    guard !sessions[i].isInFlushList else { return }
    sessions[i].isInFlushList = true
    sessions[i].nextFlush = noSlot
    if lastFlush == noSlot {
      firstFlush = i
    } else {
      sessions[lastFlush].nextFlush = i
    }
    lastFlush = i
  }

  func takeFlush() -> Int? {
    guard firstFlush != noSlot else { return nil }
    let i = firstFlush
    firstFlush = sessions[i].nextFlush
    if firstFlush == noSlot { lastFlush = noSlot }
    sessions[i].isInFlushList = false
    return i
  }
}
