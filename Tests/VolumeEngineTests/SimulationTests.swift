import BlockIO
import CrashExploration
import DiskSimulation
import Testing

/// Random histories with faults of every kind: a few of them here, more by
/// `lamina-prove simulate`.
@Suite struct SimulationTests {
  /// Seeds that have found something once, in the server or in what was asked of it.
  static let knownSeeds: [UInt64] = [
    65, 414, 591, 630, 658, 758, 1025, 3173, 3811, 6122, 20710,
  ]

  @Test(arguments: Array(1...24 as ClosedRange<UInt64>) + knownSeeds)
  func aRandomHistoryWithFaultsGoesAsItShould(seed: UInt64) throws {
    var figures = SimulationFigures()
    let steps = Self.knownSeeds.contains(seed) ? Simulation.mostSteps : 300
    guard let failure = try Simulation.run(seed: seed, steps: steps, into: &figures) else { return }
    Issue.record("\(failure.scenario): \(failure.problems.prefix(3)); \(failure.line)")
  }

  @Test(arguments: [2, 3, 5] as [UInt64])
  func oneSeedIsOneHistoryToTheByte(seed: UInt64) throws {
    let scenario = SimulationScenario(seed: seed)
    let (steps, first) = try Simulation.record(scenario, 200)
    let second = try Simulation.record(scenario, 200).run
    #expect(first.digest == second.digest)
    #expect(first.figures == second.figures)
    #expect(try Simulation.replay(scenario, steps).digest == first.digest)
    let other = try Simulation.record(SimulationScenario(seed: seed + 100), 200).run
    #expect(first.digest != other.digest)
  }

  /// The harness itself: a device that lies where none may must be noticed, and the history that
  /// shows it is made short.
  @Test func aLieIsNoticedAndItsHistoryShrunk() throws {
    var scenario = SimulationScenario(seed: 3)
    scenario.kind = .honest
    scenario.ballastBytes = 0
    let lie = SimulationStep.inject(
      DeviceFault(.lyingFlush, on: .flush, number: 1, isForGood: true), device: 0)
    let drawn = try Simulation.record(scenario, 250).steps.filter {
      switch $0 {
      case .operate, .complete, .advance: true
      case .inject, .limitSpace, .rot, .restart: false
      }
    }
    var steps: [SimulationStep] = []
    var run = try SimulationRun(scenario)
    // What a power cut leaves is drawn; one that leaves everything shows nothing.
    for seed in 1...8 as ClosedRange<UInt64> where run.problems.isEmpty {
      steps = [lie] + drawn + [.restart(.init(ending: .powerCut, seed: seed))]
      run = try Simulation.replay(scenario, steps)
    }
    #expect(!run.problems.isEmpty)
    let failure = SimulationFailure(
      scenario: scenario, problems: run.problems, steps: steps, kept: Array(steps.indices))
    let shrunk = Simulation.shrink(failure, runs: 400)
    #expect(shrunk.kept.count < steps.count / 2)
    #expect(shrunk.kept.first == 0)
    let again = try Simulation.replay(scenario, shrunk.kept.map { steps[$0] })
    #expect(again.problems == shrunk.problems)
  }

  @Test func placesOfAHistoryAreText() {
    #expect(StepList.text([0, 1, 2, 7, 9, 10]) == "0-2,7,9-10")
    #expect(StepList.places("0-2,7,9-10") == [0, 1, 2, 7, 9, 10])
    #expect(StepList.places("3-") == nil)
    #expect(StepList.places("5-3") == nil)
    #expect(StepList.places("x") == nil)
  }
}
