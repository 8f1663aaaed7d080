import DiskFormat
public import StorageUnits

/// How much of the pool is used.
public struct PoolUsage: Hashable, Sendable {
  public var sizeBytes: UInt64
  /// Everything that cannot be allocated now: data, tables, system areas, space in quarantine and
  /// space that was taken ahead.
  public var usedBytes: UInt64
  public var freeBytes: UInt64
  public var metadataBytes: UInt64
  /// Space that nothing names any more and that is on its way back.
  public var reclaimableBytes: UInt64
  /// Extents that what is in the trash names, shared ones included.
  public var trashBytes: UInt64 = 0
  public var devices: [DeviceUsage]

  public struct DeviceUsage: Hashable, Sendable {
    public var device: DeviceIndex
    public var sizeBytes: UInt64
    public var usedBytes: UInt64
  }
}

extension Pool {
  private var extentBytes: UInt64 { UInt64(StorageSizes.extentBytes) }
  private var segmentBytes: UInt64 { UInt64(segments.blocks) * 4096 }

  public var usage: PoolUsage {
    var usage = PoolUsage(
      sizeBytes: 0, usedBytes: 0, freeBytes: 0,
      metadataBytes: UInt64(nodeSpace.totalCount - nodeSpace.usableCount) * 4096,
      reclaimableBytes: UInt64(dataSpace.quarantinedCount) * extentBytes,
      devices: [])
    for member in superblock.members where member.state == .active {
      let free =
        UInt64(dataSpace.usable(on: member.index)) * extentBytes
        + UInt64(segments.freeByDevice[member.index.index]?.count ?? 0) * segmentBytes
        + UInt64(nodeSpace.usable(on: member.index)) * 4096
      usage.devices.append(
        .init(
          device: member.index, sizeBytes: member.sizeBytes,
          usedBytes: member.sizeBytes - min(free, member.sizeBytes)))
      usage.sizeBytes += member.sizeBytes
      usage.freeBytes += free
    }
    usage.usedBytes = usage.sizeBytes - usage.freeBytes
    usage.trashBytes = trash.reduce(0) { $0 + $1.allocatedExtents } * extentBytes
    return usage
  }

  /// How the space of data segments is used, in bytes: what maps name, what was taken ahead of
  /// them, and what is on its way back. (Extents that lost their last name since the last
  /// checkpoint still count as named.)
  public var dataUsage: (named: UInt64, ahead: UInt64, reclaimable: UInt64) {
    let taken =
      segments.dataSegmentCount * segments.extents - dataSpace.usableCount
      - dataSpace.quarantinedCount
    var ahead = heldExtents
    for slot in volumes.states.indices where volumes.states[slot].isUsed {
      ahead += volumes.states[slot].streams.leftCount
    }
    return (
      UInt64(taken - ahead) * extentBytes, UInt64(ahead) * extentBytes,
      UInt64(dataSpace.quarantinedCount) * extentBytes
    )
  }

  // MARK: Preparing

  /// Nodes that one change makes at the most: one for each level.
  static let nodesPerChange = Int(FormatConstants.maximumLevel) + 1

  /// Whether a change of one map entry may be applied now.
  public func prepareMap(
    _ volume: VolumeSlot, _ extent: VirtualExtent, tier: SpaceTier
  ) -> Preparation {
    cache.makeRoom(Self.nodesPerChange)
    if let load = missingOnPath(volume.index, extent) { return .missing(load) }
    let nodes = Int(volumes.states[volume.index].height)
    if tier != .essential {
      let mayCopy = volumes.states[volume.index].shareEpoch != .zero
      let segments = mayCopy ? CountDeltas.segmentsOfALeafCopy(of: segments.count) : 4
      guard isWithinBounds(addingNodes: nodes, touchingSegments: segments) else {
        return .mustWaitForCheckpoint
      }
    }
    guard hasNodeSpace(tier, for: nodes) else { return .noSpace(.nodeSpace) }
    return .ready
  }

  func isWithinBounds(addingNodes nodes: Int, touchingSegments segments: Int = 4) -> Bool {
    (cache.dirtyCount + nodes) * 4096 <= bounds.dirtyNodeBytes
      && dataSpace.deltaBytes + segments * CountDeltas.bytes <= bounds.countDeltaBytes
  }

