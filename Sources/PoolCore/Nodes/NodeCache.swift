import DiskFormat
import StorageUnits

/// What the cache knows of a node beside its 4096 bytes.
struct NodeState {
  /// Where the node lies on disk; none until a checkpoint gave it an address.
  var address = PoolAddress.none
  /// The number by which parents in memory name a node that had no address when they were changed;
  /// 0 for a node that was loaded.
  var memoryID: UInt64 = 0
  var checksum: UInt32 = 0
  /// The checkpoint interval in which a dirty node was made. Only nodes of the current interval may
  /// change; older dirty ones are frozen for the checkpoint that is writing them.
  var generation: UInt64 = 0
  /// Nodes and roots that name it: for nodes without an address, whose count is nowhere else.
  var names: Int32 = 0
  /// The same as of the cut of the checkpoint that is writing it.
  var frozenNames: Int32 = 0
  var owner: UInt64 = 0
  var key: UInt64 = 0
  var birth = ShareEpoch.zero
  var level: UInt8 = 0
  var type = NodeType.map
  var isUsed = false
  var isDirty = false
  /// Looked at since the eviction hand last passed.
  var isReferenced = false
}

/// The nodes in memory: a bounded cache of clean nodes, and the home of dirty ones.
///
/// Invariants: a node with an address is found under it; a node that was made in memory is also
/// found under its memory number until it is evicted, and from then on `forwarding` says where it
/// lies, until no parent in memory can still name it by that number (one completed checkpoint
/// later). Dirty nodes are never evicted.
@safe final class NodeCache {
  private static let slotsPerChunk = 256
  private static let memoryKeyBit: UInt64 = 1 << 63

  /// Slots that may be in use before clean nodes are evicted.
  let capacity: Int
  // Tables of the chunks, as plain memory: the data path reads them many times for each request,
  // and an array in a class would be checked for exclusive access each time.
  private var images: UnsafeMutablePointer<UnsafeMutableRawPointer>
  private var states: UnsafeMutablePointer<UnsafeMutablePointer<NodeState>>
  private var chunkCount = 0
  private var chunkCapacity: Int
  private let table: IndexTable
  private var free: [Int32] = []
  private var hand = 0
  private(set) var usedCount = 0
  private(set) var dirtyCount = 0
  /// Dirty nodes of the current interval: those that the next checkpoint will write.
  private(set) var currentDirtyCount = 0
  /// Dirty nodes of the current interval, in the order in which they were made.
  private(set) var dirty: [Int32] = []
  private var nextMemoryID: UInt64 = 1
  /// Where evicted nodes lie that parents may still name by memory number.
  private var forwarding: [UInt64: NodePointer] = [:]

  init(capacityBytes: Int) {
    capacity = max(64, capacityBytes / 4096)
    chunkCapacity = capacity / Self.slotsPerChunk + 2
    unsafe images = .allocate(capacity: chunkCapacity)
    unsafe states = .allocate(capacity: chunkCapacity)
    table = IndexTable(minimumCapacity: min(capacity, 1 << 14))
  }

  deinit {
    for i in 0..<chunkCount {
      unsafe images[i].deallocate()
      unsafe states[i].deallocate()
    }
    unsafe images.deallocate()
    unsafe states.deallocate()
  }

  // MARK: Slots

  @inline(__always) func image(_ slot: Int) -> NodeImage {
    precondition(slot >= 0 && slot < slotCount)
    return unsafe NodeImage(
      viewing: images[slot / Self.slotsPerChunk] + (slot % Self.slotsPerChunk) * 4096)
  }

  subscript(slot: Int) -> NodeState {
    @inline(__always) _read {
      precondition(slot >= 0 && slot < slotCount)
      yield unsafe states[slot / Self.slotsPerChunk][slot % Self.slotsPerChunk]
    }
    @inline(__always) _modify {
      precondition(slot >= 0 && slot < slotCount)
      yield unsafe &states[slot / Self.slotsPerChunk][slot % Self.slotsPerChunk]
    }
  }

  var slotCount: Int { chunkCount * Self.slotsPerChunk }

