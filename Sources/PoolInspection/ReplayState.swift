import DiskFormat
import StorageUnits

/// Whether records fit the state that a start would apply them to: the image, and what the records
/// before made of its volumes, segments and doomed trees. It does not follow what records make of
/// maps and counts.
struct ReplayState {
  private struct Volume {
    var name: String
    var family: UInt64
    var sizeBytes: UInt64
    var logicalBlockBytes: UInt32
    var hasMap: Bool
    var origin: VolumeID?
    var uuid: StorageUUID
    var shareEpoch: ShareEpoch
    var versionNode: UInt64
    var isInTrash = false
  }

  private let inspector: PoolInspector
  private var shareEpoch: ShareEpoch
  private let checkpointRecord: RecordNumber
  private let segmentShift: UInt64
  private var nextVolumeID: UInt64
  private var volumes: [VolumeID: Volume] = [:]
  private var names: [String: VolumeID] = [:]
  private var doomed: Set<RecordNumber> = []
  private var bookmarks: [RecordNumber: Bookmark] = [:]
  private var holds: Set<HoldEntry> = []
  private var owed: [VolumeID: [Range<UInt64>]] = [:]
  private var changedClasses: [UInt32: SegmentClass] = [:]
  /// Records since the last one that ends a group.
  private(set) var pendingGroup = 0

  init(inspector: PoolInspector, _ superblock: Superblock) {
    self.inspector = inspector
    shareEpoch = superblock.shareEpoch
    checkpointRecord = superblock.checkpointRecord
    segmentShift = UInt64(superblock.segmentShift)
    nextVolumeID = superblock.nextVolumeID
    for volume in inspector.volumes {
      volumes[volume.id] = Volume(
        name: volume.uniqueName, family: volume.family, sizeBytes: volume.sizeBytes,
        logicalBlockBytes: volume.logicalBlockBytes, hasMap: !volume.root.isNone,
        origin: volume.origin, uuid: volume.uuid, shareEpoch: volume.shareEpoch,
        versionNode: volume.versionNode, isInTrash: volume.isInTrash)
      if !volume.isInTrash { names[volume.uniqueName] = volume.id }
    }
    doomed = Set(inspector.doomed.map(\.id))
    for bookmark in inspector.bookmarks { bookmarks[bookmark.id] = bookmark }
    holds = Set(inspector.holds)
    for range in inspector.owed {
      owed[range.volume, default: []].append(
        range.firstBlock..<range.firstBlock + range.blockCount)
    }
  }

  mutating func judge(_ record: Record, number: RecordNumber, more: Bool) {
    guard number > checkpointRecord else { return }
    pendingGroup = more ? pendingGroup + 1 : 0
    do throws(FormatError) {
      try apply(record, number)
    } catch {
      let field = if case .badField(_, let name) = error { name } else { "type" }
      inspector.find(.recordRefused(field), at: .record(number), volumes: touched(by: record))
    }
  }

  private func touched(by record: Record) -> [VolumeID] {
    switch record {
    case .map(let volume, _, _), .deleteVolume(let volume), .unshare(let volume, _): [volume]
    case .createVolume(let volume), .alterVolume(let volume): [volume.id]
    case .snapshot(let source, let made), .clone(let source, let made): [source, made.id]
    case .rollback(let volume, let snapshot): [volume, snapshot]
    case .createBookmark(let bookmark): [bookmark.volume]
    case .resize(let step): [step.volume]
    case .hold(let change): [change.entry.volume]
    case .owed(let change): [change.range.volume]
    case .segmentClass, .drop, .settings, .deleteBookmark: []
    }
  }

