public import DiskFormat
public import StorageUnits

/// The outcome of asking for a checkpoint.
public enum CheckpointBeginning: Hashable, Sendable {
  case begun
  /// One is being written.
  case alreadyRunning
  /// Ask again later: the record buffer has no room for the records that come first until a round
  /// ends, or the blocks that it needs are in quarantine.
  case mustWaitForRound
  /// No segment is left for the nodes that must be written. The reserves are there to prevent it.
  case noSpace
}

/// Space that a durable checkpoint showed as free; usable after its quarantine.
@frozen public struct FreedSpace: Hashable, Sendable {
  var number: UInt64
}

extension Pool {
  /// A checkpoint is being written.
  public var isCheckpointRunning: Bool { checkpoint != nil }

  // MARK: The cut

  /// Begins a checkpoint: makes sure that there are blocks for its nodes (records of segment class
  /// come first), then cuts. S is the newest applied record.
  public func beginCheckpoint() -> CheckpointBeginning {
    guard checkpoint == nil else { return .alreadyRunning }
    guard records.hasRoom(forRecords: 2) else { return .mustWaitForRound }
    freeEmptySegments()
    if segments.isFirstSegmentFree { _ = addNodeSegment() }
    while nodeSpace.usableCount < nodesToWrite {
      guard records.hasRoom(forRecords: 1) else { return .mustWaitForRound }
      if isShortForKeptImage {
        letImageGo()
        continue
      }
      guard addNodeSegment() else {
        if keepsImage {
          letImageGo()
          continue
        }
        // What the last checkpoint freed comes back when its quarantine ends.
        return quarantine.values.contains { !$0.nodes.isEmpty } ? .mustWaitForRound : .noSpace
      }
    }
    cut()
    return .begun
  }

  /// Blocks that a checkpoint cut now would need, at the most; one of them is in its hand while it
  /// looks whether there is another node to write.
  private var nodesToWrite: Int {
    cache.dirtyCount + dataSpace.touched.count + 1
      + catalogue.nodesToWrite(
        changedLeaves: volumes.dirtyLeaves.count, highestLeaf: volumes.highestLeaf)
      + (isDoomedDirty ? doomedTree.nodesToWrite(ofListWithLeaves: doomedLeafCount) : 0)
      + (versions.isDirty ? versionTree.nodesToWrite(ofListWithLeaves: versions.leafCount) : 0)
      + (areBookmarksDirty ? bookmarkTree.nodesToWrite(ofListWithLeaves: bookmarkLeafCount) : 0)
      + (areHoldsDirty ? holdTree.nodesToWrite(ofListWithLeaves: holdLeafCount) : 0)
      + (isOwedDirty ? owedTree.nodesToWrite(ofListWithLeaves: owedLeafCount) : 0)
  }

  private var doomedLeafCount: Int {
    (doomed.count + FormatConstants.doomedPerLeaf - 1) / FormatConstants.doomedPerLeaf
  }

  /// Data segments of which nothing is named or held become free segments.
  private func freeEmptySegments() {
    guard dataSpace.hasEmptySegments else { return }
    // Downwards, since the lists of free segments have the lowest last.
    for index in (0..<segments.count).reversed()
    where segments.entries[index].segmentClass == .data {
      guard dataSpace.isEmpty(index), records.hasRoom(forRecords: 4) else { continue }
      _ = applyNew(
        .segmentClass(SegmentIndex(index: UInt32(index)), .free, partner: nil))
    }
  }

  /// A free segment becomes a node segment, with a second place on another device where one is
  /// free. Segment 0 is the first one; the others lie at the far end, away from the streams.
  private func addNodeSegment() -> Bool {
    var devices = segments.freeByDevice.filter { !$0.value.isEmpty }
      .sorted { ($1.value.count, $0.key) < ($0.value.count, $1.key) }
    let first: UInt32
    if segments.isFirstSegmentFree {
      first = 0
      devices.removeAll { $0.key == segments.place(of: .none).device.index }
    } else {
      guard let last = devices.first?.value.first else { return false }
      first = last
      devices.removeFirst()
    }
    let partner = devices.first?.value.first
    _ = applyNew(
      .segmentClass(
        SegmentIndex(index: first), .node, partner: partner.map { SegmentIndex(index: $0) }))
    return true
  }

