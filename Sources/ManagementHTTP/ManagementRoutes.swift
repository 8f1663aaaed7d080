import Management

/// The control API, version 1.
public enum ManagementRoutes {
  public static let all: [ManagementRoute] =
    server + pool + space + volumes + snapshots + bookmarks + changes + holds + trash

  private static let server = [
    ManagementRoute(.get, "/v1/version", summary: "The versions that this server speaks.") {
      (_, _) throws(ManagementError) in
      try .json(LaminaVersion.current)
    },
    ManagementRoute(.get, "/metrics", summary: "The metrics, for Prometheus.") {
      (_, service) throws(ManagementError) in
      .text(
        try await service.metrics(), contentType: "text/plain; version=0.0.4; charset=utf-8")
    },
  ]

  private static let pool = [
    ManagementRoute(.get, "/v1/pool", summary: "What the pool is, holds and has done.") {
      (_, service) throws(ManagementError) in
      try .json(try await service.status())
    },
    ManagementRoute(.patch, "/v1/pool", summary: "Change the pool's settings.") {
      (input, service) throws(ManagementError) in
      try .json(try await service.change(try input.value(PoolChange.self)))
    },
    ManagementRoute(.post, "/v1/pool/checkpoint", summary: "Make a checkpoint.") {
      (_, service) throws(ManagementError) in
      try await service.checkpoint()
      return .noContent
    },
    ManagementRoute(
      .post, "/v1/pool/pin", summary: "Pin the newest checkpoint for a reader of the devices."
    ) { (_, service) throws(ManagementError) in
      let pin = try await service.pinImage()
      return try .json(pin, status: 201, location: "/v1/pool/pin/\(pin.id)")
    },
    ManagementRoute(.put, "/v1/pool/pin/{id}", summary: "Prolong a pin, and thaw it.") {
      (input, service) throws(ManagementError) in
      let renewal = try input.value(ImagePinRenewal.self)
      try await service.renewImagePin(try input.pinID(), thaw: renewal.thaw)
      return .noContent
    },
    ManagementRoute(.delete, "/v1/pool/pin/{id}", summary: "Give a pin up.") {
      (input, service) throws(ManagementError) in
      try await service.releaseImagePin(try input.pinID())
      return .noContent
    },
  ]

  private static let space = [
    ManagementRoute(.get, "/v1/space", summary: "Where the space of the pool is.") {
      (_, service) throws(ManagementError) in
      try .json(try await service.spaceUsage())
    },
    ManagementRoute(
      .post, "/v1/space/estimate",
      summary: "What deleting some volumes and snapshots together would free."
    ) { (input, service) throws(ManagementError) in
      let query = try input.value(SpaceQuery.self)
      return try .json(try await service.estimateSpace(of: query))
    },
  ]

  private static let volumes = [
    ManagementRoute(.get, "/v1/volumes", summary: "All volumes, in the order of their names.") {
      (_, service) throws(ManagementError) in
      try .json(VolumeList(volumes: try await service.listVolumes()))
    },
    ManagementRoute(.post, "/v1/volumes", summary: "Create a volume.") {
      (input, service) throws(ManagementError) in
      let specification = try input.value(VolumeSpecification.self)
      let volume = try await service.createVolume(specification)
      return try .json(volume, status: 201, location: "/v1/volumes/\(volume.name)")
    },
    ManagementRoute(.get, "/v1/volumes/{name}", summary: "What a volume is and holds.") {
      (input, service) throws(ManagementError) in
      try .json(try await service.volume(named: try input.volumeName()))
    },
    ManagementRoute(
      .patch, "/v1/volumes/{name}", summary: "Give a volume another size, name or policy."
    ) { (input, service) throws(ManagementError) in
      let name = try input.volumeName()
      let change = try input.value(VolumeChange.self)
      if let newName = change.name {
        return try .json(try await service.renameVolume(named: name, to: newName))
      }
      if let policy = change.fullPolicy {
        return try .json(try await service.setFullPolicy(of: name, to: policy))
      }
      let changed = try await service.resizeVolume(
        named: name, to: change.sizeBytes ?? 0, shrink: change.shrink ?? false)
      return try .json(changed)
    },
    ManagementRoute(.delete, "/v1/volumes/{name}", summary: "Delete a volume.") {
      (input, service) throws(ManagementError) in
      try await service.deleteVolume(named: try input.volumeName(), permanently: false)
      return .noContent
    },
    ManagementRoute(
      .delete, "/v1/volumes/{name}/permanently", summary: "Delete a volume, past the trash."
    ) { (input, service) throws(ManagementError) in
      try await service.deleteVolume(named: try input.volumeName(), permanently: true)
      return .noContent
    },
  ]