  private mutating func apply(_ record: Record, _ number: RecordNumber) throws(FormatError) {
    switch record {
    case .map(let id, let extent, let entry):
      try applyMap(id, extent, entry, number)
    case .createVolume(let volume):
      try require(volume.id.number == nextVolumeID, "volume")
      try require(volume.sizeBytes > 0, "sizeBytes")
      try require(names[volume.name] == nil, "name")
      nextVolumeID &+= 1
      volumes[volume.id] = Volume(
        name: volume.name, family: volume.family, sizeBytes: volume.sizeBytes,
        logicalBlockBytes: volume.logicalBlockBytes, hasMap: false, origin: nil,
        uuid: volume.uuid, shareEpoch: .zero, versionNode: 0)
      names[volume.name] = volume.id
      inspector.report.volumeNames[volume.id] = volume.name
    case .alterVolume(let volume):
      guard let old = volumes[volume.id] else { throw .badField(.record, "volume") }
      let name = volume.uniqueName
      if !old.isInTrash { names[old.name] = nil }
      if volume.isInTrash {
        try require(!holds.contains { $0.volume == volume.id }, "isInTrash")
      } else {
        try require(names[name] == nil, "name")
        names[name] = volume.id
      }
      volumes[volume.id]?.isInTrash = volume.isInTrash
      let hasBase = volumes.values.contains {
        $0.origin == volume.id && $0.uuid == volume.lineage
      }
      try require(!volume.isReceiving || volume.lineage == .zero || hasBase, "lineage")
      try require(volume.sizeBytes == old.sizeBytes, "sizeBytes")
      try require(volume.origin == old.origin, "origin")
      volumes[volume.id]?.name = name
    case .deleteVolume(let id):
      try require(!holds.contains { $0.volume == id }, "holds")
      guard let old = volumes.removeValue(forKey: id) else { throw .badField(.record, "volume") }
      if !old.isInTrash { names[old.name] = nil }
      if old.hasMap { doomed.insert(number) }
      owed[id] = nil
      bookmarks = bookmarks.filter { $0.value.volume != id }
    case .segmentClass(let segment, let newClass, let partner):
      try applyClass(segment, newClass, partner)
    case .drop(let step):
      try require(doomed.contains(step.doomed), "doomed")
      try require(step.level <= FormatConstants.maximumLevel, "level")
    case .snapshot(let source, let made): try applyBranch(made, of: source, isSnapshot: true)
    case .clone(let source, let made): try applyBranch(made, of: source, isSnapshot: false)
    case .rollback(let id, let snapshot):
      guard let volume = volumes[id], volume.origin == nil else {
        throw .badField(.record, "volume")
      }
      guard let other = volumes[snapshot], other.origin == id else {
        throw .badField(.record, "snapshot")
      }
      if volume.hasMap { doomed.insert(number) }
      owed[id] = nil
      volumes[id]?.hasMap = other.hasMap
      volumes[id]?.sizeBytes = other.sizeBytes
      volumes[id]?.shareEpoch = ShareEpoch(UInt32(truncatingIfNeeded: other.versionNode))
      volumes[id]?.versionNode = other.versionNode
      shareEpoch = ShareEpoch(shareEpoch.number &+ 1)
    case .unshare(let id, let branchPoint):
      guard let volume = volumes[id], volume.origin == nil else {
        throw .badField(.record, "volume")
      }
      try require(branchPoint < volume.shareEpoch, "branchPoint")
      volumes[id]?.shareEpoch = branchPoint
    case .createBookmark(let bookmark): try applyBookmark(bookmark, number)
    case .deleteBookmark(let id):
      try require(bookmarks.removeValue(forKey: id) != nil, "bookmark")
    case .resize(let step): try applyResize(step, number)
    case .hold(let change): try applyHold(change)
    case .owed(let change): try applyOwed(change)
    case .settings: break
    }
  }

  private mutating func applyBookmark(
    _ bookmark: Bookmark, _ number: RecordNumber
  ) throws(FormatError) {
    guard let snapshot = volumes[bookmark.snapshot], snapshot.origin == bookmark.volume else {
      throw .badField(.record, "snapshot")
    }
    try require(snapshot.name == "\(bookmark.volume.number)@\(bookmark.snapshotName)", "snapshot")
    try require(snapshot.sizeBytes == bookmark.sizeBytes, "sizeBytes")
    try require(snapshot.versionNode == UInt64(bookmark.epoch.number), "epoch")
    let isTaken = bookmarks.values.contains { $0.uniqueName == bookmark.uniqueName }
    try require(!isTaken, "name")
    bookmarks[number] = bookmark
  }

  private mutating func applyHold(_ change: HoldChange) throws(FormatError) {
    try require(volumes[change.entry.volume] != nil, "volume")
    switch change.action {
    case .place:
      let isTaken = holds.contains {
        $0.volume == change.entry.volume && $0.tag == change.entry.tag
      }
      try require(!isTaken, "tag")
      holds.insert(change.entry)
    case .release: try require(holds.remove(change.entry) != nil, "tag")
    }
  }

  private mutating func applyOwed(_ change: OwedChange) throws(FormatError) {
    guard let volume = volumes[change.range.volume], volume.origin == nil else {
      throw .badField(.record, "volume")
    }
    let blocks = change.range.firstBlock..<change.range.firstBlock + change.range.blockCount
    try require(
      blocks.upperBound <= ByteCount(volume.sizeBytes).blocksRoundingUp, "blockCount")
    let old = owed[change.range.volume] ?? []
    var new = Self.cut(old, blocks)
    switch change.action {
    case .owe: new.append(blocks)
    case .settle: try require(new != old, "owed")
    }
    owed[change.range.volume] = new
  }

  /// What is left of ranges without `hole`.
  private static func cut(
    _ ranges: [Range<UInt64>], _ hole: Range<UInt64>
  ) -> [Range<UInt64>] {
    ranges.flatMap { range in
      [
        range.lowerBound..<max(range.lowerBound, min(range.upperBound, hole.lowerBound)),
        min(range.upperBound, max(range.lowerBound, hole.upperBound))..<range.upperBound,
      ].filter { !$0.isEmpty && range.overlaps(hole) } + (range.overlaps(hole) ? [] : [range])
    }
  }

