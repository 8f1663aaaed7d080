import ArgumentParser
import Management

struct WaitCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "wait", abstract: "Wait until work in the background is done.",
    discussion: """
      drop: what was deleted, rolled back or cut off has given its space back.
      reclaim: freed space can be used again (a checkpoint is written for that).
      Without a name, both. Ends with 1 if the time is up before.

      Examples:
        lamina wait tank
        lamina volume delete tank/old && lamina wait tank drop --timeout 600
      """)

  @Argument(help: "The name of the pool.")
  var pool: String

  @Argument(help: ArgumentHelp("What to wait for: drop, reclaim.", valueName: "activity"))
  var activities: [String] = []

  @Option(help: ArgumentHelp("How long to wait at the most.", valueName: "seconds"))
  var timeout: Int?

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let pool = try PoolName(pool)
      let wanted = try Activity.parse(activities)
      let limit = try timeout.map { (seconds) throws(ManagementError) in
        try OptionText.count(seconds, option: "--timeout", range: 1...10_000_000)
      }
      let access = PoolAccess(state: state)
      return try await access.use(pool) { (service) throws(ManagementError) in
        let deadline = limit.map { ContinuousClock.now + .seconds($0) }
        return try await Self.wait(for: wanted, of: service, until: deadline)
      }
    }
  }

  private enum Activity: String, CaseIterable {
    case drop, reclaim

    static func parse(_ names: [String]) throws(ManagementError) -> Set<Activity> {
      guard !names.isEmpty else { return Set(allCases) }
      var found: Set<Activity> = []
      for name in names {
        guard let activity = Activity(rawValue: name) else {
          throw ManagementError(
            .invalidArgument, "'\(name)' is nothing that can be waited for",
            correction: "Use " + allCases.map(\.rawValue).joined(separator: " or ") + ".",
            objects: [ManagementObject(.option, name)])
        }
        found.insert(activity)
      }
      return found
    }

    /// How much of it is left; 0: it is done.
    func rest(_ status: PoolStatus) -> UInt64 {
      switch self {
      case .drop: UInt64(status.pendingDropCount)
      case .reclaim: status.reclaimableBytes
      }
    }
  }

  private static let pause = Duration.milliseconds(200)

  private static func wait(
    for wanted: Set<Activity>, of service: any PoolService,
    until deadline: ContinuousClock.Instant?
  ) async throws(ManagementError) -> PoolStatusResult {
    var needsCheckpoint = wanted.contains(.reclaim)
    while true {
      var status = try await service.status()
      // What lost its last name since the last checkpoint counts as named until the next one.
      if needsCheckpoint && (!wanted.contains(.drop) || Activity.drop.rest(status) == 0) {
        try await service.checkpoint()
        needsCheckpoint = false
        status = try await service.status()
      }
      let left = wanted.filter { $0.rest(status) > 0 || needsCheckpoint }
      guard !left.isEmpty else { return PoolStatusResult(output: status, nextCommand: nil) }
      if let deadline, ContinuousClock.now >= deadline {
        throw ManagementError(
          .timedOut, "pool '\(status.name)' is still at work",
          details: left.map(\.rawValue).sorted().map { "Not done: \($0)." },
          correction: "Wait longer; the work goes on in the background.",
          objects: [ManagementObject(.pool, status.name)])
      }
      try? await Task.sleep(for: pause)
    }
  }
}
