import BlockExport
import StorageUnits

/// From request headers to requests of the engine.
extension NBDSessions {
  /// Begins the request of a header that has just been read. There is a request slot for it.
  func begin(_ i: Int, _ header: RequestHeader) {
    let terms = sessions[i].terms
    switch RequestCheck(header, terms) {
    case .drop: drop(i)
    case .disconnect: end(i)
    case .refuse(let error): refuse(i, header, error)
    case .acceptFilter where isDraining: refuse(i, header, .shutdown)
    case .acceptFilter(let payloadBytes):
      let r = takeRequest(i, .blockStatus, header)
      requests[r].filterBytes = payloadBytes
      sessions[i].current = r
      sessions[i].cutBytes = 0
    case .nothingToDo(let command):
      count(command, bytes: 0)
      let r = takeRequest(i, command, header)
      requests[r].isCut = true
      let w = takeWindow(r, offset: header.offset, length: 0)
      windows[w].reply = command == .read && terms.structuredReplies ? .none : .status
      makeReady(w, i)
    case .accept where isDraining: refuse(i, header, .shutdown)
    case .accept(let command):
      count(command, bytes: header.length)
      let r = takeRequest(i, command, header)
      if command == .read || command == .write || command == .blockStatus {
        beginCutting(r, i)
      } else {
        requests[r].isCut = true
        submit(takeWindow(r, offset: header.offset, length: Int(header.length)), r, i)
      }
    }
  }

  private func count(_ command: NBDCommand, bytes: UInt64) {
    switch command {
    case .read:
      counters.reads &+= 1
      counters.bytesRead &+= bytes
    case .write:
      counters.writes &+= 1
      counters.bytesWritten &+= bytes
    case .flush: counters.flushes &+= 1
    case .trim: counters.trims &+= 1
    case .cache: counters.caches &+= 1
    case .writeZeroes: counters.writeZeroes &+= 1
    case .blockStatus: counters.blockStatuses &+= 1
    case .disconnect: break
    }
  }

  private func refuse(_ i: Int, _ header: RequestHeader, _ error: NBDError) {
    let command = NBDCommand(rawValue: header.type)
    let r = takeRequest(i, command ?? .flush, header)
    requests[r].isCut = true
    let w = takeWindow(r, offset: header.offset, length: 0)
    windows[w].error = error
    windows[w].reply = errorReply(i)
    let payloadBytes = header.payloadBytes(isExtended: sessions[i].terms.extendedHeaders)
    if payloadBytes > 0 {
      windows[w].state = .answered
      sessions[i].skipBytes = Int(payloadBytes)
      sessions[i].skipReply = w
    } else {
      makeReady(w, i)
    }
  }

  /// How a request fails as a whole.
  func errorReply(_ i: Int) -> WindowSlot.Reply {
    sessions[i].terms.structuredReplies ? .error : .status
  }

  // MARK: Windows

  private func beginCutting(_ r: Int, _ i: Int) {
    let windowBytes = UInt64(ExportLimits.windowBytes)
    let first = requests[r].offset / windowBytes
    let last = (requests[r].offset + UInt64(requests[r].length) - 1) / windowBytes
    requests[r].windowCount = Int(last - first) + 1
    sessions[i].current = r
    sessions[i].cutBytes = 0
    sessions[i].expectsLargePayload =
      requests[r].command == .write && requests[r].length > Self.stagedPayloadBytes
    let inOnePiece =
      !sessions[i].terms.structuredReplies || requests[r].flags.contains(.doNotFragment)
    if requests[r].command == .read && requests[r].windowCount > 1 && inOnePiece {
      requests[r].isOrdered = true
      if sessions[i].lastOrdered == noSlot {
        sessions[i].firstOrdered = r
      } else {
        requests[sessions[i].lastOrdered].nextOrdered = r
      }
      sessions[i].lastOrdered = r
    }
  }

  /// Takes the current request further; false if it must wait for bytes, or for a buffer.
  func cut(_ i: Int) -> Bool {
    let r = sessions[i].current
    switch requests[r].command {
    case .read: return cutRead(r, i)
    case .write: return cutWrite(r, i)
    case .blockStatus: return cutBlockStatus(r, i)
    case .disconnect, .flush, .trim, .cache, .writeZeroes:
      preconditionFailure("a request without data is not cut")
    }
  }

  /// The range of the next window: up to the next multiple of 1 MiB of the volume.
  private func nextWindow(_ r: Int, _ i: Int) -> (offset: UInt64, length: Int) {
    let offset = requests[r].offset + UInt64(sessions[i].cutBytes)
    let room = ExportLimits.windowBytes - Int(offset % UInt64(ExportLimits.windowBytes))
    return (offset, min(requests[r].length - sessions[i].cutBytes, room))
  }

  /// Notes that all windows up to `bytes` exist.
  private func didCut(_ r: Int, _ i: Int, _ bytes: Int) {
    sessions[i].cutBytes += bytes
    if sessions[i].cutBytes == requests[r].length {
      requests[r].isCut = true
      sessions[i].current = noSlot
    }
  }

  private func cutRead(_ r: Int, _ i: Int) -> Bool {
    while !requests[r].isCut {
      let (offset, length) = nextWindow(r, i)
      guard let buffer = takeBuffer(i, .holding(offset: offset, length: length)) else {
        wait(i, for: .buffer)
        return false
      }
      let w = takeWindow(r, offset: offset, length: length)
      windows[w].buffer = buffer
      if requests[r].isOrdered {
        if requests[r].firstWindow == noSlot {
          requests[r].firstWindow = w
        } else {
          windows[requests[r].lastWindow].next = w
        }
        requests[r].lastWindow = w
      }
      didCut(r, i, length)
      submit(w, r, i)
    }
    return true
  }