  private mutating func applyResize(
    _ step: ResizeStep, _ number: RecordNumber
  ) throws(FormatError) {
    guard let volume = volumes[step.volume], volume.origin == nil else {
      throw .badField(.record, "volume")
    }
    try require(step.sizeBytes % UInt64(volume.logicalBlockBytes) == 0, "sizeBytes")
    let shrinks = step.sizeBytes < volume.sizeBytes
    try require(shrinks || step.cutExtents == 0, "cutExtents")
    try require(shrinks || step.cutBlocks == 0, "cutBlocks")
    // Whether something was cut off is not followed here: its tree may be dropped later on.
    if shrinks && volume.hasMap { doomed.insert(number) }
    volumes[step.volume]?.sizeBytes = step.sizeBytes
    let end = ByteCount(step.sizeBytes).blocksRoundingUp
    owed[step.volume] = Self.cut(owed[step.volume] ?? [], end..<UInt64.max)
  }

  private mutating func applyBranch(
    _ made: VolumeRecord, of source: VolumeID, isSnapshot: Bool
  ) throws(FormatError) {
    guard let old = volumes[source], (old.origin == nil) == isSnapshot else {
      throw .badField(.record, "source")
    }
    try require(made.id.number == nextVolumeID, "volume")
    try require(made.family == old.family, "family")
    try require(made.sizeBytes == old.sizeBytes, "sizeBytes")
    try require(made.origin == (isSnapshot ? source : nil), "origin")
    try require(names[made.uniqueName] == nil, "name")
    // What is owed is no part of a map that could be shared.
    try require(!isSnapshot || (owed[source] ?? []).isEmpty, "owed")
    let node = isSnapshot ? UInt64(shareEpoch.number) : old.versionNode
    try require(made.versionNode == node, "versionNode")
    if isSnapshot {
      volumes[source]?.versionNode = node
      volumes[source]?.shareEpoch = shareEpoch
    }
    nextVolumeID &+= 1
    shareEpoch = ShareEpoch(shareEpoch.number &+ 1)
    volumes[made.id] = Volume(
      name: made.uniqueName, family: made.family, sizeBytes: made.sizeBytes,
      logicalBlockBytes: made.logicalBlockBytes, hasMap: old.hasMap, origin: made.origin,
      uuid: made.uuid, shareEpoch: made.shareEpoch, versionNode: node)
    names[made.uniqueName] = made.id
    inspector.report.volumeNames[made.id] = made.name
  }

  private mutating func applyMap(
    _ id: VolumeID, _ extent: VirtualExtent, _ entry: MapEntry, _ number: RecordNumber
  ) throws(FormatError) {
    guard let volume = volumes[id] else { throw .badField(.record, "volume") }
    try require(extent.index < ByteCount(volume.sizeBytes).extentsRoundingUp, "extent")
    for layer in [entry.upper, entry.lower] {
      try require(layer.birth <= shareEpoch, "birth")
      guard !layer.isNone else { continue }
      let segment = layer.address.block >> segmentShift
      try require(
        segment < UInt64(inspector.segments.count) && layer.address.extent.index != 0, "address")
      try require(segmentClass(UInt32(segment)) == .data, "address")
      // Space that the image or an earlier record names is not given out again before a checkpoint.
      let isFree = inspector.extents.admit(
        layer.address.extent.index, for: extent, family: volume.family)
      if !isFree {
        inspector.find(
          .recordTakesUsedSpace(layer.address.extent), at: .record(number), volumes: [id])
      }
    }
    volumes[id]?.hasMap = true
  }

  private func segmentClass(_ segment: UInt32) -> SegmentClass {
    changedClasses[segment] ?? inspector.segments[Int(segment)].segmentClass
  }

  /// Free to data or node, and data to free: no others happen.
  private mutating func applyClass(
    _ segment: SegmentIndex, _ newClass: SegmentClass, _ partner: SegmentIndex?
  ) throws(FormatError) {
    try require(segment.index != 0 || newClass == .node, "segment")
    try require(Int(segment.index) < inspector.segments.count, "segment")
    let old = segmentClass(segment.index)
    let isKnown =
      old == .free && (newClass == .data || newClass == .node) || old == .data && newClass == .free
    try require(isKnown, "class")
    if let partner {
      try require(newClass == .node, "partner")
      try require(
        partner.index != 0 && partner != segment
          && Int(partner.index) < inspector.segments.count, "partner")
      try require(segmentClass(partner.index) == .free, "partner")
      changedClasses[partner.index] = .lent
    }
    changedClasses[segment.index] = newClass
  }

  private func require(_ condition: Bool, _ field: String) throws(FormatError) {
    guard condition else { throw .badField(.record, field) }
  }
}
