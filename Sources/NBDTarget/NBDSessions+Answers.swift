public import BlockExport
import StorageUnits

/// From answers of the engine to replies.
extension NBDSessions {
  /// Takes the answers of a turn. `extents` are those that block status answers refer to; they are
  /// copied.
  public func deliver(_ answers: Span<ExportAnswer>, extents: Span<BlockStatusExtent>) {
    for n in answers.indices { deliver(answers[n], extents: extents) }
  }

  /// Takes one answer.
  public func deliver(_ answer: ExportAnswer, extents: Span<BlockStatusExtent>) {
    let w = Int(truncatingIfNeeded: answer.token)
    precondition(windows[w].state == .inEngine, "an answer to nothing that was asked")
    let r = windows[w].request
    let i = requests[r].session
    windows[w].state = .answered
    requests[r].unanswered &-= 1
    sessions[i].windowsInEngine &-= 1
    let error = answer.error.map { NBDError($0, of: requests[r].command) }
    windows[w].error = error

    let isGone = sessions[i].phase == .closing || sessions[i].phase == .lingering
    if isGone && requests[r].isOrdered && !requests[r].isAbandoned {
      // It is in the request's list, which `closed` gives back.
      return
    }
    if isGone || requests[r].isAbandoned {
      // A request of a closing session that is still being taken in is ended by `closed`.
      releaseWindow(w)
      settle(i)
      if sessions[i].phase == .ending { markFlush(i) }
      return
    }
    switch requests[r].command {
    case .read: readWindowEnded(w, r, i, isZero: answer.readsAsZeros)
    case .write: writeWindowEnded(w, r, i)
    case .blockStatus where error == nil: blockStatusEnded(w, r, i, answer, extents)
    case .blockStatus, .flush, .trim, .cache, .writeZeroes, .disconnect:
      windows[w].reply = error == nil ? .status : errorReply(i)
      makeReady(w, i)
    }
  }

  private func readWindowEnded(_ w: Int, _ r: Int, _ i: Int, isZero: Bool) {
    if requests[r].isOrdered {
      if requests[r].error == nil { requests[r].error = windows[w].error }
      markFlush(i)
      return
    }
    // The last one to be answered is the last one to be queued.
    windows[w].isDone = requests[r].isCut && requests[r].unanswered == 0
    if windows[w].error != nil {
      windows[w].reply = requests[r].windowCount > 1 ? .errorOffset : errorReply(i)
      giveBackBuffer(w)
    } else if isZero && sessions[i].terms.structuredReplies {
      windows[w].reply = .hole
      giveBackBuffer(w)
    } else {
      windows[w].reply = .data
    }
    makeReady(w, i)
  }

  /// A window of a write was answered, or was never submitted because the request had failed.
  func writeWindowEnded(_ w: Int, _ r: Int, _ i: Int) {
    if requests[r].error == nil { requests[r].error = windows[w].error }
    giveBackBuffer(w)
    guard requests[r].isCut && requests[r].unanswered == 0 else {
      windows[w].state = .answered
      releaseWindow(w)
      return
    }
    windows[w].error = requests[r].error
    windows[w].reply = requests[r].error == nil ? .status : errorReply(i)
    makeReady(w, i)
  }

  /// Makes the reply in the window's buffer: a chunk for each context, one after the other.
  private func blockStatusEnded(
    _ w: Int, _ r: Int, _ i: Int, _ answer: ExportAnswer, _ extents: Span<BlockStatusExtent>
  ) {
    guard let buffer = windows[w].buffer else { preconditionFailure("block status has a buffer") }
    let area = unsafe buffers.address(buffer)
    let context = statusContext(r, i)
    let layout = StatusChunkLayout(isExtended: sessions[i].terms.extendedHeaders)
    let contexts = requests[r].contexts
    let later = (contexts >> UInt16(requests[r].context)) >> 1
    let isFirst = requests[r].context == contexts.trailingZeroBitCount
    let start = isFirst ? 0 : windows[w].length
    // Each context has an equal part of the buffer.
    let room =
      (buffer.kind.bytes / contexts.nonzeroBitCount - layout.headerBytes) / layout.descriptorBytes
    let limit = requests[r].flags.contains(.requestOne) ? 1 : room
    var at = start + layout.headerBytes
    var descriptors = 0
    var left = UInt64(requests[r].length)
    var length: UInt64 = 0
    var state: UInt32 = 0

    func put() {
      unsafe layout.storeDescriptor(area, at, length: length, state: state)
      at += layout.descriptorBytes
      descriptors += 1
      length = 0
    }
    for n in answer.firstExtent..<answer.firstExtent + answer.extentCount {
      let extent = extents[n]
      let next: UInt32 =
        context.base != nil
        ? (extent.isChanged ? 1 : 0) : (extent.isHole ? 1 : 0) | (extent.readsAsZeros ? 2 : 0)
      if length > 0 && next != state {
        put()
        if descriptors == limit { break }
      }
      // Never more than was asked for, which also makes it fit the field.
      let part = min(extent.length, left)
      state = next
      length += part
      left -= part
      if left == 0 { break }
    }
    if length > 0 && descriptors < limit { put() }
    if descriptors == 0 {
      // A server may always say that it does not know: of changes, that it may have changed.
      if context.base != nil { state = 1 }
      length = UInt64(requests[r].length)
      put()
    }
    unsafe layout.storeHeader(
      area + start, reply(r, i), isDone: later == 0, context: context.id,
      descriptors: descriptors)
    windows[w].length = at
    guard later == 0 else {
      requests[r].context += 1 + later.trailingZeroBitCount
      return submit(w, r, i)
    }
    windows[w].reply = .blockStatus
    makeReady(w, i)
  }

  /// How replies to the request are written.
  func reply(_ r: Int, _ i: Int) -> ReplyEncoding {
    ReplyEncoding(
      cookie: requests[r].cookie, offset: requests[r].offset,
      isExtended: sessions[i].terms.extendedHeaders)
  }

  /// Queues the window's reply.
  func makeReady(_ w: Int, _ i: Int) {
    windows[w].state = .ready
    windows[w].next = noSlot
    if sessions[i].lastReady == noSlot {
      sessions[i].firstReady = w
    } else {
      windows[sessions[i].lastReady].next = w
    }
    sessions[i].lastReady = w
    markFlush(i)
  }
}
