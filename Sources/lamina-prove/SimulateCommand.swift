import ArgumentParser
import CrashExploration
import Dispatch
import Glibc
import Synchronization

/// Runs random histories with faults, one seed after the other.
struct SimulateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate",
    abstract: "Runs random histories with faults of every kind beside a reference model.",
    discussion: """
      Each seed is one history: its pool, what hosts do, what fails, when the power goes. The \
      first that goes wrong is made short and printed, with one line that runs it again; the exit \
      code is 1 then.
      """)

  @Option(help: "How long, in seconds.")
  var seconds = 60
  @Option(help: "The first seed.")
  var seed: UInt64 = 1
  @Option(help: "Steps of a history.")
  var steps = Simulation.mostSteps
  @Option(help: "Threads; as many as there are cores if not given.")
  var threads: Int?
  @Flag(help: "Run the history of the seed alone, and print what it was.")
  var once = false
  @Option(help: "With --once: only these steps of it, as a failure prints them.")
  var only: String?

  func validate() throws {
    guard seconds >= 1, steps >= 1, threads ?? 1 >= 1 else {
      throw ValidationError("seconds, steps and threads are 1 or more")
    }
    if only != nil && !once { throw ValidationError("--only needs --once") }
    if let only, StepList.places(only) == nil {
      throw ValidationError("\(only) is not a list of steps as failures print it")
    }
  }

  func run() throws {
    TrapReport.install()
    if once { return try runOnce() }
    let work = SimulationWork(firstSeed: seed, seconds: seconds, steps: steps)
    let progress = SimulationProgress(work)
    progress.start()
    DispatchQueue.concurrentPerform(iterations: threads ?? Self.coreCount) { work.run(thread: $0) }
    progress.stop()
    let (figures, failure, error) = work.state.withLock { ($0.figures, $0.failure, $0.error) }
    if let error { throw error }
    print(figures)
    print("seeds \(seed) to \(work.state.withLock { $0.nextSeed } - 1), \(work.rate(figures))")
    guard let failure else { return }
    report(failure)
    throw ExitCode(1)
  }

  private static var coreCount: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }

  private func report(_ failure: SimulationFailure) {
    print("\nseed \(failure.scenario.seed): \(failure.scenario)")
    for problem in failure.problems.prefix(5) { print("  wrong: \(problem)") }
    print("made shorter:")
    let short = Simulation.shrink(failure, runs: 600)
    for place in short.kept { print("  \(place): \(short.steps[place])") }
    for problem in short.problems.prefix(5) { print("  wrong: \(problem)") }
    print("again: \(short.line)")
  }

  private func runOnce() throws {
    let scenario = SimulationScenario(seed: seed)
    TrapReport.note(seed, thread: 0)
    let (all, recorded) = try Simulation.record(scenario, steps)
    var run = recorded
    var kept = Array(all.indices)
    if let only, let places = StepList.places(only) {
      guard places.allSatisfy({ $0 < all.count }) else {
        throw ValidationError("the history of seed \(seed) has \(all.count) steps")
      }
      kept = places
      run = try Simulation.replay(scenario, places.map { all[$0] })
      for place in kept { print("\(place): \(all[place])") }
    }
    print("seed \(seed): \(scenario)")
    print(run.figures)
    print("digest \(String(run.digest, radix: 16))")
    for problem in run.problems.prefix(10) { print("wrong: \(problem)") }
    guard run.problems.isEmpty else { throw ExitCode(1) }
  }
}

/// What the threads of a simulation share.
final class SimulationWork: Sendable {
  struct State {
    var nextSeed: UInt64
    var figures = SimulationFigures()
    var failure: SimulationFailure?
    var error: (any Error)?
  }

  let state: Mutex<State>
  let began = ContinuousClock.now
  private let seconds: Int
  private let steps: Int

  init(firstSeed: UInt64, seconds: Int, steps: Int) {
    state = Mutex(State(nextSeed: firstSeed))
    self.seconds = seconds
    self.steps = steps
  }

  var elapsedSeconds: Double {
    let elapsed = (ContinuousClock.now - began).components
    return Double(elapsed.seconds) + Double(elapsed.attoseconds) / 1e18
  }

  func rate(_ figures: SimulationFigures) -> String {
    let seconds = max(elapsedSeconds, 0.001)
    return "\(Int(seconds)) s, \(Int(Double(figures.histories) / seconds)) histories/s, "
      + "\(Int(Double(figures.operations) / seconds)) operations/s"
  }

  /// Runs seed after seed until the time is up or something is wrong.
  func run(thread: Int) {
    while elapsedSeconds < Double(seconds) {
      let seed: UInt64? = state.withLock {
        if $0.failure != nil || $0.error != nil { return nil }
        $0.nextSeed += 1
        return $0.nextSeed - 1
      }
      guard let seed else { return }
      TrapReport.note(seed, thread: thread)
      var figures = SimulationFigures()
      do {
        let failure = try Simulation.run(seed: seed, steps: steps, into: &figures)
        state.withLock {
          $0.figures.add(figures)
          if let failure, $0.failure == nil { $0.failure = failure }
        }
      } catch { state.withLock { $0.error = error } }
    }
  }
}

/// Says every few seconds how far a simulation is, on standard error.
final class SimulationProgress: Sendable {
  private let work: SimulationWork
  private let isTerminal = isatty(2) == 1
  private let isStopped = Atomic(false)

  init(_ work: SimulationWork) { self.work = work }

  func start() {
    Task { [self] in
      while !isStopped.load(ordering: .relaxed) {
        try await Task.sleep(for: isTerminal ? .seconds(1) : .seconds(10))
        if !isStopped.load(ordering: .relaxed) { report() }
      }
    }
  }

  func stop() {
    isStopped.store(true, ordering: .relaxed)
    if isTerminal { write("\n") }
  }

  private func report() {
    let figures = work.state.withLock { $0.figures }
    let line =
      "\(figures.histories) histories, \(figures.operations) operations, \(figures.starts) "
      + "starts, \(work.rate(figures))"
    write(isTerminal ? "\r\u{1B}[K\(line)" : "\(line)\n")
  }

  private func write(_ text: String) {
    var bytes = Array(text.utf8)
    _ = unsafe bytes.withUnsafeMutableBytes { unsafe Glibc.write(2, $0.baseAddress, $0.count) }
  }
}
