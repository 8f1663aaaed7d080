import ArgumentParser
import Management

struct TrashCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trash", abstract: "List, restore and empty what was deleted.",
    subcommands: [TrashShowList.self, TrashRestore.self, TrashEmpty.self])
}

struct TrashShowList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List what was deleted and can be restored.",
    discussion: """
      Examples:
        lamina trash list tank
        lamina trash list tank --json | jq -r '.items[].name'
      """)

  @Argument(help: "The name of the pool.")
  var pool: String

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let pool = try PoolName(pool)
      let access = PoolAccess(state: state)
      let items = try await access.use(pool) { (service) throws(ManagementError) in
        try await service.listTrash()
      }
      let next = items.last.map { "lamina trash restore \(pool)/\($0.name)\(shared.homeArgument)" }
      return TrashListResult(pool: pool, output: TrashList(items: items), nextCommand: next)
    }
  }
}

struct TrashRestore: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore", abstract: "Restore what was deleted, as it was.",
    discussion: """
      A volume comes back with its snapshots. If its name is taken by now, give it another with \
      --as. Of several items of one name the one that was deleted last comes back, or the one \
      with this --id.

      Examples:
        lamina trash restore tank/disk
        lamina trash restore tank/disk --as rescued
        lamina trash restore tank/disk@monday --id 17
      """)

  @Argument(help: ArgumentHelp("What was deleted.", valueName: "pool/volume[@snapshot]"))
  var object: String

  @Option(
    name: .customLong("as"),
    help: ArgumentHelp("Its new name; of a snapshot, without its volume's.", valueName: "name"))
  var newName: String?

  @Option(help: "Which of several of one name.")
  var id: UInt64?

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let reference = try ContentReference(holdable: object)
      let specification = RestoreSpecification(name: try name(of: reference), id: id)
      let access = PoolAccess(state: state)
      let restored = try await access.use(reference.pool) { (service) throws(ManagementError) in
        try await service.restoreFromTrash(reference.content, specification)
      }
      return VolumeResult(output: restored, nextCommand: nil)
    }
  }

  private func name(of old: ContentReference) throws(ManagementError) -> ContentName? {
    guard let newName else { return nil }
    switch old.content {
    case .volume: return .volume(try VolumeName(newName))
    case .snapshot(let snapshot):
      return .snapshot(try SnapshotName("\(snapshot.volume)@\(newName)"))
    }
  }
}

struct TrashEmpty: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "empty", abstract: "Delete for good what is in the trash.",
    discussion: """
      All of it, or what has one of these names. Its space comes back in the background.

      Examples:
        lamina trash empty tank
        lamina trash empty tank disk data@monday
      """)

  @Argument(help: "The name of the pool.")
  var pool: String

  @Argument(help: ArgumentHelp("What to delete; all, if none is named.", valueName: "name"))
  var names: [String] = []

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let pool = try PoolName(pool)
      let parsed = try names.map { (text) throws(ManagementError) in try ContentName(text) }
      let access = PoolAccess(state: state)
      let gone = try await access.use(pool) { (service) throws(ManagementError) in
        let before = try await service.listTrash()
        if parsed.isEmpty { try await service.emptyTrash(nil) }
        for name in parsed { try await service.emptyTrash(name) }
        let after = Set(try await service.listTrash().map(\.id))
        return before.filter { !after.contains($0.id) }
      }
      return TrashEmptiedResult(pool: pool, items: gone)
    }
  }
}

/// The trash as a command shows it.
struct TrashListResult: CommandResult {
  var pool: PoolName
  var output: TrashList
  var nextCommand: String?

  var text: String? {
    guard !output.items.isEmpty else { return "the trash is empty" }
    var table = TextTable([
      ("deleted", .left), ("id", .right), ("size", .right), ("allocated", .right),
      ("snapshots", .right), ("at", .left), ("gone at", .left),
    ])
    for item in output.items {
      table.add([
        "\(pool)/\(item.name)", "\(item.id)", SizeText.human(item.sizeBytes),
        SizeText.human(item.allocatedBytes), "\(item.snapshotCount)",
        item.trashedAt.description, item.expiresAt.description,
      ])
    }
    return table.text
  }
}

/// That items are gone for good.
struct TrashEmptiedResult: CommandResult {
  struct Output: Encodable, Sendable {
    var deleted: [String]
  }

  var pool: PoolName
  var items: [TrashItem]
  var output: Output { Output(deleted: items.map { "\(pool)/\($0.name)" }) }
  var text: String? {
    items.isEmpty
      ? "nothing was in the trash"
      : "deleted \(output.deleted.joined(separator: ", ")) for good"
  }
  var nextCommand: String? { nil }
}
