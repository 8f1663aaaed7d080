import Management
import StorageUnits

/// A pool that keeps its volumes in memory, for the rooms above the engine.
actor MemoryPool: PoolService {
  static let name = "demo"
  private var volumes: [String: VolumeDescription] = [:]
  private var nextID: UInt64 = 1
  private(set) var checkpoints: UInt64 = 0
  private var failure: ManagementError?
  private var isHanging = false

  /// From now on every method throws this.
  func fail(with error: ManagementError?) { failure = error }

  /// From now on no method answers before its task is cancelled.
  func hang() { isHanging = true }

  func status() async throws(ManagementError) -> PoolStatus {
    try await enter()
    return PoolStatus(
      name: Self.name, uuid: .zero, state: .online, sizeBytes: 1 << 30, usedBytes: 1 << 20,
      metadataBytes: 1 << 20, reclaimableBytes: 0, volumeCount: volumes.count,
      segmentSizeBytes: 4 << 20, allocationRunBytes: 1 << 20, cacheMode: .direct,
      checkpointSequence: checkpoints, devices: [])
  }

  func listVolumes() async throws(ManagementError) -> [VolumeDescription] {
    try await enter()
    return volumes.values.sorted { $0.name < $1.name }
  }

  func volume(named name: VolumeName) async throws(ManagementError) -> VolumeDescription {
    try await enter()
    guard let volume = volumes[name.text] else {
      throw .volumeNotFound(name, pool: Self.name)
    }
    return volume
  }

  func createVolume(
    _ specification: VolumeSpecification
  ) async throws(ManagementError) -> VolumeDescription {
    try await enter()
    let name = specification.name
    guard volumes[name.text] == nil else { throw .volumeExists(name, pool: Self.name) }
    let volume = VolumeDescription(
      name: name.text, pool: Self.name, uuid: StorageUUID(high: 1, low: nextID), id: nextID,
      sizeBytes: specification.sizeBytes, allocatedBytes: 0, mappedBytes: 0,
      logicalBlockBytes: specification.logicalBlockBytes, readOnly: false,
      fullPolicy: specification.fullPolicy, createdAt: Timestamp(secondsSince1970: 0))
    nextID += 1
    volumes[name.text] = volume
    return volume
  }

  func deleteVolume(
    named name: VolumeName, permanently: Bool
  ) async throws(ManagementError) {
    try await enter()
    guard let volume = volumes.removeValue(forKey: name.text) else {
      throw .volumeNotFound(name, pool: Self.name)
    }
    if permanently || trashExpirySeconds == 0 { return }
    trash.append(
      TrashItem(
        name: volume.name, id: volume.id, sizeBytes: volume.sizeBytes, allocatedBytes: 0,
        snapshotCount: 0, trashedAt: Timestamp(secondsSince1970: 1),
        expiresAt: Timestamp(secondsSince1970: 2)))
  }

  private(set) var thawedPins: [UInt64] = []

  func estimateSpace(
    of query: SpaceQuery
  ) async throws(ManagementError) -> SpaceEstimate {
    try await enter()
    return SpaceEstimate(
      names: query.names, referencedBytes: 1 << 20, freedBytes: 69632, freedDataBytes: 65536,
      sharedWith: ["disk@monday"])
  }

  func spaceUsage() async throws(ManagementError) -> SpaceUsage {
    try await enter()
    return SpaceUsage(
      usedBytes: 10 << 20, aheadBytes: 1 << 20, reclaimableBytes: 65536, dataBytes: 4 << 20,
      deletedMaps: 0,
      holders: [
        SpaceUsage.Holder(
          name: "disk", sizeBytes: 10 << 40, referencedBytes: 3 << 20, exclusiveBytes: 1 << 20)
      ])
  }

  func pinImage() async throws(ManagementError) -> ImagePin {
    try await enter()
    return ImagePin(id: 7, superblockSequence: 12)
  }

  func renewImagePin(_ id: UInt64, thaw: Bool) async throws(ManagementError) {
    try await enter()
    guard id == 7 else { throw .imagePinLost(pool: Self.name) }
    if thaw { thawedPins.append(id) }
  }

  func releaseImagePin(_ id: UInt64) async throws(ManagementError) {
    try await enter()
    guard id == 7 else { throw .imagePinLost(pool: Self.name) }
  }

  func resizeVolume(
    named name: VolumeName, to sizeBytes: UInt64, shrink: Bool
  ) async throws(ManagementError) -> VolumeDescription {
    var changed = try await volume(named: name)
    guard sizeBytes >= changed.sizeBytes || shrink else {
      throw ManagementError(.wouldLoseData, "smaller")
    }
    changed.sizeBytes = sizeBytes
    volumes[name.text] = changed
    return changed
  }

  func metrics() async throws(ManagementError) -> String {
    try await enter()
    return "lamina_pool_volumes 1\n"
  }

  func setFullPolicy(
    of name: VolumeName, to policy: FullPolicy
  ) async throws(ManagementError) -> VolumeDescription {
    var changed = try await volume(named: name)
    changed.fullPolicy = policy
    volumes[name.text] = changed
    return changed
  }

  func renameVolume(
    named name: VolumeName, to newName: VolumeName
  ) async throws(ManagementError) -> VolumeDescription {
    var changed = try await volume(named: name)
    guard volumes[newName.text] == nil else { throw .volumeExists(newName, pool: Self.name) }
    volumes[name.text] = nil
    changed.name = newName.text
    volumes[newName.text] = changed
    return changed
  }

  func renameSnapshot(
    _ name: SnapshotName, to newName: SnapshotName
  ) async throws(ManagementError) -> VolumeDescription {
    try await enter()
    guard var changed = volumes.removeValue(forKey: name.description) else {
      throw .snapshotNotFound(name, pool: Self.name)
    }
    changed.name = newName.description
    volumes[newName.description] = changed
    return changed
  }

  private var holds: [HoldDescription] = []

  func listHolds() async throws(ManagementError) -> [HoldDescription] {
    try await enter()
    return holds
  }

  func placeHold(_ hold: HoldSpecification) async throws(ManagementError) {
    try await enter()
    holds.append(
      HoldDescription(
        name: hold.name.description, tag: hold.tag.text, reason: hold.reason,
        createdAt: Timestamp(secondsSince1970: 0)))
  }

  func releaseHold(_ tag: HoldTag, on name: ContentName) async throws(ManagementError) {
    try await enter()
    guard
      let index = holds.firstIndex(where: { $0.tag == tag.text && $0.name == name.description })
    else { throw ManagementError(.holdNotFound, "no such hold") }
    holds.remove(at: index)
  }

  private var trash: [TrashItem] = []
  private var trashExpirySeconds: UInt32 = 0

  func listTrash() async throws(ManagementError) -> [TrashItem] {
    try await enter()
    return trash
  }

  func restoreFromTrash(
    _ name: ContentName, _ specification: RestoreSpecification
  ) async throws(ManagementError) -> VolumeDescription {
    try await enter()
    guard let index = trash.lastIndex(where: { $0.name == name.description }) else {
      throw ManagementError(.trashItemNotFound, "not in the trash")
    }
    let item = trash.remove(at: index)
    let restored = try await createVolume(
      VolumeSpecification(
        name: VolumeName(specification.name?.description ?? item.name), sizeBytes: item.sizeBytes))
    return restored
  }

  func emptyTrash(_ name: ContentName?) async throws(ManagementError) {
    try await enter()
    trash.removeAll { name == nil || $0.name == name?.description }
  }

  func change(_ change: PoolChange) async throws(ManagementError) -> PoolStatus {
    trashExpirySeconds = change.trashExpirySeconds
    var changed = try await status()
    changed.trashExpirySeconds = trashExpirySeconds
    return changed
  }

  func checkpoint() async throws(ManagementError) {
    try await enter()
    checkpoints += 1
  }

  // MARK: Streams

  /// What `send` hands out, piece by piece; then it throws `streamFailure`, if that is set.
  private var streamPieces: [[UInt8]] = []
  private var streamFailure: ManagementError?
  /// What `receive` got; it throws `streamFailure` when it has `receiveAtMost` bytes.
  private(set) var received: [UInt8] = []
  private var receiveAtMost = Int.max
  private(set) var brokenStreams = 0

  func stream(_ pieces: [[UInt8]], thenFail failure: ManagementError? = nil) {
    streamPieces = pieces
    streamFailure = failure
  }

  func refuseStreams(after count: Int, with failure: ManagementError) {
    receiveAtMost = count
    streamFailure = failure
  }

  func checkSend(_ order: SendOrder) async throws(ManagementError) -> VolumeDescription {
    try await enter()
    guard !streamPieces.isEmpty else {
      throw .snapshotNotFound(order.snapshot, pool: Self.name)
    }
    return try await volume(named: order.snapshot.volume)
  }

  func send(_ order: SendOrder, to sink: any ByteSink) async throws(ManagementError) {
    for piece in streamPieces { try await sink.write(piece) }
    if let streamFailure { throw streamFailure }
  }

  func receive(
    _ order: ReceiveOrder, from source: any ByteSource
  ) async throws(ManagementError) -> VolumeDescription {
    try await enter()
    do throws(ManagementError) {
      while let piece = try await source.next() {
        received += piece
        if received.count >= receiveAtMost, let streamFailure { throw streamFailure }
      }
    } catch {
      brokenStreams += 1
      throw error
    }
    return try await volume(named: order.volume)
  }

  func listSnapshots() async throws(ManagementError) -> [VolumeDescription] {
    try await enter()
    return volumes.values.filter { $0.snapshotOf != nil }.sorted { $0.id < $1.id }
  }

  func createSnapshots(
    _ names: [SnapshotName]
  ) async throws(ManagementError) -> [VolumeDescription] {
    try await enter()
    var made: [VolumeDescription] = []
    for name in names {
      guard var snapshot = volumes[name.volume.text] else {
        throw .volumeNotFound(name.volume, pool: Self.name)
      }
      snapshot.name = name.description
      snapshot.id = nextID
      snapshot.readOnly = true
      snapshot.snapshotOf = name.volume.text
      nextID += 1
      made.append(snapshot)
    }
    for snapshot in made { volumes[snapshot.name] = snapshot }
    return made
  }

  func deleteSnapshot(
    _ name: SnapshotName, permanently: Bool
  ) async throws(ManagementError) {
    try await enter()
    guard volumes.removeValue(forKey: name.description) != nil else {
      throw .snapshotNotFound(name, pool: Self.name)
    }
  }

  func cloneSnapshot(
    _ name: SnapshotName, as clone: VolumeName
  ) async throws(ManagementError) -> VolumeDescription {
    try await enter()
    guard var made = volumes[name.description] else {
      throw .snapshotNotFound(name, pool: Self.name)
    }
    made.name = clone.text
    made.id = nextID
    made.readOnly = false
    made.snapshotOf = nil
    nextID += 1
    volumes[clone.text] = made
    return made
  }

  func rollBack(to name: SnapshotName) async throws(ManagementError) {
    try await enter()
    guard volumes[name.description] != nil else {
      throw .snapshotNotFound(name, pool: Self.name)
    }
  }

  private var bookmarks: [BookmarkDescription] = []

  func listBookmarks() async throws(ManagementError) -> [BookmarkDescription] {
    try await enter()
    return bookmarks
  }

  func createBookmark(
    _ specification: BookmarkSpecification
  ) async throws(ManagementError) -> BookmarkDescription {
    try await enter()
    guard let snapshot = volumes[specification.snapshot.description] else {
      throw .snapshotNotFound(specification.snapshot, pool: Self.name)
    }
    let made = BookmarkDescription(
      name: specification.bookmark.description, pool: Self.name, snapshot: snapshot.name,
      snapshotUUID: snapshot.uuid, snapshotExists: true, usable: true,
      sizeBytes: snapshot.sizeBytes, createdAt: Timestamp(secondsSince1970: 0),
      snapshotCreatedAt: snapshot.createdAt)
    bookmarks.append(made)
    return made
  }

  func deleteBookmark(_ name: BookmarkName) async throws(ManagementError) {
    try await enter()
    guard let at = bookmarks.firstIndex(where: { $0.name == name.description }) else {
      throw .bookmarkNotFound(name, pool: Self.name)
    }
    bookmarks.remove(at: at)
  }

  func changes(
    _ specification: ChangeSpecification
  ) async throws(ManagementError) -> ChangeList {
    try await enter()
    guard let target = volumes[specification.target.description] else {
      throw specification.target.notFound(pool: Self.name)
    }
    let range = ChangeRange(
      offsetBytes: specification.offsetBytes, lengthBytes: 4096, kind: .hole)
    return ChangeList(
      pool: Self.name, target: target.name, targetUUID: target.uuid,
      base: specification.base?.description, baseUUID: nil, sizeBytes: target.sizeBytes,
      baseSizeBytes: nil, ranges: [range], visitedNodes: 1, nextOffsetBytes: nil)
  }

  private func enter() async throws(ManagementError) {
    if isHanging {
      try? await Task.sleep(for: .seconds(3600))
      throw .serverStopping(pool: Self.name)
    }
    if let failure { throw failure }
  }
}
