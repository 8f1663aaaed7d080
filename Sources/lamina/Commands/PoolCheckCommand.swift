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
      and which volumes it touches. Nothing is written without --repair. The pool must not be \
      served meanwhile.

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

/// How far it is, on a terminal, once it has taken more than a second.
final class ProgressBar {
  private let title: String
  private let start = ContinuousClock.now
  private var shown = ContinuousClock.now
  private var isVisible = false

  init(_ title: String) { self.title = title }

  func show(_ progress: PoolInspector.Progress) {
    let now = ContinuousClock.now
    guard StandardStreams.errorIsTerminal, start.duration(to: now) > .seconds(1),
      shown.duration(to: now) > .milliseconds(200)
    else { return }
    shown = now
    isVisible = true
    let elapsed = start.duration(to: now)
    StandardStreams.writePart(
      "\r"
        + Self.line(
          title, done: progress.done, total: progress.total,
          elapsedSeconds: Double(elapsed.components.seconds)))
  }

  func clear() {
    if isVisible { StandardStreams.writePart("\r" + String(repeating: " ", count: 78) + "\r") }
    isVisible = false
  }

  static func line(
    _ title: String, done: UInt64, total: UInt64, elapsedSeconds: Double
  ) -> String {
    let part = total == 0 ? 0 : Double(done) / Double(total)
    let filled = Int(part * 30)
    let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 30 - filled)
    let left = part > 0 ? Int(elapsedSeconds / part - elapsedSeconds) : 0
    return "\(title) [\(bar)] \(Int(part * 100)) %, about \(left) s left  "
  }
}