  private func cut() {
    let reserved = nodesToWrite
    let leaves = volumes.takeDirtyLeaves()
    for leaf in leaves { catalogue.grow(toHold: leaf) }
    var doomedLeaves: Set<UInt64> = []
    if isDoomedDirty {
      doomedLeaves = doomedTree.fitList(leaves: doomedLeafCount)
      isDoomedDirty = false
    }
    var versionLeaves: Set<UInt64> = []
    if versions.isDirty {
      versionLeaves = versionTree.fitList(leaves: versions.leafCount)
      versions.isDirty = false
    }
    var bookmarkLeaves: Set<UInt64> = []
    if areBookmarksDirty {
      bookmarkLeaves = bookmarkTree.fitList(leaves: bookmarkLeafCount)
      areBookmarksDirty = false
    }
    var holdLeaves: Set<UInt64> = []
    if areHoldsDirty {
      holdLeaves = holdTree.fitList(leaves: holdLeafCount)
      areHoldsDirty = false
    }
    var owedLeaves: Set<UInt64> = []
    if isOwedDirty {
      owedLeaves = owedTree.fitList(leaves: owedLeafCount)
      isOwedDirty = false
    }
    dataSpace.beginFreezing()
    nodeSpace.beginFreezing()
    segments.beginFreezing()
    var copies: [UInt64: [VolumeRecord]] = [:]
    for leaf in leaves { copies[leaf] = volumes.records(inLeaf: leaf) }
    checkpoint = CheckpointProgress(
      record: lastRecord, sequence: checkpointSequence + 1, shareEpoch: shareEpoch,
      nextVolumeID: volumes.nextID,
      settings: PoolSettings(trashExpirySeconds: trashExpirySeconds), reservedBlocks: reserved,
      frozen: cache.freeze(generation: generation), volumes: copies,
      catalogueWriter: ResidentTreeWriter(changedLeaves: leaves), doomed: doomed,
      doomedWriter: ResidentTreeWriter(changedLeaves: doomedLeaves),
      versions: versionLeaves.isEmpty ? [] : versions.entries,
      versionWriter: ResidentTreeWriter(changedLeaves: versionLeaves),
      bookmarks: bookmarkLeaves.isEmpty ? [] : bookmarks,
      bookmarkWriter: ResidentTreeWriter(changedLeaves: bookmarkLeaves),
      holds: holdLeaves.isEmpty ? [] : holds,
      holdWriter: ResidentTreeWriter(changedLeaves: holdLeaves),
      owed: owedLeaves.isEmpty ? [] : owed.ranges,
      owedWriter: ResidentTreeWriter(changedLeaves: owedLeaves),
      folded: dataSpace.frozenSegments)
    generation += 1
  }

  // MARK: Steps

