import ArgumentParser
import BlockIO
import Management
import PoolInspection
import PoolServer
import StorageUnits

struct PoolCheck: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Check that a pool is sound, and mend what can be mended.",
    discussion: """
      Reads every table of the pool, counts again what is in use, and says what is wrong, where, \
      and which volumes it touches. Nothing is written without --repair. A pool that is being \
      served is checked as of its newest checkpoint, beside its hosts; a repair needs the pool for \
      itself.

      Ends with 0 if the pool is sound, 2 if only tables are off and no data is at risk, 3 if \
      something is damaged, 4 if it could not be checked.

      Examples:
        lamina pool check tank
        lamina pool check tank --json | jq '.findings[].code'
        lamina pool check --device /dev/sdb --device /dev/sdc
        lamina pool check tank --repair --dry-run
      """)

  @Argument(help: "The name of the pool; or name its devices with --device.")
  var pool: String?

  @OptionGroup var source: DeviceOptions

  @Flag(help: "Mend what can be mended without guessing, after saying what will be done.")
  var repair = false

  @Flag(help: "With --repair: only say what would be done.")
  var dryRun = false

  @Flag(help: "With --repair: do not ask.")
  var yes = false

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      try checkOptions()
      let isRepair = repair && !dryRun
      if !repair, let pool, let report = try await served(pool, in: state) {
        return PoolCheckResult(report, repair: nil)
      }
      let devices = try source.open(pool: pool, for: isRepair ? .repair : .look, in: state)
      defer { devices.close() }
      let result = try check(devices.devices)
      return result
    }
  }

  func checkOptions() throws(ManagementError) {
    try source.check(pool: pool, command: "check")
    guard repair || !(dryRun || yes) else {
      throw ManagementError(
        .invalidArgument, "\(dryRun ? "--dry-run" : "--yes") needs --repair",
        correction: "A check without --repair writes nothing.",
        objects: [ManagementObject(.option, dryRun ? "--dry-run" : "--yes")])
    }
  }

  /// The report on a pool that a server holds; nil if none does.
  private func served(
    _ pool: String, in state: StateFolder
  ) async throws(ManagementError) -> InspectionReport? {
    let name = try PoolName(pool)
    let record = try state.record(of: name)
    guard let client = try await PoolAccess(state: state).client(of: name) else { return nil }
    let check = ServedPoolCheck(record: record, state: state, server: client)
    return try await check.report()
  }

  private func check(_ devices: [FileDevice]) throws(ManagementError) -> PoolCheckResult {
    let bar = ProgressBar("checking")
    guard repair else {
      let report = PoolInspector.inspect(devices: devices, progress: bar.show)
      bar.clear()
      return PoolCheckResult(report, repair: nil)
    }
    let plan = PoolRepair(devices: devices, progress: bar.show)
    bar.clear()
    var told = PoolCheckResult.Repair(plan)
    guard !dryRun, !plan.actions.isEmpty else {
      return PoolCheckResult(plan.report, repair: told)
    }
    // What will be done is said before it is done, whatever the output's form.
    StandardStreams.writeError(told.text)
    if !yes {
      guard try isConfirmed() else { return PoolCheckResult(plan.report, repair: told) }
    }
    do throws(RepairError) { try plan.perform() } catch {
      throw ManagementError(
        .inputOutput, "the repair could not be completed", cause: error.description,
        correction: "What was written is harmless. Mend the cause, and repair again.")
    }
    told.isDone = true
    let report = PoolInspector.inspect(devices: devices, progress: bar.show)
    bar.clear()
    return PoolCheckResult(report, repair: told)
  }

  private func isConfirmed() throws(ManagementError) -> Bool {
    guard StandardStreams.inputIsTerminal else {
      throw ManagementError(
        .invalidArgument, "a repair has to be confirmed",
        correction: "Give --yes to go on without being asked, or --dry-run to see what it would"
          + " do.",
        objects: [ManagementObject(.option, "--yes")])
    }
    StandardStreams.writePart("Go on? [y/N] ")
    let answer = readLine() ?? ""
    return ["y", "yes"].contains(answer.lowercased())
  }
}
