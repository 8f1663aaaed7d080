import DiskFormat
public import StorageUnits

/// The way from a root to an entry: the index in each level's node, and the leaf's key.
struct MapPath {
  /// `indices[0]` in the leaf, `indices[level]` in the inner node of that level.
  let indices: [5 of UInt16]
  let leafKey: UInt64

  @inline(__always) init(_ extent: VirtualExtent) {
    let per = UInt64(FormatConstants.pointersPerNode)
    leafKey = extent.index / UInt64(FormatConstants.entriesPerLeaf)
    let k1 = leafKey / per
    let k2 = k1 / per
    let k3 = k2 / per
    indices = [
      UInt16(extent.index % UInt64(FormatConstants.entriesPerLeaf)), UInt16(leafKey % per),
      UInt16(k1 % per), UInt16(k2 % per), UInt16(k3 % per),
    ]
  }

  /// The key of the node of `level` on the path.
  @inline(__always) func key(level: UInt8) -> UInt64 {
    var key = leafKey
    for _ in 0..<level { key /= UInt64(FormatConstants.pointersPerNode) }
    return key
  }
}

extension Pool {
  /// What the map says of one virtual extent.
  public func lookup(_ volume: VolumeSlot, _ extent: VirtualExtent) -> MapLookup {
    let root = volumes.states[volume.index].root
    guard !root.isNone else { return .entry(.none) }
    let path = MapPath(extent)
    var pointer = root.pointer
    var level = root.level
    while true {
      let slot = cache.find(pointer)
      guard slot >= 0 else {
        return .missing(load(pointer, level, path.key(level: level), volume.index))
      }
      if level == 0 { return .entry(cache.image(slot).entry(Int(path.indices[0]))) }
      pointer = cache.image(slot).pointer(Int(path.indices[Int(level)]))
      if pointer.isNone { return .entry(.emptied(at: pointer.birth)) }
      level -= 1
    }
  }

  private func load(
    _ pointer: NodePointer, _ level: UInt8, _ key: UInt64, _ volume: Int
  ) -> NodeLoad {
    mapLoad(pointer, level: level, key: key, family: volumes.states[volume].family)
  }

  func mapLoad(_ pointer: NodePointer, level: UInt8, key: UInt64, family: UInt64) -> NodeLoad {
    let target = cache.resolved(pointer)
    precondition(!target.isInMemory, "a dirty node is not in memory")
    return NodeLoad(
      address: target.address, checksum: target.checksum, type: .map, level: level, key: key,
      owner: family)
  }

  /// The first extent in `from ..< before` whose entry names space. Unmapped subtrees are skipped;
  /// one call looks at no more than one leaf's entries beside the way down.
  public func nextMapped(
    _ volume: VolumeSlot, from: VirtualExtent, before: VirtualExtent
  ) -> NextMapped {
    let root = volumes.states[volume.index].root
    var extent = from
    search: while extent < before && !root.isNone {
      let path = MapPath(extent)
      var pointer = root.pointer
      var level = root.level
      while true {
        let slot = cache.find(pointer)
        guard slot >= 0 else {
          return .missing(load(pointer, level, path.key(level: level), volume.index))
        }
        let image = cache.image(slot)
        if level == 0 {
          for index in Int(path.indices[0])..<FormatConstants.entriesPerLeaf {
            let found = VirtualExtent(
              index: path.leafKey * UInt64(FormatConstants.entriesPerLeaf) + UInt64(index))
            if found >= before { return .nothing }
            let entry = image.entry(index)
            if !entry.isNone { return .extent(found, entry) }
          }
          extent = end(ofNodeAt: 0, path)
          continue search
        }
        var index = Int(path.indices[Int(level)])
        pointer = image.pointer(index)
        if pointer.isNone {
          let span = TreeShape.span(
            level: level - 1, leafCapacity: FormatConstants.entriesPerLeaf)
          index += 1
          while index < FormatConstants.pointersPerNode, image.pointer(index).isNone { index += 1 }
          let first = path.key(level: level) * UInt64(FormatConstants.pointersPerNode)
          extent = VirtualExtent(index: (first + UInt64(index)) * span)
          continue search
        }
        level -= 1
      }
    }
    return .nothing
  }

