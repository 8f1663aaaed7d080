import ArgumentParser
import Management

struct HoldCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hold", abstract: "Refuse the deletion of a volume or snapshot.",
    discussion: """
      A volume or snapshot may have several holds, each with a tag of its own; whoever wants to \
      delete it is told the tags and reasons.

      Examples:
        lamina hold tank/disk@monday --tag backup --reason "not copied off site yet"
        lamina holds tank
        lamina release tank/disk@monday --tag backup
      """)

  @Argument(help: ArgumentHelp("The volume or snapshot.", valueName: "pool/volume[@snapshot]"))
  var object: String

  @Option(help: "The hold's tag; 'release' names it.")
  var tag: String

  @Option(help: "Why it must not be deleted, for whoever tries.")
  var reason = ""

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let reference = try ContentReference(holdable: object)
      let hold = try HoldSpecification(
        name: reference.content, tag: try HoldTag(tag), reason: reason)
      let access = PoolAccess(state: state)
      try await access.use(reference.pool) { (service) throws(ManagementError) in
        try await service.placeHold(hold)
      }
      return HoldChangedResult(object: reference, tag: hold.tag, isPlaced: true)
    }
  }
}

struct ReleaseCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "release", abstract: "Release a hold.",
    discussion: """
      Example:
        lamina release tank/disk@monday --tag backup
      """)

  @Argument(help: ArgumentHelp("The volume or snapshot.", valueName: "pool/volume[@snapshot]"))
  var object: String

  @Option(help: "The hold's tag.")
  var tag: String

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let reference = try ContentReference(holdable: object)
      let tag = try HoldTag(tag)
      let access = PoolAccess(state: state)
      try await access.use(reference.pool) { (service) throws(ManagementError) in
        try await service.releaseHold(tag, on: reference.content)
      }
      return HoldChangedResult(object: reference, tag: tag, isPlaced: false)
    }
  }
}

struct HoldsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "holds", abstract: "List the holds of a pool.",
    discussion: """
      Examples:
        lamina holds tank
        lamina holds tank --json | jq -r '.holds[].name'
      """)

  @Argument(help: "The name of the pool.")
  var pool: String

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let pool = try PoolName(pool)
      let access = PoolAccess(state: state)
      let holds = try await access.use(pool) { (service) throws(ManagementError) in
        try await service.listHolds()
      }
      return HoldListResult(pool: pool, output: HoldList(holds: holds))
    }
  }
}

/// Holds as a command shows them.
struct HoldListResult: CommandResult {
  var pool: PoolName
  var output: HoldList
  var nextCommand: String? { nil }

  var text: String? {
    guard !output.holds.isEmpty else { return "no holds" }
    var table = TextTable([
      ("held", .left), ("tag", .left), ("since", .left), ("reason", .left),
    ])
    for hold in output.holds {
      table.add(["\(pool)/\(hold.name)", hold.tag, hold.createdAt.description, hold.reason])
    }
    return table.text
  }
}

/// That a hold is there, or gone.
struct HoldChangedResult: CommandResult {
  struct Output: Encodable, Sendable {
    var name: String
    var tag: String
    var held: Bool
  }

  var object: ContentReference
  var tag: HoldTag
  var isPlaced: Bool
  var output: Output { Output(name: object.description, tag: tag.text, held: isPlaced) }
  var text: String? {
    isPlaced
      ? "\(object) cannot be deleted until '\(tag)' is released"
      : "released '\(tag)' of \(object)"
  }
  var nextCommand: String? { nil }
}
