import ArgumentParser
import Management

struct SnapshotCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "snapshot", abstract: "Create, list, show, compare, rename and delete snapshots.",
    subcommands: [
      SnapshotCreate.self, SnapshotShowList.self, SnapshotShow.self, SnapshotRename.self,
      SnapshotDelete.self,
      SnapshotDiff.self, SnapshotRanges.self,
    ])
}

struct SnapshotCreate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Make snapshots of one or more volumes at one instant.",
    discussion: """
      A snapshot takes no space until its volume is written to, holds every write that was \
      answered before it, and is durable when the command returns. All snapshots of one command \
      are made at one instant, or none is.

      Examples:
        lamina snapshot create tank/disk@monday
        lamina snapshot create tank/data@x tank/log@x
      """)

  @Argument(help: ArgumentHelp("The new snapshots.", valueName: "pool/volume@snapshot"))
  var snapshots: [String]

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let references = try snapshots.map { (text) throws(ManagementError) in
        try SnapshotReference(text)
      }
      let pool = try references.onePool()
      let access = PoolAccess(state: state)
      let made = try await access.use(pool) { (service) throws(ManagementError) in
        try await service.createSnapshots(references.map(\.snapshot))
      }
      return SnapshotListResult(
        output: SnapshotList(snapshots: made),
        nextCommand: "lamina volume clone \(references[0]) \(pool)/NEW\(shared.homeArgument)")
    }
  }
}

struct SnapshotShowList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the snapshots of a pool or of one volume.",
    discussion: """
      Examples:
        lamina snapshot list tank
        lamina snapshot list tank/disk --json | jq -r '.snapshots[].name'
      """)

  @Argument(help: ArgumentHelp("The pool, or a volume of it.", valueName: "pool[/volume]"))
  var object: String

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let volume = object.contains("/") ? try VolumeReference(object) : nil
      let pool: PoolName
      if let volume { pool = volume.pool } else { pool = try PoolName(object) }
      let access = PoolAccess(state: state)
      let all = try await access.use(pool) { (service) throws(ManagementError) in
        if let volume { _ = try await service.volume(named: volume.volume) }
        return try await service.listSnapshots()
      }
      let shown = volume.map { volume in all.filter { $0.snapshotOf == volume.volume.text } } ?? all
      return SnapshotListResult(output: SnapshotList(snapshots: shown), nextCommand: nil)
    }
  }
}

struct SnapshotShow: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Show what a snapshot is and holds, and what pins its space.",
    discussion: """
      Example:
        lamina snapshot show tank/disk@monday
      """)

  @Argument(help: ArgumentHelp("The snapshot.", valueName: "pool/volume@snapshot"))
  var snapshot: String

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let reference = try SnapshotReference(snapshot)
      let access = PoolAccess(state: state)
      return try await access.use(reference.pool) { (service) throws(ManagementError) in
        let name = reference.snapshot.description
        guard let found = try await service.listSnapshots().first(where: { $0.name == name }) else {
          throw ManagementError.snapshotNotFound(reference.snapshot, pool: reference.pool.text)
        }
        return VolumeShowResult(
          volume: found, space: try await service.estimateSpace(of: SpaceQuery(names: [name])))
      }
    }
  }
}

struct SnapshotDelete: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "delete", abstract: "Delete snapshots.",
    discussion: """
      Clones that were made of them stay. If the pool has a trash (pool set), they go there and \
      can be restored for a while; else, and with --now, what only they held comes back in the \
      background.

      Examples:
        lamina snapshot delete tank/disk@monday tank/disk@tuesday
        lamina snapshot delete --dry-run tank/disk@monday tank/disk@tuesday
        lamina snapshot delete tank/disk@monday --now
      """)

  @Argument(help: ArgumentHelp("The snapshots.", valueName: "pool/volume@snapshot"))
  var snapshots: [String]

  @Flag(
    name: [.customLong("now"), .customLong("permanently")],
    help: "Past the trash: they cannot be restored.")
  var now = false

  @Flag(help: "Only say what deleting them together would free.")
  var dryRun = false

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) async throws(ManagementError) -> Outcome in
      let references = try snapshots.map { (text) throws(ManagementError) in
        try SnapshotReference(text)
      }
      let pool = try references.onePool()
      return try await PoolAccess(state: state).use(pool) {
        (service) async throws(ManagementError) -> Outcome in
        if dryRun {
          let query = SpaceQuery(names: references.map(\.snapshot.description))
          return .second(
            SpaceEstimateResult(pool: pool, space: try await service.estimateSpace(of: query)))
        }
        let hasTrash = try await service.status().trashExpirySeconds > 0
        for reference in references {
          try await service.deleteSnapshot(reference.snapshot, permanently: now)
        }
        return .first(
          SnapshotsDeletedResult(snapshots: references, areTrashed: hasTrash && !now))
      }
    }
  }

  private typealias Outcome = EitherResult<SnapshotsDeletedResult, SpaceEstimateResult>
}