  private func end(ofNodeAt level: UInt8, _ path: MapPath) -> VirtualExtent {
    VirtualExtent(
      index: (path.key(level: level) + 1)
        * TreeShape.span(level: level, leafCapacity: FormatConstants.entriesPerLeaf))
  }

  // MARK: Changing

  /// Whether the nodes on the way to an entry are in memory.
  func missingOnPath(_ volume: Int, _ extent: VirtualExtent) -> NodeLoad? {
    if case .missing(let load) = lookup(VolumeSlot(index: volume), extent) { return load }
    return nil
  }

  /// The leaf that holds the entry, in a state in which it may be changed: dirty, of the current
  /// interval, and named by this volume alone. Everything on the way is copied as the rules say.
  func mutableLeaf(_ volume: Int, _ extent: VirtualExtent) -> Int {
    let path = MapPath(extent)
    let state = volumes.states[volume]
    var level = state.root.isNone ? state.rootLevel : state.root.level
    let root = makeMutable(
      state.root.pointer, level: level, key: path.key(level: level), of: state)
    if root != state.root.pointer {
      volumes.states[volume].root = TreeRoot(pointer: root, level: level)
    }
    var slot = cache.find(root)
    while level > 0 {
      let index = Int(path.indices[Int(level)])
      let old = cache.image(slot).pointer(index)
      level -= 1
      let new = makeMutable(
        old, level: level, key: path.key(level: level), of: state)
      if new != old { cache.image(slot).setPointer(new, index) }
      slot = cache.find(new)
    }
    return slot
  }

  /// The node that `pointer` names, as one that may be changed; the pointer that names it then.
  ///
  /// A node may be changed in place if and only if its birth is greater than the share epoch. One
  /// that may not is copied: if something else still names it, everything that it names gains one;
  /// if not, the copy takes over what it named. One that was not changed since the newest bookmark
  /// has its birth raised.
  func makeMutable(
    _ pointer: NodePointer, level: UInt8, key: UInt64, of volume: VolumeState
  ) -> NodePointer {
    let family = volume.family
    if pointer.isNone {
      let slot = cache.make(
        generation: generation, level: level, key: key, owner: family, birth: self.shareEpoch)
      if pointer.birth != .zero { keepBirth(pointer.birth, inEmptyNode: slot, level: level) }
      return cache.memoryPointer(slot)
    }
    let source = cache.find(pointer)
    precondition(source >= 0, "a change was applied without being prepared")
    let isOwn = volume.shareEpoch < pointer.birth
    let isYoung = isOwn && volume.bookmarkEpoch < pointer.birth
    let isCurrent = cache[source].isDirty && cache[source].generation == generation
    if isYoung && isCurrent { return pointer }
    let isShared = !isOwn && nameCount(pointer, slot: source) > 1
    let birth = isYoung ? pointer.birth : self.shareEpoch
    if !isShared && isCurrent {
      // Nothing else names it (any more): only the birth says so from now on.
      cache[source].birth = birth
      return cache.memoryPointer(source)
    }
    let copy = cache.make(
      generation: generation, level: level, key: key, owner: family, birth: birth)
    cache.image(copy).copy(from: cache.image(source))
    if level > 0 && cache[source].isDirty { resolveChildren(of: copy) }
    if isShared { addNamesOfChildren(of: copy, level: level) }
    addName(pointer, slot: source, -1)
    return cache.memoryPointer(copy)
  }

  /// A node in the place of a subtree that was emptied: each of its places was, then.
  private func keepBirth(_ birth: ShareEpoch, inEmptyNode slot: Int, level: UInt8) {
    let image = cache.image(slot)
    if level == 0 {
      for index in 0..<FormatConstants.entriesPerLeaf {
        image.setEntry(.emptied(at: birth), index)
      }
      return
    }
    for index in 0..<FormatConstants.pointersPerNode {
      image.setPointer(NodePointer(address: .none, checksum: 0, birth: birth), index)
    }
  }

