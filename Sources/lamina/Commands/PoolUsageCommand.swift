import ArgumentParser
import Management

struct PoolUsageCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "usage", abstract: "Show who holds the space of a pool.",
    discussion: """
      For each volume and snapshot: its size, the data that its map names, the part of it that \
      nothing else holds (deleting it frees that), and the part that others hold too. The parts of \
      the pool's space below the table add up to what is used.

      Examples:
        lamina pool usage tank
        lamina pool usage tank --json | jq -r '.holders[] | "\\(.exclusiveBytes) \\(.name)"'
      """)

  @Argument(help: "The name of the pool.")
  var pool: String

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let pool = try PoolName(pool)
      let access = PoolAccess(state: state)
      let usage = try await access.use(pool) { (service) throws(ManagementError) in
        try await service.spaceUsage()
      }
      return SpaceUsageResult(output: .init(pool: pool.text, usage: usage))
    }
  }
}
