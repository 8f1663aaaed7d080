/// The commands and queries of one pool. The engine's server implements it, and so does the client
/// of a running server, so that the command line need not know which it talks to.
///
/// An answer follows a flush round: what it says has happened survives a power cut. A method that
/// throws has changed nothing.
public protocol PoolService: Sendable {
  func status() async throws(ManagementError) -> PoolStatus

  /// In the order of their names.
  func listVolumes() async throws(ManagementError) -> [VolumeDescription]

  /// Throws `volumeNotFound`.
  func volume(named name: VolumeName) async throws(ManagementError) -> VolumeDescription

  /// Throws `volumeExists`, `noSpace`, `limitReached`, `poolReadOnly`.
  func createVolume(
    _ specification: VolumeSpecification
  ) async throws(ManagementError) -> VolumeDescription

  /// Answers at once. Hosts that use the volume get errors from then on. It goes into the trash,
  /// with its snapshots, if the pool has one and not `permanently`; else its space comes back in
  /// the background. Throws `volumeNotFound`, `volumeInUse`, `held`, `poolReadOnly`.
  func deleteVolume(named name: VolumeName, permanently: Bool) async throws(ManagementError)

  /// The metrics in the text format of Prometheus (`Docs/Metrics.md`).
  func metrics() async throws(ManagementError) -> String

  /// Another size, also while hosts use the volume; they see it when they connect again. Throws
  /// `volumeNotFound`, `invalidSize`, `wouldLoseData` (smaller, without `shrink`), `noSpace`,
  /// `poolReadOnly`.
  func resizeVolume(
    named name: VolumeName, to sizeBytes: UInt64, shrink: Bool
  ) async throws(ManagementError) -> VolumeDescription

  /// Another name; hosts that use the volume go on. Throws `volumeNotFound`, `volumeExists`,
  /// `poolReadOnly`.
  func renameVolume(
    named name: VolumeName, to newName: VolumeName
  ) async throws(ManagementError) -> VolumeDescription

  /// What the volume's writes do when the pool has no space, from now on. Throws `volumeNotFound`,
  /// `invalidArgument`, `poolReadOnly`.
  func setFullPolicy(
    of name: VolumeName, to policy: FullPolicy
  ) async throws(ManagementError) -> VolumeDescription

  /// Another name among the snapshots of the same volume. Throws `snapshotNotFound`,
  /// `snapshotExists`, `invalidArgument`, `poolReadOnly`.
  func renameSnapshot(
    _ name: SnapshotName, to newName: SnapshotName
  ) async throws(ManagementError) -> VolumeDescription

  /// Of all volumes, oldest first.
  func listSnapshots() async throws(ManagementError) -> [VolumeDescription]

  /// Snapshots at one instant, all or none; each holds every write answered before. Throws
  /// `volumeNotFound`, `snapshotExists`, `noSpace`, `limitReached`, `poolReadOnly`.
  func createSnapshots(
    _ names: [SnapshotName]
  ) async throws(ManagementError) -> [VolumeDescription]

  /// Answers at once. It goes into the trash if the pool has one and not `permanently`; else what
  /// only the snapshot held comes back in the background. Throws `snapshotNotFound`, `held`,
  /// `poolReadOnly`.
  func deleteSnapshot(_ name: SnapshotName, permanently: Bool) async throws(ManagementError)

  /// In the order in which things were thrown away.
  func listTrash() async throws(ManagementError) -> [TrashItem]

  /// What it was, under its old name or another. Throws `trashItemNotFound`, `volumeExists`,
  /// `snapshotExists`, `invalidArgument`, `poolReadOnly`.
  func restoreFromTrash(
    _ name: ContentName, _ specification: RestoreSpecification
  ) async throws(ManagementError) -> VolumeDescription

  /// Deletes the items of this name for good, or all. Throws `trashItemNotFound`, `poolReadOnly`.
  func emptyTrash(_ name: ContentName?) async throws(ManagementError)

  /// Throws `poolReadOnly`.
  func change(_ change: PoolChange) async throws(ManagementError) -> PoolStatus