  private func addChunk() {
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: Self.slotsPerChunk * 4096, alignment: 4096)
    let chunk = UnsafeMutablePointer<NodeState>.allocate(capacity: Self.slotsPerChunk)
    unsafe chunk.initialize(repeating: NodeState(), count: Self.slotsPerChunk)
    let first = slotCount
    if chunkCount == chunkCapacity { growTables() }
    unsafe (images + chunkCount).initialize(to: memory)
    unsafe (states + chunkCount).initialize(to: chunk)
    chunkCount += 1
    for i in (0..<Self.slotsPerChunk).reversed() { free.append(Int32(first + i)) }
  }

  private func growTables() {
    let moreImages = UnsafeMutablePointer<UnsafeMutableRawPointer>.allocate(
      capacity: chunkCapacity * 2)
    let moreStates = UnsafeMutablePointer<UnsafeMutablePointer<NodeState>>.allocate(
      capacity: chunkCapacity * 2)
    unsafe moreImages.moveInitialize(from: images, count: chunkCount)
    unsafe moreStates.moveInitialize(from: states, count: chunkCount)
    unsafe images.deallocate()
    unsafe states.deallocate()
    unsafe images = moreImages
    unsafe states = moreStates
    chunkCapacity *= 2
  }

  private func takeSlot() -> Int {
    if free.isEmpty { addChunk() }
    let slot = Int(free.removeLast())
    usedCount += 1
    return slot
  }

  /// Evicts clean nodes until so many slots are free, as far as there are any. A change calls this
  /// before it looks whether its nodes are there, since nothing may be evicted under its feet: new
  /// nodes take free slots, and beyond the capacity (where nearly everything is dirty) new memory.
  func makeRoom(_ count: Int) {
    while slotCount >= capacity && free.count < count {
      if !evictOne() { return }
    }
  }

  private func evictOne() -> Bool {
    for _ in 0..<(slotCount * 2) {
      hand = hand + 1 < slotCount ? hand + 1 : 0
      if !self[hand].isUsed || self[hand].isDirty { continue }
      if self[hand].isReferenced {
        self[hand].isReferenced = false
        continue
      }
      evict(hand)
      return true
    }
    return false
  }

  private func evict(_ slot: Int) {
    let state = self[slot]
    precondition(!state.isDirty)
    table.remove(state.address.block)
    if state.memoryID != 0 {
      table.remove(state.memoryID | Self.memoryKeyBit)
      forwarding[state.memoryID] = NodePointer(
        address: state.address, checksum: state.checksum, birth: state.birth)
    }
    giveSlot(slot)
  }

  private func giveSlot(_ slot: Int) {
    self[slot] = NodeState()
    free.append(Int32(slot))
    usedCount -= 1
  }

  // MARK: Finding

  /// The slot of the node that a pointer names, or -1 if it is not in memory.
  @inline(__always) func find(_ pointer: NodePointer) -> Int {
    guard pointer.isInMemory else { return find(pointer.address) }
    let slot = table.find(pointer.address.block | Self.memoryKeyBit)
    if slot >= 0 {
      self[slot].isReferenced = true
      return slot
    }
    return find(forwarded(pointer).address)
  }

  @inline(__always) func find(_ address: PoolAddress) -> Int {
    let slot = table.find(address.block)
    if slot >= 0 { self[slot].isReferenced = true }
    return slot
  }

  /// The slot of a node or -1, where one that is gone is no mistake and the look leaves no trace.
  func findQuietly(_ pointer: NodePointer) -> Int {
    guard pointer.isInMemory else { return table.find(pointer.address.block) }
    return table.find(pointer.address.block | Self.memoryKeyBit)
  }

  /// The pointer as a disk would hold it, if the node has an address by now.
  func resolved(_ pointer: NodePointer) -> NodePointer {
    guard pointer.isInMemory else { return pointer }
    let slot = table.find(pointer.address.block | Self.memoryKeyBit)
    guard slot >= 0 else { return forwarded(pointer) }
    guard !self[slot].address.isNone else { return pointer }
    return NodePointer(
      address: self[slot].address, checksum: self[slot].checksum, birth: pointer.birth)
  }

  private func forwarded(_ pointer: NodePointer) -> NodePointer {
    guard let target = forwarding[pointer.address.block] else {
      preconditionFailure("a node in memory is named but gone")
    }
    return NodePointer(address: target.address, checksum: target.checksum, birth: pointer.birth)
  }

  // MARK: Adding

  /// Adds a clean node that was read from disk; its bytes are copied.
  func add(_ load: NodeLoad, birth: ShareEpoch, from bytes: NodeImage) {
    makeRoom(1)
    let slot = keep(load, from: bytes)
    self[slot].birth = birth
    self[slot].isReferenced = true
  }

  /// A slot with a node that has an address, clean so far.
  private func keep(_ load: NodeLoad, from bytes: NodeImage) -> Int {
    precondition(table.find(load.address.block) < 0)
    let slot = takeSlot()
    image(slot).copy(from: bytes)
    var state = NodeState()
    state.address = load.address
    state.checksum = load.checksum
    state.owner = load.owner
    state.key = load.key
    state.level = load.level
    state.type = load.type
    state.isUsed = true
    self[slot] = state
    table.insert(load.address.block, slot)
    return slot
  }

  /// Makes a dirty node of the current interval, named once. Its bytes are zero.
  func make(
    generation: UInt64, level: UInt8, key: UInt64, owner: UInt64, birth: ShareEpoch
  ) -> Int {
    let slot = takeSlot()
    image(slot).clear()
    var state = NodeState()
    state.memoryID = nextMemoryID
    nextMemoryID += 1
    precondition(nextMemoryID < 1 << 40)
    state.generation = generation
    state.names = 1
    state.owner = owner
    state.key = key
    state.birth = birth
    state.level = level
    state.isUsed = true
    state.isDirty = true
    state.isReferenced = true
    self[slot] = state
    table.insert(state.memoryID | Self.memoryKeyBit, slot)
    dirty.append(Int32(slot))
    dirtyCount += 1
    currentDirtyCount += 1
    return slot
  }

  /// How parents name a dirty node.
  func memoryPointer(_ slot: Int) -> NodePointer {
    precondition(self[slot].memoryID != 0)
    return NodePointer(
      address: PoolAddress(block: self[slot].memoryID), flags: NodePointer.memoryFlag, checksum: 0,
      birth: self[slot].birth)
  }

  /// Forgets a dirty node of the current interval that nothing names any more.
  func discard(_ slot: Int) {
    precondition(self[slot].isDirty)
    precondition(self[slot].address.isNone)
    precondition(self[slot].names == 0)
    table.remove(self[slot].memoryID | Self.memoryKeyBit)
    dirtyCount -= 1
    currentDirtyCount -= 1
    giveSlot(slot)
    // Its place in `dirty` is skipped at the cut: the slot is unused, or belongs to a younger node
    // that stands there again.
  }

  // MARK: Checkpoints

  /// Freezes every dirty node of `generation`: returns their slots, leaves first.
  func freeze(generation: UInt64) -> [Int32] {
    var levels: [[Int32]] = Array(repeating: [], count: Int(FormatConstants.maximumLevel) + 1)
    for slot in dirty {
      let state = self[Int(slot)]
      // A slot that was discarded and taken again stands in the list twice.
      guard state.isUsed, state.isDirty, state.generation == generation, state.frozenNames == 0
      else { continue }
      self[Int(slot)].frozenNames = state.names
      levels[Int(state.level)].append(slot)
    }
    let frozen = Array(levels.joined())
    dirty.removeAll(keepingCapacity: true)
    precondition(frozen.count == currentDirtyCount)
    currentDirtyCount = 0
    return frozen
  }

  /// Gives a frozen node its address.
  func place(_ slot: Int, at address: PoolAddress, checksum: UInt32) {
    precondition(self[slot].isDirty)
    precondition(self[slot].address.isNone)
    self[slot].address = address
    self[slot].checksum = checksum
    table.insert(address.block, slot)
  }

  /// The address is taken for a new node: what was cached under it is not true any longer.
  func forget(_ address: PoolAddress) {
    let stale = table.find(address.block)
    if stale >= 0 { evict(stale) }
  }

  /// Keeps a node that the running checkpoint has written, until it is durable and after.
  func addWritten(_ load: NodeLoad, from bytes: NodeImage, generation: UInt64) -> Int32 {
    let slot = keep(load, from: bytes)
    self[slot].generation = generation
    self[slot].isDirty = true
    dirtyCount += 1
    return Int32(slot)
  }

  /// The checkpoint is durable: its nodes are clean from now on.
  func checkpointCompleted(_ frozen: [Int32]) {
    for slot in frozen {
      precondition(self[Int(slot)].isDirty)
      self[Int(slot)].isDirty = false
      dirtyCount -= 1
    }
    // Every parent that named nodes of an earlier interval by number is on disk by now.
    forwarding.removeAll()
  }
}