  /// How near the bounds on memory are: 1 is the bound.
  public var checkpointPressure: Double {
    max(
      Double(cache.dirtyCount * 4096) / Double(bounds.dirtyNodeBytes),
      Double(dataSpace.deltaBytes) / Double(bounds.countDeltaBytes))
  }

  // MARK: Taking extents

  /// Takes an extent for data of a virtual extent, whose path must be in memory: the next one of
  /// the stream that it continues, else one near the leaf's other extents, else one from the
  /// segment that small allocations fill.
  public func takeExtent(for volume: VolumeSlot, at extent: VirtualExtent) -> TakenExtent {
    let (stream, continues) = volumes.states[volume.index].streams.match(extent)
    guard continues else {
      let taken = takeSmall(volume, extent)
      if case .extent = taken {
        let tail = volumes.states[volume.index].streams.restart(stream, after: extent)
        giveBack(run: tail)
      }
      return taken
    }
    if let next = volumes.states[volume.index].streams.takeNext(stream) {
      volumes.states[volume.index].streams.advance(stream)
      heldExtents += 1
      return .extent(next.address)
    }
    if allocationRunExtents > 1, volumes.states[volume.index].streams.length(stream) >= 2 {
      switch takeRun() {
      case .run(let first, let count):
        volumes.states[volume.index].streams.setRun(
          stream, next: PoolExtent(index: first.index + 1), left: count - 1)
        volumes.states[volume.index].streams.advance(stream)
        heldExtents += 1
        return .extent(first.address)
      case .missing(let load): return .missing(load)
      case .none: break
      }
    }
    let taken = takeSmall(volume, extent)
    if case .extent = taken { volumes.states[volume.index].streams.advance(stream) }
    return taken
  }

  /// An extent that was taken and that no record names is usable again at once.
  public func giveBack(_ extent: PoolAddress) {
    precondition(heldExtents > 0)
    heldExtents -= 1
    dataSpace.makeUsable(extent.extent)
  }

  /// Gives back what streams have taken ahead: under pressure, and at stop.
  public func giveBackRuns() {
    for slot in volumes.states.indices where volumes.states[slot].isUsed {
      volumes.states[slot].streams.giveBackAll { first, count in giveBack(run: (first, count)) }
    }
  }

  func giveBack(run: (first: PoolExtent, count: Int)) {
    for i in 0..<run.count {
      dataSpace.makeUsable(PoolExtent(index: run.first.index + UInt64(i)))
    }
  }

  private enum TakenRun {
    case run(PoolExtent, Int)
    case missing(NodeLoad)
    case none
  }

  /// A run for a stream, on the device whose turn it is: devices take turns by their free space.
  private func takeRun() -> TakenRun {
    for device in devicesByTurn() {
      if let segment = streamSegments[device], dataSpace.usableCount(in: segment) > 0 {
        if let load = learn(segment) { return .missing(load) }
        if let (first, count) = dataSpace.take(from: segment, upTo: allocationRunExtents) {
          return .run(first, count)
        }
      }
      guard let fresh = freeSegmentForData(on: device) else { continue }
      startDataSegment(fresh)
      streamSegments[device] = fresh
      if let (first, count) = dataSpace.take(from: fresh, upTo: allocationRunExtents) {
        return .run(first, count)
      }
    }
    return .none
  }

  /// All devices, the one whose turn it is first (smooth weighted round robin).
  private func devicesByTurn() -> [DeviceIndex] {
    var weights: [(device: DeviceIndex, weight: Int)] = []
    for member in superblock.members where member.state == .active {
      let free =
        dataSpace.usable(on: member.index)
        + (segments.freeByDevice[member.index.index]?.count ?? 0) * segments.extents
      weights.append((member.index, free))
    }
    let total = weights.reduce(0) { $0 + $1.weight }
    for (device, weight) in weights { deviceCredits[device, default: 0] += weight }
    let order = weights.map(\.device).sorted {
      (deviceCredits[$0] ?? 0, $1.index) > (deviceCredits[$1] ?? 0, $0.index)
    }
    if let first = order.first { deviceCredits[first, default: 0] -= total }
    return order
  }

