import BlockIO
import DiskSimulation

extension ExplorationFamily {
  /// A write that completes while a round's barrier is under way belongs to the next round.
  static let writeDuringBarrier: ExplorationFamily = {
    let writes: [any HostOperation] = [
      WriteOperation(first, 8..<16), WriteOperation(first, 256..<264),
      WriteOperation(second, 8..<16),
    ]
    let timings: [HistoryStep.Timing] = [.after(completions: 0), .after(completions: 1)]
    var family = ExplorationFamily(
      "write-during-barrier", "a write completes during the barrier of a flush round",
      preparation: twoVolumes,
      places: [
        HistoryStep.choices(writes, [.settled]),
        HistoryStep.choices(writes + [FlushOperation(first)], timings),
        HistoryStep.choices(
          [FlushOperation(first), WriteOperation(second, 0..<8, fua: true)], timings),
        HistoryStep.choices([FlushOperation(second), FlushOperation(first)], timings),
      ])
    family.situations = [
      Situation("a write completes while a barrier is in flight") {
        $0.event.phase == .completed && $0.event.operation == .write && $0.isInFlight(.flush)
          && $0.journalWritesInFlight.isEmpty
      }
    ]
    return family
  }()
}