struct VolumeClone: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "clone", abstract: "Make a writable volume of a snapshot, at once.",
    discussion: """
      The clone shares what it does not change. Snapshot and clone may be deleted in any order.

      Example:
        lamina volume clone tank/disk@monday tank/trial
      """)

  @Argument(help: ArgumentHelp("The snapshot.", valueName: "pool/volume@snapshot"))
  var snapshot: String

  @Argument(help: ArgumentHelp("The new volume.", valueName: "pool/volume"))
  var volume: String

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let source = try SnapshotReference(snapshot)
      let target = try VolumeReference(volume)
      guard source.pool == target.pool else {
        throw ManagementError(
          .invalidArgument, "a clone stays in the pool of its snapshot",
          correction: "Name it \(source.pool)/\(target.volume).",
          objects: [ManagementObject(.volume, volume)])
      }
      let access = PoolAccess(state: state)
      let made = try await access.use(source.pool) { (service) throws(ManagementError) in
        try await service.cloneSnapshot(source.snapshot, as: target.volume)
      }
      return VolumeResult(output: made, nextCommand: nil)
    }
  }
}

struct VolumeRollback: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rollback", abstract: "Give a volume the content that a snapshot of it has.",
    discussion: """
      At once, whatever the sizes. What was written since is gone unless a later snapshot holds \
      it; later snapshots stay. A file system on the volume must not be mounted meanwhile.

      Example:
        lamina volume rollback tank/disk@monday
      """)

  @Argument(help: ArgumentHelp("The snapshot.", valueName: "pool/volume@snapshot"))
  var snapshot: String

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let source = try SnapshotReference(snapshot)
      let access = PoolAccess(state: state)
      let volume = try await access.use(source.pool) { (service) throws(ManagementError) in
        try await service.rollBack(to: source.snapshot)
        return try await service.volume(named: source.snapshot.volume)
      }
      return VolumeResult(output: volume, nextCommand: nil)
    }
  }
}

extension [SnapshotReference] {
  /// The pool that all of them are in; throws if there are several.
  func onePool() throws(ManagementError) -> PoolName {
    guard let first else {
      throw ManagementError(.invalidArgument, "no snapshot is named")
    }
    if let other = self.first(where: { $0.pool != first.pool }) {
      throw ManagementError(
        .invalidArgument, "\(first) and \(other) are in different pools",
        correction: "Use one command for each pool.",
        objects: [ManagementObject(.snapshot, other.description)])
    }
    return first.pool
  }
}

/// Snapshots as a command shows them.
struct SnapshotListResult: CommandResult {
  var output: SnapshotList
  var nextCommand: String?

  var text: String? {
    guard !output.snapshots.isEmpty else { return "no snapshots" }
    var table = TextTable([
      ("snapshot", .left), ("size", .right), ("allocated", .right), ("created", .left),
    ])
    for snapshot in output.snapshots {
      table.add([
        "\(snapshot.pool)/\(snapshot.name)", SizeText.human(snapshot.sizeBytes),
        SizeText.human(snapshot.allocatedBytes), snapshot.createdAt.description,
      ])
    }
    return table.text
  }
}

/// That snapshots are gone.
struct SnapshotsDeletedResult: CommandResult {
  struct Output: Encodable, Sendable {
    var deleted: [String]
    var trashed: Bool
  }

  var snapshots: [SnapshotReference]
  var areTrashed = false
  var output: Output { Output(deleted: snapshots.map(\.description), trashed: areTrashed) }
  var text: String? {
    "deleted \(snapshots.map(\.description).joined(separator: ", "));"
      + (areTrashed
        ? " 'lamina trash restore' brings them back"
        : " what only they held comes back in the background")
  }
  var nextCommand: String? { nil }
}
