import CrashExploration
import Glibc
import Synchronization

/// Says every few seconds how far an exploration is: on a line that is written over where standard
/// error is a terminal, on lines of their own if that is asked for.
final class ProgressReporter: Sendable {
  private let exploration: Exploration
  private let isTerminal: Bool
  private let isWanted: Bool
  private let isStopped = Atomic(false)
  private let began = ContinuousClock.now

  init(_ exploration: Exploration, isWanted: Bool) {
    self.exploration = exploration
    isTerminal = isatty(2) == 1
    self.isWanted = isWanted || isTerminal
  }

  func start() {
    guard isWanted else { return }
    let pause: Duration = isTerminal ? .seconds(1) : .seconds(5)
    Task { [self] in
      while !isStopped.load(ordering: .relaxed) {
        try await Task.sleep(for: pause)
        if !isStopped.load(ordering: .relaxed) { report() }
      }
    }
  }

  func stop() {
    isStopped.store(true, ordering: .relaxed)
    if isTerminal && isWanted { write("\n") }
  }

  private func report() {
    let state = exploration.state
    let seconds = Double((ContinuousClock.now - began).components.seconds)
    var line =
      "\(state.historiesDone) of \(state.histories) histories, \(state.statesRun) crash states"
    if seconds > 0 { line += ", \(Int(Double(state.statesRun) / seconds)) states/s" }
    if state.historiesRun > 0 {
      let left = Double(state.histories - state.historiesDone) / Double(state.historiesRun)
      line += ", about \(Int(left * seconds)) s left"
    }
    write(isTerminal ? "\r\u{1B}[K\(line)" : "\(line)\n")
  }

  private func write(_ text: String) {
    var bytes = Array(text.utf8)
    _ = unsafe bytes.withUnsafeMutableBytes { unsafe Glibc.write(2, $0.baseAddress, $0.count) }
  }
}
