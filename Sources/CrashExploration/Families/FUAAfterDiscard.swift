extension ExplorationFamily {
  /// What FUA promises of a write holds although a discard before it was never flushed.
  static let fuaAfterDiscard: ExplorationFamily = {
    var family = ExplorationFamily(
      "fua-after-discard", "a write with FUA follows a discard that was not flushed",
      preparation: twoVolumes,
      places: [
        HistoryStep.choices(
          [DiscardOperation(first, 0..<8), DiscardOperation(first, 0..<128)], [.settled]),
        HistoryStep.choices(
          [
            WriteOperation(first, 0..<8, fua: true), WriteOperation(first, 8..<16, fua: true),
            WriteOperation(first, 2..<6, fua: true),
          ], [.settled, .after(completions: 0), .after(completions: 1)]),
        HistoryStep.choices(
          [DiscardOperation(first, 0..<8, fua: true), WriteOperation(first, 0..<8)],
          [.settled, .after(completions: 0), .after(completions: 2)]),
      ])
    family.situations = [
      Situation("a journal block is in flight for a write with FUA") {
        !$0.journalWritesInFlight.isEmpty
      }
    ]
    return family
  }()
}