  private func takeSmall(_ volume: VolumeSlot, _ extent: VirtualExtent) -> TakenExtent {
    if let near = segmentNear(volume, extent), dataSpace.usableCount(in: near) > 0,
      dataSpace.isKnown(near), let (first, _) = dataSpace.take(from: near, upTo: 1)
    {
      heldExtents += 1
      return .extent(first.address)
    }
    // Each turn uses up a segment or ends; the number of segments bounds the loop.
    for _ in 0...segments.count {
      guard let segment = smallSegment, dataSpace.usableCount(in: segment) > 0 else {
        guard let next = nextSmallSegment() else { return .noSpace(.dataSpace) }
        smallSegment = next
        continue
      }
      if let load = learn(segment) { return .missing(load) }
      if let (first, _) = dataSpace.take(from: segment, upTo: 1) {
        heldExtents += 1
        return .extent(first.address)
      }
    }
    return .noSpace(.dataSpace)
  }

  /// The segment of the nearest mapped neighbour in the same leaf.
  private func segmentNear(_ volume: VolumeSlot, _ extent: VirtualExtent) -> Int? {
    let path = MapPath(extent)
    guard let leaf = leafInMemory(volume.index, path) else { return nil }
    let image = cache.image(leaf)
    let index = Int(path.indices[0])
    for distance in 1...8 {
      for other in [index - distance, index + distance]
      where other >= 0 && other < FormatConstants.entriesPerLeaf {
        let entry = image.entry(other)
        if !entry.upper.isNone { return segments.segment(of: entry.upper.address) }
      }
    }
    return nil
  }

  func leafInMemory(_ volume: Int, _ path: MapPath) -> Int? {
    let root = volumes.states[volume].root
    var pointer = root.pointer
    var level = root.level
    while !pointer.isNone {
      let slot = cache.find(pointer)
      guard slot >= 0 else { return nil }
      if level == 0 { return slot }
      pointer = cache.image(slot).pointer(Int(path.indices[Int(level)]))
      level -= 1
    }
    return nil
  }

  /// Small allocations fill the fullest segments; clean ones are for streams.
  private func nextSmallSegment() -> Int? {
    if let full = dataSpace.nextPartlyUsed(except: streamSegments.values) { return full }
    for device in devicesByTurn() {
      if let fresh = freeSegmentForData(on: device) {
        startDataSegment(fresh)
        return fresh
      }
    }
    return streamSegments.values.sorted().first { dataSpace.usableCount(in: $0) > 0 }
  }

  /// A free segment that may become a data segment: enough must be left for nodes, and the last
  /// 2 % of segments are always left.
  private func freeSegmentForData(on device: DeviceIndex) -> Int? {
    guard let segment = segments.freeByDevice[device.index]?.last else { return nil }
    guard segments.possibleNodeSegments > max(1, segments.count / 50) else { return nil }
    guard hasNodeSpace(.hostWrite, for: 8, newDataSegments: 1) else { return nil }
    guard records.hasRoom(forRecords: 4) else { return nil }
    return Int(segment)
  }

  private func startDataSegment(_ segment: Int) {
    _ = applyNew(
      .segmentClass(SegmentIndex(index: UInt32(segment)), .data, partner: nil))
  }

  /// Makes the usable extents of a segment known; the count page may have to be loaded first.
  func learn(_ segment: Int) -> NodeLoad? {
    if dataSpace.isKnown(segment) { return nil }
    let entry = segments.entries[segment]
    guard !entry.countPage.isNone else {
      dataSpace.learn(segment, from: nil)
      return nil
    }
    let slot = cache.find(entry.countPage)
    guard slot >= 0 else { return countPageLoad(segment) }
    dataSpace.learn(segment, from: cache.image(slot))
    return nil
  }

  func countPageLoad(_ segment: Int) -> NodeLoad {
    let entry = segments.entries[segment]
    return NodeLoad(
      address: entry.countPage, checksum: entry.countChecksum, type: .countPage, level: 0,
      key: UInt64(segment), owner: 0)
  }
}
