/// A random history that went wrong.
public struct SimulationFailure: Sendable {
  public init(
    scenario: SimulationScenario, problems: [String], steps: [SimulationStep], kept: [Int]
  ) {
    self.scenario = scenario
    self.problems = problems
    self.steps = steps
    self.kept = kept
  }

  public let scenario: SimulationScenario
  public let problems: [String]
  /// The whole history, and the steps of it that are enough to go wrong in the same way.
  public let steps: [SimulationStep]
  public let kept: [Int]

  /// Runs exactly what is left of the history again.
  public var line: String {
    let all = kept.count == steps.count
    return "lamina-prove simulate --seed \(scenario.seed) --steps \(Simulation.mostSteps) --once"
      + (all ? "" : " --only \(StepList.text(kept))")
  }
}

/// Random histories with faults, one for each seed.
public enum Simulation {
  public static let mostSteps = 600

  /// Runs the history of a seed; nil if nothing is wrong.
  public static func run(
    seed: UInt64, steps count: Int, into figures: inout SimulationFigures
  ) throws -> SimulationFailure? {
    let scenario = SimulationScenario(seed: seed)
    let (steps, run) = try record(scenario, count)
    figures.add(run.figures)
    guard !run.problems.isEmpty else { return nil }
    return SimulationFailure(
      scenario: scenario, problems: run.problems, steps: steps, kept: Array(steps.indices))
  }

  /// Draws and runs the history of a scenario.
  public static func record(
    _ scenario: SimulationScenario, _ count: Int
  ) throws -> (steps: [SimulationStep], run: SimulationRun) {
    let run = try SimulationRun(scenario)
    var chooser = StepChooser(seed: scenario.seed)
    var steps: [SimulationStep] = []
    while steps.count < count, !run.hasEnded {
      let step = chooser.next(run)
      steps.append(step)
      run.apply(step)
    }
    run.finish()
    return (steps, run)
  }

  /// Runs steps that were recorded, or some of them, on a new pool.
  public static func replay(
    _ scenario: SimulationScenario, _ steps: some Sequence<SimulationStep>
  ) throws -> SimulationRun {
    let run = try SimulationRun(scenario)
    for step in steps { run.apply(step) }
    run.finish()
    return run
  }

  /// Leaves out of a failed history what it does not need to go wrong in the same way: ever smaller
  /// pieces, as long as pieces of a size can be left out, in at most `runs` runs.
  public static func shrink(_ failure: SimulationFailure, runs: Int) -> SimulationFailure {
    let way = signature(failure.problems)
    var kept = failure.kept
    var problems = failure.problems
    var left = runs
    func fails(_ candidate: [Int]) -> [String]? {
      left -= 1
      guard let run = try? replay(failure.scenario, candidate.map { failure.steps[$0] }) else {
        return nil
      }
      return signature(run.problems) == way ? run.problems : nil
    }
    var size = max(1, kept.count / 2)
    while left > 0 {
      var start = 0
      var hasShrunk = false
      while start < kept.count, left > 0 {
        let candidate = Array(kept[..<start] + kept[min(start + size, kept.count)...])
        if let found = fails(candidate) {
          kept = candidate
          problems = found
          hasShrunk = true
        } else {
          start += size
        }
      }
      if size == 1 && !hasShrunk { break }
      size = max(1, size / 2)
    }
    return SimulationFailure(
      scenario: failure.scenario, problems: problems, steps: failure.steps, kept: kept)
  }

  /// In which way a history went wrong: its first problem without the numbers in it.
  static func signature(_ problems: [String]) -> String {
    String((problems.first ?? "").filter { !$0.isNumber })
  }
}

/// Places in a history as text: `0-3,7`.
public enum StepList {
  public static func text(_ places: [Int]) -> String {
    var runs: [ClosedRange<Int>] = []
    for place in places {
      if let last = runs.last, last.upperBound + 1 == place {
        runs[runs.count - 1] = last.lowerBound...place
      } else {
        runs.append(place...place)
      }
    }
    return runs.map {
      $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)"
    }.joined(separator: ",")
  }

  /// Nil if it is no such text.
  public static func places(_ text: String) -> [Int]? {
    var places: [Int] = []
    for piece in text.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = piece.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
      guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2,
        first >= 0, first <= last, last < 1 << 20
      else { return nil }
      places += first...last
    }
    return places
  }
}