  private static let snapshots = [
    ManagementRoute(.get, "/v1/snapshots", summary: "All snapshots, oldest first.") {
      (_, service) throws(ManagementError) in
      try .json(SnapshotList(snapshots: try await service.listSnapshots()))
    },
    ManagementRoute(
      .post, "/v1/snapshots", summary: "Make snapshots at one instant, all or none."
    ) { (input, service) throws(ManagementError) in
      let specification = try input.value(SnapshotSpecification.self)
      let made = try await service.createSnapshots(specification.snapshots)
      return try .json(SnapshotList(snapshots: made), status: 201)
    },
    ManagementRoute(.patch, "/v1/snapshots/{name}", summary: "Give a snapshot another name.") {
      (input, service) throws(ManagementError) in
      let change = try input.value(SnapshotChange.self)
      return try .json(
        try await service.renameSnapshot(try input.snapshotName(), to: change.name))
    },
    ManagementRoute(.delete, "/v1/snapshots/{name}", summary: "Delete a snapshot.") {
      (input, service) throws(ManagementError) in
      try await service.deleteSnapshot(try input.snapshotName(), permanently: false)
      return .noContent
    },
    ManagementRoute(
      .delete, "/v1/snapshots/{name}/permanently", summary: "Delete a snapshot, past the trash."
    ) { (input, service) throws(ManagementError) in
      try await service.deleteSnapshot(try input.snapshotName(), permanently: true)
      return .noContent
    },
    ManagementRoute(
      .post, "/v1/snapshots/{name}/clone", summary: "Make a volume of a snapshot."
    ) { (input, service) throws(ManagementError) in
      let clone = try input.value(CloneSpecification.self)
      let made = try await service.cloneSnapshot(try input.snapshotName(), as: clone.name)
      return try .json(made, status: 201, location: "/v1/volumes/\(made.name)")
    },
    ManagementRoute(
      .post, "/v1/snapshots/{name}/rollback",
      summary: "Give the snapshot's volume its content again."
    ) { (input, service) throws(ManagementError) in
      try await service.rollBack(to: try input.snapshotName())
      return .noContent
    },
  ]

  private static let bookmarks = [
    ManagementRoute(.get, "/v1/bookmarks", summary: "All bookmarks, oldest first.") {
      (_, service) throws(ManagementError) in
      try .json(BookmarkList(bookmarks: try await service.listBookmarks()))
    },
    ManagementRoute(.post, "/v1/bookmarks", summary: "Make a bookmark of a snapshot.") {
      (input, service) throws(ManagementError) in
      let specification = try input.value(BookmarkSpecification.self)
      return try .json(try await service.createBookmark(specification), status: 201)
    },
    ManagementRoute(
      .delete, "/v1/volumes/{name}/bookmarks/{mark}", summary: "Delete a bookmark."
    ) { (input, service) throws(ManagementError) in
      try await service.deleteBookmark(
        BookmarkName(
          volume: try input.volumeName(), mark: input.pathParameters["mark"] ?? ""))
      return .noContent
    },
  ]

  private static let changes = [
    ManagementRoute(
      .post, "/v1/changes", summary: "What changed since a snapshot, or all that is stored."
    ) { (input, service) throws(ManagementError) in
      try .json(try await service.changes(try input.value(ChangeSpecification.self)))
    }
  ]

  private static let holds = [
    ManagementRoute(.get, "/v1/holds", summary: "All holds, oldest first.") {
      (_, service) throws(ManagementError) in
      try .json(HoldList(holds: try await service.listHolds()))
    },
    ManagementRoute(
      .post, "/v1/holds", summary: "Refuse the deletion of a volume or snapshot."
    ) { (input, service) throws(ManagementError) in
      try await service.placeHold(try input.value(HoldSpecification.self))
      return .noContent
    },
    ManagementRoute(.delete, "/v1/holds/{name}/{tag}", summary: "Release a hold.") {
      (input, service) throws(ManagementError) in
      try await service.releaseHold(
        try HoldTag(input.pathParameters["tag"] ?? ""), on: try input.contentName())
      return .noContent
    },
  ]

  private static let trash = [
    ManagementRoute(.get, "/v1/trash", summary: "What was deleted and can be restored.") {
      (_, service) throws(ManagementError) in
      try .json(TrashList(items: try await service.listTrash()))
    },
    ManagementRoute(.post, "/v1/trash/{name}/restore", summary: "Restore what was deleted.") {
      (input, service) throws(ManagementError) in
      let specification = try input.value(RestoreSpecification.self)
      return try .json(
        try await service.restoreFromTrash(try input.contentName(), specification))
    },
    ManagementRoute(.delete, "/v1/trash", summary: "Empty the trash.") {
      (_, service) throws(ManagementError) in
      try await service.emptyTrash(nil)
      return .noContent
    },
    ManagementRoute(
      .delete, "/v1/trash/{name}", summary: "Delete what has this name for good."
    ) { (input, service) throws(ManagementError) in
      try await service.emptyTrash(try input.contentName())
      return .noContent
    },
  ]
}
