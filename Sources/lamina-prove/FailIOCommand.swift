public import ArgumentParser
public import CrashExploration
import Dispatch
import Glibc
import Synchronization

extension FailingIO.Mode: ExpressibleByArgument {}

/// Fails every I/O of short histories in turn.
struct FailIOCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fail-io",
    abstract: "Fails each I/O of short histories, in each way that it can, and looks what comes.",
    discussion: """
      Prints how often an I/O of each site was made to fail, and what was wrong; the exit code is \
      1 if anything was, or if a site was not reached.
      """)

  @Flag(help: "List the histories and end.")
  var list = false
  @Option(help: "This history only.")
  var history: String?
  @Option(help: "With --history: only the I/O of this number, counted from 0.")
  var index: Int?
  @Option(help: "With --index: fail it so.")
  var mode: FailingIO.Mode?
  @Option(help: "Threads; as many as there are cores if not given.")
  var threads: Int?

  func validate() throws {
    if let history, FailingHistory.named(history) == nil {
      throw ValidationError("there is no history \(history): --list shows them")
    }
    if index != nil && history == nil { throw ValidationError("--index needs --history") }
    if mode != nil && index == nil { throw ValidationError("--mode needs --index") }
    guard threads ?? 1 >= 1 else { throw ValidationError("threads are 1 or more") }
  }

  func run() throws {
    let histories = FailingHistory.all.filter { history == nil || $0.name == history }
    if list {
      for history in histories { print("\(history.name): \(try FailingIO(history).count) I/Os") }
      return
    }
    if let index, let first = histories.first { return try runOne(first, index) }
    let count = threads ?? max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
    let state = Mutex((figures: FailingIO.Figures(), error: Optional<any Error>.none))
    DispatchQueue.concurrentPerform(iterations: histories.count * count) { unit in
      do {
        let figures = try FailingIO(histories[unit / count])
          .failAll(stride: count, from: unit % count)
        state.withLock { $0.figures.add(figures) }
      } catch { state.withLock { $0.error = error } }
    }
    let (figures, error) = state.withLock { ($0.figures, $0.error) }
    if let error { throw error }
    try report(figures, isWhole: history == nil)
  }

  private func report(_ figures: FailingIO.Figures, isWhole: Bool) throws {
    for site in IOSite.allCases {
      guard let modes = figures.failed[site] else { continue }
      let text = FailingIO.Mode.allCases.compactMap { mode in
        modes[mode].map { "\(mode.rawValue) \($0)" }
      }
      print("\(site.rawValue): \(text.joined(separator: ", "))")
    }
    print("\(figures.sitesReached.count) of \(IOSite.allCases.count) sites, \(figures.runs) runs")
    for failure in figures.failures.prefix(20) {
      print("\n\(failure.failed.site.rawValue), \(failure.failed.mode.rawValue):")
      for problem in failure.problems.prefix(5) { print("  wrong: \(problem)") }
      print("  again: \(failure.line)")
    }
    if isWhole && !figures.sitesMissed.isEmpty {
      print("not reached: \(figures.sitesMissed.map(\.rawValue).joined(separator: ", "))")
      throw ExitCode(1)
    }
    if !figures.failures.isEmpty { throw ExitCode(1) }
  }

  private func runOne(_ history: FailingHistory, _ index: Int) throws {
    let failing = try FailingIO(history)
    guard index >= 0, index < failing.count else {
      throw ValidationError("\(history.name) has \(failing.count) I/Os")
    }
    var isWrong = false
    for mode in FailingIO.Mode.allCases
    where failing.isPossible(mode, at: index) && (self.mode == nil || self.mode == mode) {
      let failure = failing.fail(index, mode)
      let verdict = failure == nil ? "right" : "wrong"
      print("\(failing.site(of: index).rawValue), \(mode.rawValue): \(verdict)")
      for problem in failure?.problems ?? [] { print("  wrong: \(problem)") }
      isWrong = isWrong || failure != nil
    }
    if isWrong { throw ExitCode(1) }
  }
}