  /// Pointers by memory number are good until the next checkpoint completes, so a copy must not
  /// inherit those that have an address already.
  private func resolveChildren(of slot: Int) {
    let image = cache.image(slot)
    for index in 0..<FormatConstants.pointersPerNode {
      let pointer = image.pointer(index)
      if pointer.isInMemory { image.setPointer(cache.resolved(pointer), index) }
    }
  }

  private func addNamesOfChildren(of slot: Int, level: UInt8) {
    let image = cache.image(slot)
    if level == 0 {
      forEachNamedExtent(inLeaf: slot) { dataSpace.addCount($0, 1) }
      return
    }
    for index in 0..<FormatConstants.pointersPerNode {
      let pointer = image.pointer(index)
      if !pointer.isNone { addName(pointer, slot: cache.findQuietly(pointer), 1) }
    }
  }

  /// The nodes and roots that name a node.
  func nameCount(_ pointer: NodePointer, slot: Int) -> Int {
    if slot >= 0 && cache[slot].address.isNone { return Int(cache[slot].names) }
    return nodeSpace.count(cache.resolved(pointer).address)
  }

  /// A node gains or loses names. `slot` is its slot, or -1 if it is not in memory.
  func addName(_ pointer: NodePointer, slot: Int, _ change: Int) {
    guard slot >= 0, cache[slot].address.isNone else {
      nodeSpace.add(cache.resolved(pointer).address, change)
      return
    }
    cache[slot].names += Int32(change)
    precondition(cache[slot].names >= 0)
    if cache[slot].names == 0 && cache[slot].generation == generation { cache.discard(slot) }
  }

  /// Each extent that a leaf names, once for each plain layer and once for all packed layers that
  /// share it.
  func forEachNamedExtent(inLeaf slot: Int, _ body: (PoolExtent) -> Void) {
    let image = cache.image(slot)
    var packed: Set<PoolExtent> = []
    func name(_ layer: Layer) {
      if layer.isNone { return }
      if layer.isPacked && !packed.insert(layer.address.extent).inserted { return }
      body(layer.address.extent)
    }
    for index in 0..<FormatConstants.entriesPerLeaf {
      let entry = image.entry(index)
      name(entry.upper)
      name(entry.lower)
    }
  }

  /// Sets an entry of a mutable leaf, and counts what it names now and no longer: an extent that
  /// stays named by the leaf keeps its count.
  func setEntry(_ entry: MapEntry, index: Int, leaf slot: Int) {
    let image = cache.image(slot)
    let old = image.entry(index)
    image.setEntry(.none, index)
    if !entry.names(old.upper) { countName(old.upper, -1, leaf: slot) }
    if !entry.names(old.lower) && !old.upper.sharesExtent(with: old.lower) {
      countName(old.lower, -1, leaf: slot)
    }
    if !old.names(entry.upper) { countName(entry.upper, 1, leaf: slot) }
    if !old.names(entry.lower) && !entry.upper.sharesExtent(with: entry.lower) {
      countName(entry.lower, 1, leaf: slot)
    }
    image.setEntry(entry, index)
  }

  private func countName(_ layer: Layer, _ change: Int, leaf slot: Int) {
    if layer.isNone { return }
    let extent = layer.address.extent
    // Other packed layers of the leaf may name the extent too: it is one name.
    if layer.isPacked && isNamed(extent, inLeaf: slot) { return }
    dataSpace.addCount(extent, change)
    if isReplaying && change > 0 { dataSpace.noteReplayed(extent) }
  }

  private func isNamed(_ extent: PoolExtent, inLeaf slot: Int) -> Bool {
    let image = cache.image(slot)
    for index in 0..<FormatConstants.entriesPerLeaf {
      let entry = image.entry(index)
      if !entry.upper.isNone && entry.upper.address.extent == extent { return true }
      if !entry.lower.isNone && entry.lower.address.extent == extent { return true }
    }
    return false
  }
}

extension Layer {
  @inline(__always) fileprivate func sharesExtent(with other: Layer) -> Bool {
    !isNone && !other.isNone && address.extent == other.address.extent
  }
}

extension MapEntry {
  @inline(__always) fileprivate func names(_ layer: Layer) -> Bool {
    upper.sharesExtent(with: layer) || lower.sharesExtent(with: layer)
  }
}
