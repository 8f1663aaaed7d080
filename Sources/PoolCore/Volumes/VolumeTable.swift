import DiskFormat
import StorageUnits

/// What the data path needs of a volume.
struct VolumeState {
  var id: VolumeID
  var root: TreeRoot
  var shareEpoch: ShareEpoch
  var family: UInt64
  private(set) var sizeBytes: UInt64
  var allocatedExtents: UInt64
  var mappedBlocks: UInt64
  var streams = StreamRuns()
  var isUsed = true
  /// The catalogue leaf is in `dirtyLeaves` already.
  var isMarkedDirty = false
  /// The level of the root: the least that holds the size.
  private(set) var rootLevel: UInt8
  /// The branch point below which it lives.
  var versionNode: ShareEpoch
  /// The newest bookmark on its line; zero for snapshots.
  var bookmarkEpoch: ShareEpoch
  let isSnapshot: Bool

  init(_ record: VolumeRecord) {
    id = record.id
    root = record.root
    shareEpoch = record.shareEpoch
    family = record.family
    sizeBytes = record.sizeBytes
    allocatedExtents = record.allocatedExtents
    mappedBlocks = record.mappedBlocks
    versionNode = ShareEpoch(UInt32(record.versionNode))
    bookmarkEpoch = record.bookmarkEpoch
    isSnapshot = record.origin != nil
    rootLevel = Self.rootLevel(ofSize: record.sizeBytes)
  }

  /// Levels of its map: a root that was made for a larger size stays.
  var height: UInt8 { (root.isNone ? rootLevel : root.level) + 1 }

  /// The map must follow: see `Pool.applyResizeStep`.
  mutating func resize(to sizeBytes: UInt64) {
    self.sizeBytes = sizeBytes
    rootLevel = Self.rootLevel(ofSize: sizeBytes)
  }

  private static func rootLevel(ofSize sizeBytes: UInt64) -> UInt8 {
    TreeShape.level(
      forCount: max(1, ByteCount(sizeBytes).extentsRoundingUp),
      leafCapacity: FormatConstants.entriesPerLeaf)
  }

  /// Rollback: map, size and place in the version tree of a snapshot.
  mutating func takeContent(of snapshot: VolumeState) {
    root = snapshot.root
    sizeBytes = snapshot.sizeBytes
    rootLevel = snapshot.rootLevel
    allocatedExtents = snapshot.allocatedExtents
    mappedBlocks = snapshot.mappedBlocks
    versionNode = snapshot.versionNode
    shareEpoch = snapshot.versionNode
  }
}

/// All volumes, resident: their records, names and hot state.
///
/// `states` holds what changes with every write; `records` the rest. `record(_:)` joins them.
final class VolumeTable {
  let states = VolumeSlotArray<VolumeState>()
  private var records: [VolumeRecord] = []
  private var slots: [VolumeID: Int] = [:]
  /// The slot that `slot(_:)` found last.
  private var lastSlot = 0
  /// Volumes by name; snapshots by the id of their volume, "@" and name.
  private var names: [String: Int] = [:]
  private var unused: [Int] = []
  /// What is in the trash by itself, in the order in which it was thrown away.
  private(set) var trashedSlots: [Int] = []
  private(set) var nextExpiry: UInt64?
  /// Catalogue leaves that differ from the last image.
  private(set) var dirtyLeaves: Set<UInt64> = []
  var nextID: UInt64

  init(nextID: UInt64) { self.nextID = nextID }

  var count: Int { slots.count }
  /// No catalogue leaf in use is above it.
  var highestLeaf: UInt64 { nextID / UInt64(FormatConstants.volumesPerLeaf) }

  static func leafKey(_ id: VolumeID) -> UInt64 {
    id.number / UInt64(FormatConstants.volumesPerLeaf)
  }

  /// Most requests are for the volume of the one before: that needs no hashing. The state itself
  /// says whether the slot is still the volume's.
  func slot(_ id: VolumeID) -> Int? {
    let slot = lastSlot
    if slot < states.count, states[slot].isUsed, states[slot].id == id { return slot }
    guard let found = slots[id] else { return nil }
    lastSlot = found
    return found
  }
  /// A volume, or a snapshot as VOLUME@SNAPSHOT.
  func slot(named name: String) -> Int? {
    guard let at = name.firstIndex(of: "@") else { return names[name] }
    guard let origin = names[String(name[..<at])] else { return nil }
    return slot(snapshot: String(name[name.index(after: at)...]), of: records[origin].id)
  }