  /// The next piece of the image, at most `staging` (a multiple of 4096, at least one count image):
  /// the bytes are in `staging` and must be written from there.
  public func checkpointStep(staging: UnsafeMutableRawBufferPointer) -> CheckpointStep {
    guard var progress = checkpoint else { preconditionFailure("no checkpoint is running") }
    checkpoint = nil
    defer { checkpoint = progress }
    while true {
      switch progress.phase {
      case .mapNodes:
        if let step = unsafe gather(staging, { nextMapNode(&progress, $0, at: $1) }) {
          return progress.note(step)
        }
        progress.phase = .catalogue
      case .catalogue:
        if let step = unsafe gather(staging, { nextCatalogueNode(&progress, $0, at: $1) }) {
          return progress.note(step)
        }
        progress.phase = .doomed
      case .doomed:
        if let step = unsafe gather(staging, { nextDoomedNode(&progress, $0, at: $1) }) {
          return progress.note(step)
        }
        progress.phase = .versions
      case .versions:
        if let step = unsafe gather(staging, { nextVersionNode(&progress, $0, at: $1) }) {
          return progress.note(step)
        }
        progress.phase = .bookmarks
      case .bookmarks:
        if let step = unsafe gather(staging, { nextBookmarkNode(&progress, $0, at: $1) }) {
          return progress.note(step)
        }
        progress.phase = .holds
      case .holds:
        if let step = unsafe gather(staging, { nextHoldNode(&progress, $0, at: $1) }) {
          return progress.note(step)
        }
        progress.phase = .owed
      case .owed:
        if let step = unsafe gather(staging, { nextOwedNode(&progress, $0, at: $1) }) {
          return progress.note(step)
        }
        progress.phase = .countPages
      case .countPages:
        if progress.nextFolded < progress.folded.count,
          let load = missingCountPage(Int(progress.folded[progress.nextFolded]))
        {
          return .load(load)
        }
        if let step = unsafe gather(staging, { nextCountPage(&progress, $0, at: $1) }) {
          return progress.note(step)
        }
        if progress.nextFolded < progress.folded.count { continue }
        progress.countImages = nodeSpace.dirtySegments
        progress.phase = .countImages
      case .countImages:
        if let step = unsafe nextCountImage(&progress, staging) { return step }
        nodeSpace.endFreezing()
        progress.tableWriter = SegmentTableWriter(
          changedPages: segments.takeDirtyPages(), segmentCount: segments.count)
        progress.phase = .segmentTable
      case .segmentTable:
        if let step = unsafe nextTablePage(&progress, staging) { return step }
        segments.endFreezing()
        progress.phase = .sealed
      case .sealed:
        return .seal
      }
    }
  }

  enum Written {
    /// The node is in the image and has this checksum.
    case node
    /// There was nothing to write; the address is not used.
    case nothing
    case end
  }

  /// Fills the staging buffer with nodes that get neighbouring addresses.
  private func gather(
    _ staging: UnsafeMutableRawBufferPointer,
    _ next: (NodeImage, PoolAddress) -> Written
  ) -> CheckpointStep? {
    guard let base = staging.baseAddress else { preconditionFailure("no staging buffer") }
    var first: PoolAddress?
    var count = 0
    var reserved: PoolAddress?
    while (count + 1) * 4096 <= staging.count {
      if reserved == nil {
        reserved = nodeSpace.take(after: first?.advanced(byBlocks: count - 1))
        if reserved == nil && count > 0 { break }
      }
      guard let address = reserved else { preconditionFailure("no block for a node") }
      cache.forget(address)
      let written = next(unsafe NodeImage(viewing: base + count * 4096), address)
      if case .end = written { break }
      if case .nothing = written { continue }
      first = first ?? address
      count += 1
      reserved = nil
    }
    if let reserved { nodeSpace.release(reserved) }
    guard let first else { return nil }
    return .write(first, byteCount: count * 4096)
  }

  private func header(
    _ type: NodeType, level: UInt8, owner: UInt64, key: UInt64, address: PoolAddress,
    birth: ShareEpoch, _ progress: CheckpointProgress
  ) -> NodeHeader {
    NodeHeader(
      type: type, level: level, pool: poolID, owner: owner, key: key, address: address,
      checkpoint: progress.sequence, birth: birth)
  }