  /// A writable volume with the snapshot's content. Throws `snapshotNotFound`, `volumeExists`,
  /// `noSpace`, `poolReadOnly`.
  func cloneSnapshot(
    _ name: SnapshotName, as clone: VolumeName
  ) async throws(ManagementError) -> VolumeDescription

  /// The volume has the snapshot's content again; later snapshots stay. Throws `snapshotNotFound`,
  /// `noSpace`, `poolReadOnly`.
  func rollBack(to name: SnapshotName) async throws(ManagementError)

  /// What deleting these volumes and snapshots together would free. It takes as long as what they
  /// hold alone is large. Throws `volumeNotFound`, `snapshotNotFound`.
  func estimateSpace(of query: SpaceQuery) async throws(ManagementError) -> SpaceEstimate

  /// Where all space is, after a checkpoint: looks at everything that one volume or snapshot holds
  /// alone.
  func spaceUsage() async throws(ManagementError) -> SpaceUsage

  /// Pins the image of the newest checkpoint for a reader of the devices; one at a time. Throws
  /// `imagePinned`, `poolReadOnly`.
  func pinImage() async throws(ManagementError) -> ImagePin

  /// Prolongs a pin, and thaws it if asked to. Throws `imagePinLost`.
  func renewImagePin(_ id: UInt64, thaw: Bool) async throws(ManagementError)

  /// Gives a pin up. Throws `imagePinLost` if it was gone before: what was read is worth nothing.
  func releaseImagePin(_ id: UInt64) async throws(ManagementError)

  /// Of all volumes, oldest first.
  func listBookmarks() async throws(ManagementError) -> [BookmarkDescription]

  /// Throws `snapshotNotFound`, `bookmarkExists`, `noSpace`, `limitReached`, `poolReadOnly`.
  func createBookmark(
    _ specification: BookmarkSpecification
  ) async throws(ManagementError) -> BookmarkDescription

  /// Throws `bookmarkNotFound`, `poolReadOnly`.
  func deleteBookmark(_ name: BookmarkName) async throws(ManagementError)

  /// What the target has that the base has not, or has otherwise; a piece of it, in order. Throws
  /// `volumeNotFound`, `snapshotNotFound`, `bookmarkNotFound`, `volumesNotRelated`,
  /// `bookmarkNotOnLine`, `inputOutput`.
  func changes(_ specification: ChangeSpecification) async throws(ManagementError) -> ChangeList

  /// What `send` would send. Throws as it does before its first byte.
  func checkSend(_ order: SendOrder) async throws(ManagementError) -> VolumeDescription

  /// Hands a snapshot out as a stream (`Docs/StreamFormat.md`), which is whole if this does not
  /// throw. Throws `snapshotNotFound`, `inputOutput`, and what the sink throws.
  func send(_ order: SendOrder, to sink: any ByteSink) async throws(ManagementError)

  /// Makes the snapshot that a stream holds, and answers when it is durable and what was read back
  /// is what was sent. Throws `streamDamaged`, `formatNotSupported`, `volumeExists`, `noSpace`,
  /// `poolReadOnly`, and what the source throws; then nothing of the stream is left.
  func receive(
    _ order: ReceiveOrder, from source: any ByteSource
  ) async throws(ManagementError) -> VolumeDescription

  /// All holds, in the order in which they were placed.
  func listHolds() async throws(ManagementError) -> [HoldDescription]

  /// Refuses the deletion of a volume or snapshot until the hold is released. Throws
  /// `volumeNotFound`, `snapshotNotFound`, `holdExists`, `limitReached`, `noSpace`, `poolReadOnly`.
  func placeHold(_ hold: HoldSpecification) async throws(ManagementError)

  /// Throws `volumeNotFound`, `snapshotNotFound`, `holdNotFound`, `poolReadOnly`.
  func releaseHold(_ tag: HoldTag, on name: ContentName) async throws(ManagementError)

  /// Makes a checkpoint and answers when it is complete: space that was freed before can be used.
  func checkpoint() async throws(ManagementError)
}