  func slot(snapshot name: String, of origin: VolumeID) -> Int? {
    names["\(origin.number)@\(name)"]
  }

  /// The snapshots of a volume, oldest first.
  func snapshots(of origin: VolumeID) -> [Int] {
    slots.values.filter { records[$0].origin == origin }.sorted { records[$0].id < records[$1].id }
  }

  private func key(_ record: VolumeRecord) -> String {
    record.origin.map { "\($0.number)@\(record.name)" } ?? record.name
  }

  /// The name as people and hosts spell it.
  func shownName(_ slot: Int) -> String {
    guard let origin = records[slot].origin, let volume = slots[origin] else {
      return records[slot].name
    }
    return "\(records[volume].name)@\(records[slot].name)"
  }
  var slotsByName: [Int] {
    slots.values.filter { !isInTrash($0) }.map { (shownName($0), $0) }.sorted { $0.0 < $1.0 }.map(
      \.1)
  }

  /// The record as it is now, the map root as memory knows it.
  func record(_ slot: Int) -> VolumeRecord {
    var record = records[slot]
    let state = states[slot]
    record.root = state.root
    record.shareEpoch = state.shareEpoch
    record.versionNode = UInt64(state.versionNode.number)
    record.bookmarkEpoch = state.bookmarkEpoch
    record.sizeBytes = state.sizeBytes
    record.allocatedExtents = state.allocatedExtents
    record.mappedBlocks = state.mappedBlocks
    return record
  }

  @discardableResult func add(_ record: VolumeRecord) -> Int {
    precondition(slots[record.id] == nil)
    precondition(record.isInTrash || names[key(record)] == nil)
    let state = VolumeState(record)
    let slot: Int
    if let reused = unused.popLast() {
      slot = reused
      states[slot] = state
      records[slot] = record
    } else {
      slot = states.count
      states.append(state)
      records.append(record)
    }
    slots[record.id] = slot
    if record.isInTrash { noteTrash() } else { names[key(record)] = slot }
    return slot
  }

  func remove(_ slot: Int) {
    slots[records[slot].id] = nil
    if records[slot].isInTrash { noteTrash() } else { names[key(records[slot])] = nil }
    markDirty(slot)
    states[slot].isUsed = false
    unused.append(slot)
  }

  /// New attributes; map, statistics and share epoch stay.
  func alter(_ slot: Int, to record: VolumeRecord) {
    if !records[slot].isInTrash { names[key(records[slot])] = nil }
    if !record.isInTrash { names[key(record)] = slot }
    let concernsTrash = records[slot].isInTrash || record.isInTrash
    defer { if concernsTrash { noteTrash() } }
    precondition(record.sizeBytes == states[slot].sizeBytes, "a size has a record of its own")
    records[slot] = record
    markDirty(slot)
  }

  // MARK: Trash

  /// In the trash, by itself or with its volume.
  func isInTrash(_ slot: Int) -> Bool {
    if records[slot].isInTrash { return true }
    guard let origin = records[slot].origin, let volume = slots[origin] else { return false }
    return records[volume].isInTrash
  }

  private func noteTrash() {
    trashedSlots = slots.values.filter { records[$0].isInTrash }.sorted {
      (records[$0].trashedAt, records[$0].id) < (records[$1].trashedAt, records[$1].id)
    }
    nextExpiry = trashedSlots.map { records[$0].expiresAt }.filter { $0 != 0 }.min()
  }

  /// Holds were placed (or, below zero, released).
  func addHolds(_ slot: Int, _ change: Int32) {
    records[slot].holds = UInt32(Int32(records[slot].holds) + change)
    markDirty(slot)
  }

  func markDirty(_ slot: Int) {
    if states[slot].isMarkedDirty { return }
    states[slot].isMarkedDirty = true
    dirtyLeaves.insert(Self.leafKey(states[slot].id))
  }

  /// The records of one catalogue leaf, in order of their ids.
  func records(inLeaf key: UInt64) -> [VolumeRecord] {
    let first = key * UInt64(FormatConstants.volumesPerLeaf)
    return (first..<first + UInt64(FormatConstants.volumesPerLeaf)).compactMap { id in
      slots[VolumeID(id)].map(record)
    }
  }

  func takeDirtyLeaves() -> Set<UInt64> {
    for slot in states.indices { states[slot].isMarkedDirty = false }
    defer { dirtyLeaves = [] }
    return dirtyLeaves
  }
}
