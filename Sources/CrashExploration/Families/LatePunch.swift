import BlockIO
import DiskSimulation

extension ExplorationFamily {
  /// A hole is punched into freed space and ends after everything that began later: flushes, reads,
  /// and writes that would like to have that space.
  static let latePunch: ExplorationFamily = {
    var family = ExplorationFamily(
      "late-punch", "a hole punch comes late, behind a concurrent flush", preparation: twoVolumes,
      places: [
        HistoryStep.choices(
          [DiscardOperation(first, 0..<256), DeleteVolumeOperation(first)], [.settled]),
        [HistoryStep(CheckpointOperation())],
        HistoryStep.choices(
          [WriteOperation(second, 0..<8), WriteOperation(second, 128..<136)], [.settled]),
        [HistoryStep(ClockAdvance(milliseconds: 1100))],
        HistoryStep.choices(
          [
            FlushOperation(second), WriteOperation(second, 8..<16, fua: true),
            WriteOperation(second, 128..<136),
          ], [.after(completions: 0)]),
        [HistoryStep(FlushOperation(second), .after(completions: 0))],
      ])
    family.order = .newestFirst
    family.situations = [
      Situation("a flush ends while a hole is punched") {
        $0.isInFlight(.punchHole) && $0.event.operation == .flush && $0.event.phase == .completed
      },
      Situation("a hole is punched while a write is in flight") {
        $0.isInFlight(.punchHole) && !$0.hostWritesInFlight.isEmpty
      },
    ]
    return family
  }()
}
