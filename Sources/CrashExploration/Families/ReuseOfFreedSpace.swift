import BlockIO

extension ExplorationFamily {
  /// Space that was discarded comes back while what used it before is still on its way: reads and
  /// writes of before, holes that are punched into it, and writes that take it anew.
  static let reuseOfFreedSpace: ExplorationFamily = {
    let before: [HistoryStep] = [
      HistoryStep(ReadOperation(first, 0..<8)), HistoryStep(WriteOperation(first, 0..<8)),
      HistoryStep(FlushOperation(first)),
    ]
    let free = HistoryStep.choices([DiscardOperation(first, 0..<256)])
    let checkpoint = HistoryStep.choices([CheckpointOperation()])
    let punch = [
      HistoryStep(ClockAdvance(milliseconds: 1100)), HistoryStep(FlushOperation(first)),
    ]
    let again = HistoryStep.choices(
      [
        WriteOperation(second, 0..<8), WriteOperation(second, 128..<136, fua: true),
        WriteOperation(first, 256..<264),
      ], [.settled, .after(completions: 0), .after(completions: 1)])
    let after = HistoryStep.choices(
      [FlushOperation(second), ReadOperation(second, 0..<8)], [.after(completions: 0)])
    var family = ExplorationFamily(
      "reuse-of-freed-space", "freed space comes back with reads, writes and punches in flight",
      preparation: twoVolumes, places: [before, free, checkpoint, punch, again, after])
    family.situations = [
      Situation("a write goes to freed space") { $0.isReusingSpace },
      Situation("freed space is used again while a read is in flight") {
        $0.isReusingSpace && $0.isInFlight(.read)
      },
      Situation("a hole is punched while a write is in flight") {
        $0.isInFlight(.punchHole) && !$0.hostWritesInFlight.isEmpty
      },
    ]
    return family
  }()
}
