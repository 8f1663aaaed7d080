import ArgumentParser
import Management
import PoolServer

struct PoolCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pool", abstract: "Create pools, change, look at and check them.",
    subcommands: [
      PoolCreate.self, PoolShowList.self, PoolShowStatus.self, PoolMetricsCommand.self,
      PoolUsageCommand.self, PoolSet.self,
      PoolCheck.self,
      PoolDumpCommand.self, PoolScanCommand.self, PoolImportCommand.self, PoolExportCommand.self,
    ])
}

struct PoolCreate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Create a pool over one or more devices.",
    discussion: """
      A device is a block device, which is used whole, or a file: PATH:SIZE creates it (sparse), \
      PATH takes one that exists. What the devices held is lost.

      Examples:
        lamina pool create tank --device /srv/a.img:100G --device /srv/b.img:50G
        lamina pool create fast --device /dev/nvme0n1 --segment-size 16M
      """)

  @Argument(help: "The name of the new pool.")
  var name: String

  @Option(
    name: .customLong("device"), parsing: .singleValue,
    help: ArgumentHelp("A device, named once for each.", valueName: "path[:size]"))
  var devices: [String]

  @Option(
    help: ArgumentHelp(
      "How much neighbouring space a stream of writes is given at once.", valueName: "size"))
  var allocationRun: String?

  @Option(
    help: ArgumentHelp(
      "The unit in which space is moved and copied: a power of two from 64K to 64M.",
      valueName: "size"))
  var segmentSize: String?

  @Option(help: ArgumentHelp("direct (O_DIRECT) or buffered.", valueName: "mode"))
  var cache = "direct"

  @Option(
    help: ArgumentHelp(
      "How long what is deleted can be restored, as in 7d; 0: not at all.", valueName: "time"))
  var trashExpiry = "0"

  @Flag(help: "Take devices although they carry the signature of something else.")
  var force = false

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let specification = try specification()
      let status = try await Wiring.pools.create(specification, in: state)
      return PoolStatusResult(
        output: status,
        nextCommand: "lamina volume create \(name)/disk 100G\(shared.homeArgument)")
    }
  }

  func specification() throws(ManagementError) -> PoolSpecification {
    var parsed: [DeviceArgument] = []
    for device in devices {
      var argument = try DeviceArgument(device)
      argument.path = HostEnvironment.current.absolutePath(argument.path)
      parsed.append(argument)
    }
    return try PoolSpecification(
      name: PoolName(name), devices: parsed, segmentSizeBytes: OptionText.size(segmentSize),
      allocationRunBytes: OptionText.size(allocationRun), cacheMode: OptionText.cacheMode(cache),
      overwriteForeignData: force, trashExpirySeconds: DurationText.parse(trashExpiry))
  }
}

struct PoolSet: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "set", abstract: "Change a setting of a pool.",
    discussion: """
      --trash-expiry says how long what is deleted from now on can be restored. What is in the \
      trash already keeps its time.

      Examples:
        lamina pool set tank --trash-expiry 7d
        lamina pool set tank --trash-expiry 0
      """)

  @Argument(help: "The name of the pool.")
  var name: String

  @Option(
    help: ArgumentHelp(
      "Seconds, or a whole number with s, m, h, d or w; 0 turns the trash off.",
      valueName: "time"))
  var trashExpiry: String

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let pool = try PoolName(name)
      let change = PoolChange(trashExpirySeconds: try DurationText.parse(trashExpiry))
      let access = PoolAccess(state: state)
      let status = try await access.use(pool) { (service) throws(ManagementError) in
        try await service.change(change)
      }
      return PoolStatusResult(output: status, nextCommand: nil)
    }
  }
}

struct PoolShowStatus: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show what a pool is, holds and has done.",
    discussion: """
      Examples:
        lamina pool status tank
        lamina pool status tank --json | jq .freeBytes
      """)

  @Argument(help: "The name of the pool.")
  var name: String

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let pool = try PoolName(name)
      let access = PoolAccess(state: state)
      let status = try await access.use(pool) { (service) throws(ManagementError) in
        try await service.status()
      }
      return PoolStatusResult(output: status, nextCommand: nil)
    }
  }
}
