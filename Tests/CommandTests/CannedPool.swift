import Management
import PoolServer
import StorageUnits

@testable import lamina

/// A pool with one volume that always gives the same answers.
struct CannedPool: PoolService {
  static let uuid = StorageUUID(high: 0x0123_4567_89AB_4DEF, low: 0x8123_4567_89AB_CDEF)

  static let status = PoolStatus(
    name: "tank", uuid: uuid, state: .online, sizeBytes: 3 << 29, usedBytes: 1 << 20,
    metadataBytes: 4096, reclaimableBytes: 65536, volumeCount: 1, segmentSizeBytes: 4 << 20,
    allocationRunBytes: 1 << 20, cacheMode: .direct, checkpointSequence: 7,
    devices: [
      DeviceStatus(
        path: "/a.img", uuid: uuid, index: 0, sizeBytes: 1 << 30, usedBytes: 1 << 20,
        dataReads: 1, dataWrites: 20, nodeReads: 300, nodeWrites: 4, flushes: 5),
      DeviceStatus(
        path: "/b.img", uuid: uuid, index: 10, sizeBytes: 1 << 29, usedBytes: 0,
        dataReads: 0, dataWrites: 0, nodeReads: 0, nodeWrites: 0, flushes: 0),
    ])

  static let volume = VolumeDescription(
    name: "disk", pool: "tank", uuid: uuid, id: 3, sizeBytes: 10 << 40, allocatedBytes: 65536,
    mappedBytes: 4096, logicalBlockBytes: 512, readOnly: false, fullPolicy: .wait(seconds: 60),
    createdAt: Timestamp(secondsSince1970: 1_769_847_300))

  func status() async throws(ManagementError) -> PoolStatus { Self.status }

  func listVolumes() async throws(ManagementError) -> [VolumeDescription] { [Self.volume] }

  func volume(named name: VolumeName) async throws(ManagementError) -> VolumeDescription {
    guard name.text == Self.volume.name else { throw .volumeNotFound(name, pool: "tank") }
    return Self.volume
  }

  func createVolume(
    _ specification: VolumeSpecification
  ) async throws(ManagementError) -> VolumeDescription {
    throw .volumeExists(specification.name, pool: "tank")
  }

  func deleteVolume(
    named name: VolumeName, permanently: Bool
  ) async throws(ManagementError) {
    _ = try await volume(named: name)
  }

  func estimateSpace(
    of query: SpaceQuery
  ) async throws(ManagementError) -> SpaceEstimate {
    return SpaceEstimate(
      names: query.names, referencedBytes: 1 << 20, freedBytes: 69632, freedDataBytes: 65536,
      sharedWith: ["disk@monday"])
  }

  func spaceUsage() async throws(ManagementError) -> SpaceUsage {
    return SpaceUsage(
      usedBytes: 10 << 20, aheadBytes: 1 << 20, reclaimableBytes: 65536, dataBytes: 4 << 20,
      deletedMaps: 0,
      holders: [
        SpaceUsage.Holder(
          name: "disk", sizeBytes: 10 << 40, referencedBytes: 3 << 20, exclusiveBytes: 1 << 20)
      ])
  }

  func pinImage() async throws(ManagementError) -> ImagePin {
    throw .imagePinned(pool: "tank")
  }

  func renewImagePin(_ id: UInt64, thaw: Bool) async throws(ManagementError) {
    throw .imagePinLost(pool: "tank")
  }

  func releaseImagePin(_ id: UInt64) async throws(ManagementError) {
    throw .imagePinLost(pool: "tank")
  }

  func resizeVolume(
    named name: VolumeName, to sizeBytes: UInt64, shrink: Bool
  ) async throws(ManagementError) -> VolumeDescription {
    var changed = try await volume(named: name)
    changed.sizeBytes = sizeBytes
    return changed
  }

  func metrics() async throws(ManagementError) -> String { "lamina_pool_volumes 1\n" }

  func setFullPolicy(
    of name: VolumeName, to policy: FullPolicy
  ) async throws(ManagementError) -> VolumeDescription {
    var changed = try await volume(named: name)
    changed.fullPolicy = policy
    return changed
  }

  func renameVolume(
    named name: VolumeName, to newName: VolumeName
  ) async throws(ManagementError) -> VolumeDescription {
    var changed = try await volume(named: name)
    changed.name = newName.text
    return changed
  }

  func renameSnapshot(
    _ name: SnapshotName, to newName: SnapshotName
  ) async throws(ManagementError) -> VolumeDescription {
    try await deleteSnapshot(name, permanently: false)
    var changed = Self.snapshot
    changed.name = newName.description
    return changed
  }

  func listHolds() async throws(ManagementError) -> [HoldDescription] {
    [
      HoldDescription(
        name: "disk@monday", tag: "backup", reason: "not copied yet",
        createdAt: Timestamp(secondsSince1970: 1_769_847_302))
    ]
  }

