import CBlockIO

extension Reactor {
  /// Queues the operation that the tag names, now or, if the submission queue is full, at the next
  /// turn. Order is kept.
  @inline(__always) func issue(_ tag: OperationTag) {
    if deferredCount == 0 && pushOperation(tag) { return }
    precondition(deferredCount < deferredCapacity)
    var at = deferredHead &+ deferredCount
    if at >= deferredCapacity { at &-= deferredCapacity }
    unsafe deferred[at] = tag.bits
    deferredCount &+= 1
  }

  /// Queues what waits, as far as the submission queue has room.
  func issueDeferred() {
    while deferredCount > 0 {
      guard pushOperation(OperationTag(bits: unsafe deferred[deferredHead])) else { return }
      deferredHead &+= 1
      if deferredHead == deferredCapacity { deferredHead = 0 }
      deferredCount &-= 1
    }
  }

  private func pushOperation(_ tag: OperationTag) -> Bool {
    switch tag.kind {
    case .command: return pushCommand(tag)
    case .receive: return pushReceive(tag)
    case .send: return pushSend(tag)
    case .cancelReceive: return pushCancel(of: .receive, tag)
    case .cancelSend: return pushCancel(of: .send, tag)
    case .closeNotice: return ring.push(IORING_OP_NOP, file: -1, tag: tag.bits)
    case .accept: return pushAccept(tag)
    case .cancelAccept: return pushCancel(of: .accept, tag)
    case .mailbox: return pushMailbox(tag)
    case .cancelMailbox: return pushCancel(of: .mailbox, tag)
    case nil: preconditionFailure("a tag that nobody made")
    }
  }

  /// Cancels the operation of the same index and generation and the given kind.
  private func pushCancel(of kind: OperationTag.Kind, _ tag: OperationTag) -> Bool {
    let target = OperationTag(kind, index: UInt32(tag.index), generation: tag.generation)
    return ring.push(IORING_OP_ASYNC_CANCEL, file: -1, address: target.bits, tag: tag.bits)
  }
}