  private func cutBlockStatus(_ r: Int, _ i: Int) -> Bool {
    if requests[r].filterBytes > 0 {
      guard sessions[i].tail - sessions[i].head >= requests[r].filterBytes else { return false }
      guard takeFilter(r, i) else { return true }
    }
    // Its reply is made in the buffer.
    guard let buffer = takeBuffer(i, .small) else {
      wait(i, for: .buffer)
      return false
    }
    let w = takeWindow(r, offset: requests[r].offset, length: requests[r].length)
    windows[w].buffer = buffer
    didCut(r, i, requests[r].length)
    let contexts = agreements[i]?.contexts.count ?? 0
    if requests[r].contexts == 0 { requests[r].contexts = UInt16(1 << contexts - 1) }
    requests[r].context = requests[r].contexts.trailingZeroBitCount
    submit(w, r, i)
    return true
  }

  /// Reads the payload of a block status, which is there; false if it is refused, and is over.
  private func takeFilter(_ r: Int, _ i: Int) -> Bool {
    let head = sessions[i].head
    let byteCount = requests[r].filterBytes
    sessions[i].head = head + byteCount
    requests[r].filterBytes = 0
    // Safe: these bytes have been received, and no receive is under way.
    let filter = unsafe StatusFilter(
      parsing: UnsafeRawBufferPointer(start: receiveArea(i) + head, count: byteCount),
      selected: agreements[i]?.contexts ?? [])
    let error =
      filter.map {
        RequestCheck.error(
          .blockStatus, requests[r].offset, $0.length, sessions[i].terms)
          ?? ($0.length == 0 ? .invalid : nil)
      } ?? .invalid
    guard let filter, error == nil else {
      requests[r].isCut = true
      sessions[i].current = noSlot
      let w = takeWindow(r, offset: requests[r].offset, length: 0)
      windows[w].error = error ?? .invalid
      windows[w].reply = errorReply(i)
      makeReady(w, i)
      return false
    }
    count(.blockStatus, bytes: filter.length)
    requests[r].length = Int(filter.length)
    requests[r].contexts = filter.contexts
    return true
  }

  /// The context that a block status is being answered for; they are taken one after the other.
  func statusContext(_ r: Int, _ i: Int) -> MetaContext {
    guard let contexts = agreements[i]?.contexts, requests[r].context < contexts.count else {
      preconditionFailure("block status without a context")
    }
    return contexts[requests[r].context]
  }

  private func cutWrite(_ r: Int, _ i: Int) -> Bool {
    while !requests[r].isCut {
      if sessions[i].fill == noSlot {
        let (offset, length) = nextWindow(r, i)
        let available = sessions[i].tail - sessions[i].head
        if length <= Self.stagedPayloadBytes && available < length { return false }
        guard let buffer = takeBuffer(i, .holding(offset: offset, length: length)) else {
          wait(i, for: .buffer)
          return false
        }
        let w = takeWindow(r, offset: offset, length: length)
        windows[w].buffer = buffer
        sessions[i].fill = w
        sessions[i].filledBytes = 0
      }
      guard fillWindow(i) else { return false }
      let w = sessions[i].fill
      sessions[i].fill = noSlot
      didCut(r, i, windows[w].length)
      // After a part has failed the rest need not be written: the request has failed.
      if requests[r].error == nil {
        submit(w, r, i)
      } else {
        writeWindowEnded(w, r, i)
      }
    }
    return true
  }

  /// Moves received payload into the window that is being filled; true once it is full.
  private func fillWindow(_ i: Int) -> Bool {
    let w = sessions[i].fill
    guard let address = unsafe dataAddress(w) else { preconditionFailure("a window has a buffer") }
    let filled = sessions[i].filledBytes
    let n = min(sessions[i].tail - sessions[i].head, windows[w].length - filled)
    if n > 0 {
      // Safe: both ranges lie in their buffers, which do not overlap.
      unsafe (address + filled).copyMemory(
        from: receiveArea(i) + sessions[i].head, byteCount: n)
      sessions[i].head += n
      sessions[i].filledBytes = filled + n
    }
    return sessions[i].filledBytes == windows[w].length
  }

  // MARK: To the engine

  func submit(_ w: Int, _ r: Int, _ i: Int) {
    windows[w].state = .inEngine
    requests[r].unanswered &+= 1
    sessions[i].windowsInEngine &+= 1
    let command = requests[r].command
    append(
      unsafe ExportRequest(
        Self.operation(command), flags: Self.exportFlags(requests[r].flags),
        volume: sessions[i].terms.volume, offset: windows[w].offset,
        length: UInt64(command == .blockStatus ? requests[r].length : windows[w].length),
        buffer: command == .blockStatus ? nil : dataAddress(w),
        base: command == .blockStatus ? statusContext(r, i).base : nil, token: UInt64(w)))
  }

  private static func operation(_ command: NBDCommand) -> ExportRequest.Operation {
    switch command {
    case .read: .read
    case .write: .write
    case .flush: .flush
    case .trim: .discard
    // There is no cache of data to fill; going through the map brings its nodes into memory.
    case .cache: .blockStatus
    case .writeZeroes: .writeZeroes
    case .blockStatus: .blockStatus
    case .disconnect: preconditionFailure("a disconnect is not for the engine")
    }
  }

  private static func exportFlags(_ flags: CommandFlags) -> ExportRequest.Flags {
    var result: ExportRequest.Flags = []
    if flags.contains(.forceUnitAccess) { result.insert(.forceUnitAccess) }
    if flags.contains(.noHole) { result.insert(.noHole) }
    if flags.contains(.fastZero) { result.insert(.fastZero) }
    if flags.contains(.requestOne) { result.insert(.oneExtent) }
    return result
  }
}