  private func nextMapNode(
    _ progress: inout CheckpointProgress, _ target: NodeImage, at address: PoolAddress
  ) -> Written {
    guard progress.nextFrozen < progress.frozen.count else { return .end }
    let slot = Int(progress.frozen[progress.nextFrozen])
    progress.nextFrozen += 1
    let state = cache[slot]
    let image = cache.image(slot)
    if state.level > 0 {
      for index in 0..<FormatConstants.pointersPerNode {
        let pointer = image.pointer(index)
        if pointer.isInMemory { image.setPointer(cache.resolved(pointer), index) }
      }
    }
    let checksum = image.seal(
      header(
        .map, level: state.level, owner: state.owner, key: state.key, address: address,
        birth: state.birth, progress))
    target.copy(from: image)
    cache.place(slot, at: address, checksum: checksum)
    nodeSpace.addToImage(address, Int(state.frozenNames))
    let later = Int(state.names - state.frozenNames)
    if later != 0 { nodeSpace.addLater(address, later) }
    return .node
  }

  private func nextCatalogueNode(
    _ progress: inout CheckpointProgress, _ target: NodeImage, at address: PoolAddress
  ) -> Written {
    guard let (level, key) = progress.catalogueWriter.next(in: catalogue) else { return .end }
    if level == 0 {
      let records = progress.volumes[key] ?? []
      guard !records.isEmpty else { return removed(&catalogue, 0, key) }
      target.clear()
      for record in records {
        var record = record
        record.root.pointer = cache.resolved(record.root.pointer)
        record.encode(
          into: target, slot: Int(record.id.number % UInt64(FormatConstants.volumesPerLeaf)))
      }
    }
    return write(&catalogue, level, key, target, address, progress)
  }

  func removed(_ tree: inout ResidentTree, _ level: UInt8, _ key: UInt64) -> Written {
    if let old = tree.pointer(level: level, key: key) { nodeSpace.addToImage(old.address, -1) }
    tree.setPointer(nil, level: level, key: key)
    return .nothing
  }

  func write(
    _ tree: inout ResidentTree, _ level: UInt8, _ key: UInt64, _ target: NodeImage,
    _ address: PoolAddress, _ progress: CheckpointProgress
  ) -> Written {
    if level > 0 {
      target.clear()
      var isEmpty = true
      let first = key * UInt64(FormatConstants.pointersPerNode)
      for index in 0..<FormatConstants.pointersPerNode {
        guard let child = tree.pointer(level: level - 1, key: first + UInt64(index)) else {
          continue
        }
        target.setPointer(child, index)
        isEmpty = false
      }
      if isEmpty { return removed(&tree, level, key) }
    }
    let checksum = target.seal(
      header(
        tree.type, level: level, owner: 0, key: key, address: address,
        birth: progress.shareEpoch, progress))
    nodeSpace.addToImage(address, 1)
    if let old = tree.pointer(level: level, key: key) { nodeSpace.addToImage(old.address, -1) }
    tree.setPointer(
      NodePointer(address: address, checksum: checksum, birth: progress.shareEpoch), level: level,
      key: key)
    return .node
  }

  // MARK: Counts

  private func missingCountPage(_ segment: Int) -> NodeLoad? {
    let entry = segments.imageEntry(segment)
    guard !entry.countPage.isNone, cache.find(entry.countPage) < 0 else { return nil }
    return countPageLoad(segment)
  }

  private func nextCountPage(
    _ progress: inout CheckpointProgress, _ target: NodeImage, at address: PoolAddress
  ) -> Written {
    guard progress.nextFolded < progress.folded.count else { return .end }
    let segment = Int(progress.folded[progress.nextFolded])
    let entry = segments.imageEntry(segment)
    if entry.countPage.isNone {
      target.clear()
    } else {
      let slot = cache.find(entry.countPage)
      // It must be loaded first: this gather ends here, and the next step asks for it.
      guard slot >= 0 else { return .end }
      target.copy(from: cache.image(slot))
    }
    progress.nextFolded += 1
    let (freed, zero, isAllZero) = dataSpace.fold(segment, into: target)
    if !freed.isEmpty { progress.freedExtents.append(freed) }
    if !entry.countPage.isNone { nodeSpace.addToImage(entry.countPage, -1) }
    if isAllZero {
      segments.updateImage(segment) {
        $0.countPage = .none
        $0.countChecksum = 0
        $0.freeUnits = UInt32(zero)
      }
      return .nothing
    }
    let checksum = target.seal(
      header(
        .countPage, level: 0, owner: 0, key: UInt64(segment), address: address, birth: .zero,
        progress))
    nodeSpace.addToImage(address, 1)
    segments.updateImage(segment) {
      $0.countPage = address
      $0.countChecksum = checksum
      $0.freeUnits = UInt32(zero)
    }
    // Readers must not ask the device for it before it is written.
    progress.writtenPages.append(
      cache.addWritten(countPageLoad(segment), from: target, generation: generation - 1))
    return .node
  }

