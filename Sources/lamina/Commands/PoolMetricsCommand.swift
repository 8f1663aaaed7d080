import ArgumentParser
import Management

struct PoolMetricsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "metrics", abstract: "Print a pool's metrics for Prometheus.",
    discussion: """
      The same as GET /metrics on the server's control socket: see Docs/Metrics.md.

      Example:
        lamina pool metrics tank > /var/lib/prometheus/node-exporter/lamina.prom
      """)

  @Argument(help: "The name of the pool.")
  var name: String

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let access = PoolAccess(state: state)
      let text = try await access.use(try PoolName(name)) { (service) throws(ManagementError) in
        try await service.metrics()
      }
      return PoolMetricsResult(metrics: text)
    }
  }
}

struct PoolMetricsResult: CommandResult {
  struct Output: Encodable, Sendable {
    var metrics: String
  }

  var metrics: String

  var output: Output { Output(metrics: metrics) }
  var text: String? { String(metrics.dropLast()) }
  var nextCommand: String? { nil }
}
