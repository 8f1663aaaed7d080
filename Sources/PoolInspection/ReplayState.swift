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
    var hasMap: Bool
  }

  private let inspector: PoolInspector
  private let shareEpoch: ShareEpoch
  private let checkpointRecord: RecordNumber
  private let segmentShift: UInt64
  private var nextVolumeID: UInt64
  private var volumes: [VolumeID: Volume] = [:]
  private var names: [String: VolumeID] = [:]
  private var doomed: Set<RecordNumber> = []
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
        name: volume.name, family: volume.family, sizeBytes: volume.sizeBytes,
        hasMap: !volume.root.isNone)
      names[volume.name] = volume.id
    }
    doomed = Set(inspector.doomed.map(\.id))
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
    case .segmentClass, .drop: []
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
        name: volume.name, family: volume.family, sizeBytes: volume.sizeBytes, hasMap: false)
      names[volume.name] = volume.id
      inspector.report.volumeNames[volume.id] = volume.name
    case .alterVolume(let volume):
      guard let old = volumes[volume.id] else { throw .badField(.record, "volume") }
      try require(names[volume.name] == nil || names[volume.name] == volume.id, "name")
      names[old.name] = nil
      names[volume.name] = volume.id
      volumes[volume.id]?.name = volume.name
      volumes[volume.id]?.sizeBytes = volume.sizeBytes
    case .deleteVolume(let id):
      guard let old = volumes.removeValue(forKey: id) else { throw .badField(.record, "volume") }
      names[old.name] = nil
      if old.hasMap { doomed.insert(number) }
    case .segmentClass(let segment, let newClass, let partner):
      try applyClass(segment, newClass, partner)
    case .drop(let step):
      try require(doomed.contains(step.doomed), "doomed")
      try require(step.level <= FormatConstants.maximumLevel, "level")
    case .snapshot, .clone, .rollback, .unshare: throw .badField(.record, "type")
    }
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
