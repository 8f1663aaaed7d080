import DiskFormat
import StorageUnits

/// Dropping doomed trees: children first, one name from one node in each record.
extension Pool {
  /// Deleted maps wait to be dropped.
  public var hasDoomed: Bool { !doomed.isEmpty }
  public var doomedCount: Int { doomed.count }

  /// Whether the next step may be applied; nil if nothing is doomed.
  public func prepareDrop() -> Preparation? {
    guard let entry = doomed.first else { return nil }
    guard isWithinBounds(addingNodes: 1), records.hasRoom(forRecords: 1) else {
      return .mustWaitForCheckpoint
    }
    switch nextStep(of: entry) {
    case .missing(let load): return .missing(load)
    case .step: return .ready
    }
  }

  /// Takes the next name of the oldest doomed tree.
  public func applyDrop() -> AppliedRecord {
    guard let entry = doomed.first, case .step(let step) = nextStep(of: entry) else {
      preconditionFailure("a drop was applied without being prepared")
    }
    return applyNew(.drop(step))
  }

  private enum NextStep {
    case step(DropStep)
    case missing(NodeLoad)
  }

  private func span(_ level: UInt8) -> UInt64 {
    TreeShape.span(level: level, leafCapacity: FormatConstants.entriesPerLeaf)
  }

  /// A node is given up already if (end of its span, level) is not above the cursor.
  private func isDropped(_ entry: DoomedEntry, level: UInt8, key: UInt64) -> Bool {
    let end = (key + 1) * span(level)
    return end < entry.cursorEnd.index
      || end == entry.cursorEnd.index && level <= entry.cursorLevel
  }

  /// The next node in post-order and what to do with it: the way down stops at a node that
  /// something else names, and at a node of which no child is left.
  private func nextStep(of entry: DoomedEntry) -> NextStep {
    var pointer = entry.root.pointer
    var level = entry.root.level
    var key: UInt64 = 0
    while true {
      let slot = cache.find(pointer)
      // A node in memory alone counts for itself; for others the count is resident.
      let isShared = nameCount(pointer, slot: slot) > 1
      func step(_ decision: DropStep.Decision) -> NextStep {
        .step(DropStep(doomed: entry.id, level: level, key: key, decision: decision))
      }
      if isShared { return step(.release) }
      guard slot >= 0 else {
        return .missing(mapLoad(pointer, level: level, key: key, family: entry.family))
      }
      if level == 0 { return step(.descend) }
      guard let (index, child) = nextChild(of: slot, entry, level: level, key: key) else {
        return step(.descend)
      }
      level -= 1
      key = key * UInt64(FormatConstants.pointersPerNode) + UInt64(index)
      pointer = child
    }
  }

  private func nextChild(
    of slot: Int, _ entry: DoomedEntry, level: UInt8, key: UInt64
  ) -> (Int, NodePointer)? {
    let image = cache.image(slot)
    let first = key * UInt64(FormatConstants.pointersPerNode)
    for index in 0..<FormatConstants.pointersPerNode {
      let pointer = image.pointer(index)
      if pointer.isNone { continue }
      if isDropped(entry, level: level - 1, key: first + UInt64(index)) { continue }
      return (index, pointer)
    }
    return nil
  }

  // MARK: Steps as records

  /// The pointer to the step's node and the slot of its parent (-1 for the root), or what is
  /// missing on the way.
  private enum Located {
    case found(NodePointer, parent: Int, index: Int)
    case missing(NodeLoad)
  }

  private func locate(_ step: DropStep, in entry: DoomedEntry) -> Located {
    var pointer = entry.root.pointer
    var level = entry.root.level
    var parent = -1
    var index = 0
    while level > step.level {
      let slot = cache.find(pointer)
      var key = step.key
      for _ in step.level..<level { key /= UInt64(FormatConstants.pointersPerNode) }
      guard slot >= 0 else {
        return .missing(mapLoad(pointer, level: level, key: key, family: entry.family))
      }
      var childKey = step.key
      for _ in step.level..<(level - 1) { childKey /= UInt64(FormatConstants.pointersPerNode) }
      parent = slot
      index = Int(childKey % UInt64(FormatConstants.pointersPerNode))
      pointer = cache.image(slot).pointer(index)
      level -= 1
    }
    return .found(pointer, parent: parent, index: index)
  }

  /// A step that was read must be the one that follows from the state: what it names, and the
  /// decision.
  func prepareReplayedDrop(_ step: DropStep) throws(FormatError) -> Preparation {
    guard let entry = doomed.first(where: { $0.id == step.doomed }) else {
      throw .badField(.record, "doomed")
    }
    switch nextStep(of: entry) {
    case .missing(let load): return .missing(load)
    case .step(let expected):
      guard expected == step else { throw .badField(.record, "drop") }
      return .ready
    }
  }

  func applyDropStep(_ step: DropStep, number: RecordNumber) {
    guard let at = doomed.firstIndex(where: { $0.id == step.doomed }),
      case .found(let pointer, let parent, let index) = locate(step, in: doomed[at])
    else { preconditionFailure("a drop was applied without being prepared") }
    let slot = cache.findQuietly(pointer)
    if step.decision == .descend && step.level == 0 {
      precondition(slot >= 0 || !pointer.isInMemory)
      forEachNamedExtent(inLeaf: cache.find(pointer)) { dataSpace.addCount($0, -1) }
    }
    // A node that was never written vanishes with its last name; its parent, as young, must not
    // name it any longer. Others stay named below the cursor, where nobody follows.
    let vanishes =
      slot >= 0 && cache[slot].address.isNone && cache[slot].generation == generation
      && cache[slot].names == 1
    if vanishes && parent >= 0 { cache.image(parent).setPointer(.none, index) }
    addName(pointer, slot: slot, -1)
    doomed[at].cursorEnd = VirtualExtent(index: (step.key + 1) * span(step.level))
    doomed[at].cursorLevel = step.level
    if step.level == doomed[at].root.level {
      let entry = doomed.remove(at: at)
      endings.append(
        VersionEnding(node: entry.versionNode, family: entry.family, record: number))
    }
    isDoomedDirty = true
  }
}