  private func nextCountImage(
    _ progress: inout CheckpointProgress, _ staging: UnsafeMutableRawBufferPointer
  ) -> CheckpointStep? {
    guard progress.nextCountImage < progress.countImages.count else { return nil }
    guard let base = staging.baseAddress else { preconditionFailure("no staging buffer") }
    let segment = progress.countImages[progress.nextCountImage]
    progress.nextCountImage += 1
    let layout = nodeSpace.layout
    precondition(layout.imageBytes <= staging.count)
    let image = unsafe CountImage(viewing: base, layout: layout)
    image.clear()
    for page in 0..<layout.pagesPerImage {
      nodeSpace.encodeCounts(segment, page: page, into: image.page(page))
    }
    let index = SegmentIndex(index: segment)
    let which = 1 - segments.imageEntry(Int(segment)).currentImage
    let checksum = image.seal(
      segment: index, image: Int(which), pool: poolID, checkpoint: progress.sequence)
    nodeSpace.imageEncoded(segment)
    let zero = nodeSpace.zeroCount(segment)
    segments.updateImage(Int(segment)) {
      $0.currentImage = which
      $0.countChecksum = checksum
      $0.freeUnits = zero
    }
    return .write(
      layout.address(ofImage: Int(which), segment: index), byteCount: layout.imageBytes)
  }

  // MARK: The segment table

  private func nextTablePage(
    _ progress: inout CheckpointProgress, _ staging: UnsafeMutableRawBufferPointer
  ) -> CheckpointStep? {
    guard let base = staging.baseAddress else { preconditionFailure("no staging buffer") }
    guard let (level, key) = progress.tableWriter?.next() else { return nil }
    let page = unsafe NodeImage(viewing: base)
    page.clear()
    while segmentPages.count <= Int(level) { segmentPages.append([:]) }
    if level == 0 {
      let first = Int(key) * FormatConstants.segmentsPerPage
      for index in first..<min(segments.count, first + FormatConstants.segmentsPerPage) {
        segments.imageEntry(index).encode(into: page, index: index - first)
      }
    } else {
      let first = key * UInt64(FormatConstants.systemPointersPerPage)
      for index in 0..<FormatConstants.systemPointersPerPage {
        guard let child = segmentPages[Int(level) - 1][first + UInt64(index)] else { continue }
        child.encode(into: page, index: index)
      }
    }
    let checksum = page.seal(
      header(
        .segmentTable, level: level, owner: 0, key: key, address: .none, birth: .zero, progress))
    let (place, second) = systemSpace.take()
    if let old = segmentPages[Int(level)][key] { systemSpace.replace(old) }
    segmentPages[Int(level)][key] = SystemPointer(
      place: place, secondPlace: second, checksum: checksum)
    return .writeSystem(place, second, byteCount: 4096)
  }

  // MARK: The seal

