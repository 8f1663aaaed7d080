import ArgumentParser
import Management

struct SnapshotDiff: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff", abstract: "Show what changed between two snapshots, or since one.",
    discussion: """
      Shows the ranges of the second that are not what the first has there, in order, as data or \
      as holes (where nothing is stored any more). What is looked at follows the change, not the \
      size. Either may be a volume, which is then looked at as it is now: what is written \
      meanwhile may be shown. Both must share a history (snapshots, clones and rollbacks of one \
      volume). The first may also be a bookmark, whose snapshot need not exist any more.

      Examples:
        lamina snapshot diff tank/disk@monday tank/disk@tuesday
        lamina snapshot diff tank/disk#monday tank/disk@tuesday
        lamina snapshot diff tank/disk@monday tank/disk@tuesday --exact
        lamina snapshot diff tank/disk@monday tank/disk --json | jq '.ranges[]'
      """)

  @Argument(
    help: ArgumentHelp(
      "What changes are counted from.", valueName: "pool/volume@snapshot|pool/volume#mark"))
  var base: String

  @Argument(help: ArgumentHelp("What is shown.", valueName: "pool/volume[@snapshot]"))
  var target: String

  @Flag(
    help: ArgumentHelp(
      "Read both sides, and leave out what was written anew with the bytes that it had."))
  var exact = false

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let from = try BaseReference(base)
      let to = try ContentReference(target)
      guard from.pool == to.pool else {
        throw ManagementError(
          .invalidArgument, "\(from) and \(to) are in different pools",
          objects: [ManagementObject(.volume, to.description)])
      }
      let access = PoolAccess(state: state)
      let list = try await access.use(to.pool) { (service) throws(ManagementError) in
        let bar = ProgressBar("comparing")
        defer { bar.clear() }
        return try await service.allChanges(
          ChangeSpecification(target: to.content, base: from.base, exact: exact)
        ) { bar.show(done: $0, total: $1) }
      }
      return ChangeListResult(list: list)
    }
  }
}

struct SnapshotRanges: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ranges", abstract: "Show which ranges of a snapshot or volume are stored.",
    discussion: """
      Examples:
        lamina snapshot ranges tank/disk@monday
        lamina snapshot ranges tank/disk --json | jq '.dataBytes'
      """)

  @Argument(
    help: ArgumentHelp("The snapshot or volume.", valueName: "pool/volume[@snapshot]"))
  var target: String

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let reference = try ContentReference(target)
      let access = PoolAccess(state: state)
      let list = try await access.use(reference.pool) { (service) throws(ManagementError) in
        try await service.allChanges(
          ChangeSpecification(target: reference.content, base: nil))
      }
      return ChangeListResult(list: list)
    }
  }
}

/// Changed or stored ranges as a command shows them.
struct ChangeListResult: CommandResult {
  struct Output: Encodable, Sendable {
    var list: ChangeList

    private enum CodingKeys: String, CodingKey { case dataBytes, holeBytes }

    func encode(to encoder: any Encoder) throws {
      try list.encode(to: encoder)
      var fields = encoder.container(keyedBy: CodingKeys.self)
      try fields.encode(list.bytes(of: .data), forKey: .dataBytes)
      try fields.encode(list.bytes(of: .hole), forKey: .holeBytes)
    }
  }

  var list: ChangeList

  var output: Output { Output(list: list) }
  var nextCommand: String? { nil }

  var text: String? {
    guard !list.ranges.isEmpty else {
      return list.base == nil ? "nothing is stored" : "nothing changed"
    }
    var table = TextTable([("offset", .right), ("length", .right), ("kind", .left)])
    for range in list.ranges {
      table.add(["\(range.offsetBytes)", "\(range.lengthBytes)", range.kind.rawValue])
    }
    return table.text + "\n" + summary
  }

  private var summary: String {
    let data = SizeText.human(list.bytes(of: .data))
    guard list.base != nil else { return "\(list.ranges.count) ranges, \(data) stored" }
    let holes = SizeText.human(list.bytes(of: .hole))
    return "\(list.ranges.count) ranges changed: \(data) of data, \(holes) of holes"
  }
}