  func placeHold(_ hold: HoldSpecification) async throws(ManagementError) {}

  func releaseHold(_ tag: HoldTag, on name: ContentName) async throws(ManagementError) {}

  static let trashItem = TrashItem(
    name: "old", id: 9, sizeBytes: 1 << 40, allocatedBytes: 65536, snapshotCount: 2,
    trashedAt: Timestamp(secondsSince1970: 1_769_847_303),
    expiresAt: Timestamp(secondsSince1970: 1_770_452_103))

  func listTrash() async throws(ManagementError) -> [TrashItem] { [Self.trashItem] }

  func restoreFromTrash(
    _ name: ContentName, _ specification: RestoreSpecification
  ) async throws(ManagementError) -> VolumeDescription {
    guard name.description == Self.trashItem.name else {
      throw ManagementError(.trashItemNotFound, "not in the trash")
    }
    return Self.volume
  }

  func emptyTrash(_ name: ContentName?) async throws(ManagementError) {}

  func change(_ change: PoolChange) async throws(ManagementError) -> PoolStatus {
    var status = Self.status
    status.trashExpirySeconds = change.trashExpirySeconds
    return status
  }

  func checkpoint() async throws(ManagementError) {}

  static let bookmark = BookmarkDescription(
    name: "disk#mark", pool: "tank", snapshot: "disk@monday", snapshotUUID: uuid,
    snapshotExists: false, usable: true, sizeBytes: 10 << 40,
    createdAt: Timestamp(secondsSince1970: 1_769_847_302),
    snapshotCreatedAt: Timestamp(secondsSince1970: 1_769_847_301))

  func listBookmarks() async throws(ManagementError) -> [BookmarkDescription] {
    [Self.bookmark]
  }

  func createBookmark(
    _ specification: BookmarkSpecification
  ) async throws(ManagementError) -> BookmarkDescription {
    try await deleteSnapshot(specification.snapshot, permanently: false)
    var made = Self.bookmark
    made.name = specification.bookmark.description
    return made
  }

  func deleteBookmark(_ name: BookmarkName) async throws(ManagementError) {
    guard name.description == Self.bookmark.name else {
      throw .bookmarkNotFound(name, pool: "tank")
    }
  }

  static let ranges = [
    ChangeRange(offsetBytes: 4096, lengthBytes: 8192, kind: .data),
    ChangeRange(offsetBytes: 65536, lengthBytes: 65536, kind: .hole),
  ]

  /// In two pieces.
  func changes(
    _ specification: ChangeSpecification
  ) async throws(ManagementError) -> ChangeList {
    let isFirst = specification.offsetBytes == 0
    return ChangeList(
      pool: "tank", target: specification.target.description, targetUUID: Self.uuid,
      base: specification.base?.description, baseUUID: specification.base.map { _ in Self.uuid },
      sizeBytes: 10 << 40, baseSizeBytes: specification.base.map { _ in 10 << 40 },
      ranges: [Self.ranges[isFirst ? 0 : 1]], visitedNodes: 3,
      nextOffsetBytes: isFirst ? 65536 : nil)
  }

  func checkSend(_ order: SendOrder) async throws(ManagementError) -> VolumeDescription {
    Self.snapshot
  }

  func send(_ order: SendOrder, to sink: any ByteSink) async throws(ManagementError) {
    try await sink.write(Array("a stream".utf8))
  }

  func receive(
    _ order: ReceiveOrder, from source: any ByteSource
  ) async throws(ManagementError) -> VolumeDescription {
    while try await source.next() != nil {}
    return Self.snapshot
  }

  static let snapshot = VolumeDescription(
    name: "disk@monday", pool: "tank", uuid: uuid, id: 4, sizeBytes: 10 << 40,
    allocatedBytes: 65536, mappedBytes: 4096, logicalBlockBytes: 512, readOnly: true,
    fullPolicy: .wait(seconds: 60), createdAt: Timestamp(secondsSince1970: 1_769_847_301),
    snapshotOf: "disk")

  func listSnapshots() async throws(ManagementError) -> [VolumeDescription] { [Self.snapshot] }

  func createSnapshots(
    _ names: [SnapshotName]
  ) async throws(ManagementError) -> [VolumeDescription] {
    names.map {
      var made = Self.snapshot
      made.name = $0.description
      return made
    }
  }

  func deleteSnapshot(
    _ name: SnapshotName, permanently: Bool
  ) async throws(ManagementError) {
    guard name.description == Self.snapshot.name else {
      throw .snapshotNotFound(name, pool: "tank")
    }
  }

  func cloneSnapshot(
    _ name: SnapshotName, as clone: VolumeName
  ) async throws(ManagementError) -> VolumeDescription {
    try await deleteSnapshot(name, permanently: false)
    var made = Self.volume
    made.name = clone.text
    return made
  }

  func rollBack(to name: SnapshotName) async throws(ManagementError) {
    try await deleteSnapshot(name, permanently: false)
  }
}