  /// Fixes what the superblocks of this checkpoint say, once every write of it has completed and
  /// been made durable. A start hands in a new log generation; others the running one.
  public func sealCheckpoint(
    logGeneration: UInt64, nonce: UInt64, firstSequence: UInt64, previousChecksum: UInt32,
    opening: Opening, isOpen: Bool
  ) {
    guard let progress = checkpoint, progress.phase == .sealed else {
      preconditionFailure("the image is not complete")
    }
    superblockSequence += 1
    superblock.sequence = superblockSequence
    superblock.checkpointSequence = progress.sequence
    superblock.checkpointRecord = progress.record
    superblock.logGeneration = logGeneration
    superblock.logNonce = nonce
    superblock.applyVersion = ApplyVersion.current
    superblock.shareEpoch = progress.shareEpoch
    superblock.nextVolumeID = progress.nextVolumeID
    superblock.bounds = WriterBounds(
      dirtyNodeBytes: UInt64(bounds.dirtyNodeBytes),
      countDeltaBytes: UInt64(bounds.countDeltaBytes))
    superblock.catalogue = catalogue.root
    superblock.doomed = doomedTree.root
    superblock.versionTree = versionTree.root
    superblock.bookmarks = bookmarkTree.root
    superblock.holds = holdTree.root
    superblock.owed = owedTree.root
    superblock.settings = progress.settings
    let rootLevel = SegmentTableWriter.rootLevel(segmentCount: segments.count)
    superblock.segmentTable = SystemTreeRoot(
      pointer: segmentPages[Int(rootLevel)][0], level: rootLevel)
    superblock.streams[0].firstSequence = firstSequence
    superblock.streams[0].previousChecksum = previousChecksum
    superblock.openedBy = opening
    superblock.isOpen = isOpen
    for index in superblock.members.indices {
      superblock.members[index].superblockSequence = superblockSequence
    }
  }

  /// S of the checkpoint that is being written.
  public var checkpointRecord: RecordNumber? { checkpoint?.record }

  /// The superblock for one device, after `sealCheckpoint`.
  public func superblock(for device: DeviceIndex) -> Superblock {
    var copy = superblock
    guard let uuid = deviceUUIDs[device] else { preconditionFailure("not a member") }
    copy.device = device
    copy.deviceUUID = uuid
    copy.systemRanges = systemRanges[device] ?? []
    return copy
  }

  /// The superblocks and the barrier after them are done: the image is durable. What it shows as
  /// free may be used again when its quarantine is over: then call `release`.
  public func completeCheckpoint() -> FreedSpace? {
    guard let progress = checkpoint, progress.phase == .sealed else {
      preconditionFailure("the image is not complete")
    }
    checkpointSequence = progress.sequence
    cache.checkpointCompleted(progress.frozen + progress.writtenPages)
    resolveRoots()
    dataSpace.endFreezing()
    systemSpace.checkpointCompleted()
    checkpoint = nil
    endVersions(through: progress.record)
    updateTableReserve()
    let nodes = nodeSpace.takeZeroed()
    if isReplaying {
      // Nothing has looked anything up yet; the table knows exactly what is free.
      isReplaying = false
      for block in nodes { nodeSpace.release(PoolAddress(block: block)) }
      dataSpace.forgetUsable()
      return nil
    }
    guard !nodes.isEmpty || !progress.freedExtents.isEmpty else { return nil }
    let freed = FreedSpace(number: nextFreedSpace)
    nextFreedSpace += 1
    for extents in progress.freedExtents { dataSpace.quarantine(extents) }
    quarantine[freed.number] = (nodes, progress.freedExtents)
    return freed
  }

  /// Roots that name nodes by memory number learn their addresses, before the numbers are
  /// forgotten.
  private func resolveRoots() {
    for slot in volumes.states.indices where volumes.states[slot].isUsed {
      let root = volumes.states[slot].root
      if root.pointer.isInMemory {
        volumes.states[slot].root.pointer = cache.resolved(root.pointer)
      }
    }
    for index in doomed.indices {
      doomed[index].root.pointer = cache.resolved(doomed[index].root.pointer)
    }
  }

  /// The quarantine of freed space is over: it may be taken.
  public func release(_ freed: FreedSpace) {
    guard let (nodes, extents) = quarantine.removeValue(forKey: freed.number) else {
      preconditionFailure("released twice")
    }
    for block in nodes { releaseNode(block) }
    for freed in extents { dataSpace.release(freed) }
  }
}
