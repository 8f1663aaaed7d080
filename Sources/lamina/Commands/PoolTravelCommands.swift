import ArgumentParser
import Management
import PoolServer
import StorageUnits

struct PoolScanCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scan", abstract: "Show which pools are on devices.",
    discussion: """
      Reads the superblocks only, and changes nothing: pools that are served can be looked at, \
      too. Of a folder all files are looked at.

      Examples:
        lamina pool scan /dev/sdb /dev/sdc
        lamina pool scan /srv --json | jq '.pools[].name'
      """)

  @Argument(help: ArgumentHelp("Devices, and folders that hold some.", valueName: "path"))
  var paths: [String]

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let scan = try await Wiring.pools.scan(paths.map(HostEnvironment.current.absolutePath))
      let complete = scan.pools.first { $0.state == .complete && !$0.isInUse }
      return PoolScanResult(
        output: scan,
        nextCommand: complete.map { pool in
          "lamina pool import " + pool.devices.map(\.path).joined(separator: " ")
            + shared.homeArgument
        })
    }
  }
}

struct PoolImportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import", abstract: "Make a pool that is on devices known here.",
    discussion: """
      For devices that come from another machine, were moved to other paths, or whose state folder \
      is lost. All devices of the pool must be named, or lie in a folder that is. A pool that was \
      not stopped cleanly is recovered. If it is known here already, its paths are corrected.

      Examples:
        lamina pool import /dev/sdb /dev/sdc
        lamina pool import /srv/pools --rename restored
      """)

  @Argument(help: ArgumentHelp("Devices, and folders that hold some.", valueName: "path"))
  var paths: [String]

  @Option(help: ArgumentHelp("Give the pool this name, on its devices too.", valueName: "name"))
  var rename: String?

  @Option(help: ArgumentHelp("direct (O_DIRECT) or buffered.", valueName: "mode"))
  var cache = "direct"

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let order = PoolImport(
        paths: paths.map(HostEnvironment.current.absolutePath),
        newName: try rename.map { (text) throws(ManagementError) in try PoolName(text) },
        cacheMode: try OptionText.cacheMode(cache))
      let status = try await Wiring.pools.importPool(order, in: state)
      return PoolStatusResult(
        output: status, nextCommand: "lamina serve \(status.name)\(shared.homeArgument)")
    }
  }
}

struct PoolExportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Forget a pool here, so that its devices can go elsewhere.",
    discussion: """
      The pool is stopped cleanly and its name is free again; what is on its devices stays, and \
      'lamina pool import' makes it known, here or elsewhere. Nobody may serve it.

      Example:
        lamina pool export tank
      """)

  @Argument(help: "The name of the pool.")
  var name: String

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let status = try await Wiring.pools.exportPool(try PoolName(name), in: state)
      return PoolExportResult(
        output: status,
        nextCommand: "lamina pool import "
          + status.devices.map(\.path).joined(separator: " ") + shared.homeArgument)
    }
  }
}

struct PoolShowList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the pools that are known here.",
    discussion: """
      Examples:
        lamina pool list
        lamina pool list --json | jq -r '.pools[] | select(.state == "served").name'
      """)

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      var pools: [ListedPool] = []
      for name in try state.pools() { pools.append(try await listed(name, in: state)) }
      return PoolListResult(
        output: PoolListResult.Output(pools: pools),
        nextCommand: pools.isEmpty
          ? "lamina pool create tank --device ./tank.img:10G\(shared.homeArgument)" : nil)
    }
  }

  private func listed(
    _ name: PoolName, in state: StateFolder
  ) async throws(ManagementError) -> ListedPool {
    let record = try state.record(of: name)
    let isServed = try await PoolAccess(state: state).client(of: name) != nil
    let missing = record.devices.map(\.path).filter { !DevicePaths.exists($0) }
    return ListedPool(
      name: name.text, uuid: record.uuid.description,
      state: isServed ? .served : missing.isEmpty ? .stopped : .devicesMissing,
      sizeBytes: record.devices.reduce(0) { $0 + $1.sizeBytes },
      devices: record.devices.map(\.path), missingDevices: missing,
      server: isServed ? state.holder(of: name) : nil)
  }
}

/// A pool of the state folder. Its coding keys are the public contract (`Docs/CommandLine.md`).
struct ListedPool: Encodable, Sendable {
  enum State: String, Encodable, Sendable {
    case served
    case stopped
    case devicesMissing = "devices-missing"
  }

  var name: String
  var uuid: String
  var state: State
  var sizeBytes: UInt64
  var devices: [String]
  var missingDevices: [String]
  /// The process that serves it.
  var server: PoolHolder?
}

struct PoolListResult: CommandResult {
  struct Output: Encodable, Sendable {
    var pools: [ListedPool]
  }

  var output: Output
  var nextCommand: String?

  var text: String? {
    guard !output.pools.isEmpty else { return "no pool is known here" }
    var table = TextTable([
      ("pool", .left), ("size", .right), ("devices", .right), ("state", .left),
    ])
    for pool in output.pools {
      table.add([
        pool.name, SizeText.human(pool.sizeBytes), "\(pool.devices.count)", Self.state(pool),
      ])
    }
    return table.text
  }

  private static func state(_ pool: ListedPool) -> String {
    switch pool.state {
    case .served: pool.server.map { "served by process \($0.processID)" } ?? "served"
    case .stopped: "not served"
    case .devicesMissing: "missing: " + pool.missingDevices.joined(separator: ", ")
    }
  }
}

struct PoolExportResult: CommandResult {
  var output: PoolStatus
  var nextCommand: String?

  var text: String? {
    "pool \(output.name) (\(output.uuid)) is no longer known here; its devices:\n"
      + output.devices.map { "  \($0.path)" }.joined(separator: "\n")
  }
}

struct PoolScanResult: CommandResult {
  var output: PoolScan
  var nextCommand: String?

  var text: String? {
    var parts = output.pools.map(Self.text)
    if output.pools.isEmpty { parts.append("no pool was found") }
    if !output.others.isEmpty {
      parts.append(output.others.map(\.reason).joined(separator: "\n"))
    }
    return parts.joined(separator: "\n\n")
  }

  private static func text(_ pool: ScannedPool) -> String {
    var table = TextTable([
      ("device", .right), ("path", .left), ("size", .right), ("superblock", .right),
    ])
    for device in pool.devices {
      table.add([
        "\(device.index)", device.path, SizeText.human(device.sizeBytes),
        "\(device.superblockSequence)",
      ])
    }
    for device in pool.missingDevices {
      table.add([
        "\(device.index)", "missing (\(device.uuid))", SizeText.human(device.sizeBytes), "",
      ])
    }
    return TextTable.fields([
      ("pool", pool.name), ("uuid", pool.uuid.description), ("state", state(of: pool)),
      ("last opened", "by host \(pool.openedByHost) at \(pool.openedAt)"),
    ]) + "\n\n" + table.text
  }

  private static func state(of pool: ScannedPool) -> String {
    var words = [pool.problem.map { "\(pool.state.rawValue): \($0)" } ?? pool.state.rawValue]
    words.append(
      pool.isInUse ? "in use" : pool.isClean ? "stopped cleanly" : "not stopped cleanly")
    return words.joined(separator: ", ")
  }
}
