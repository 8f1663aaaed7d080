extension ExplorationFamily {
  /// A discard is in flight beside a write to the same extent.
  static let discardBesideWrite: ExplorationFamily = {
    let writes: [any HostOperation] = [
      WriteOperation(first, 8..<16), WriteOperation(first, 0..<8), WriteOperation(first, 256..<264),
    ]
    let timings: [HistoryStep.Timing] = [.after(completions: 0), .after(completions: 1)]
    var family = ExplorationFamily(
      "discard-beside-write", "a discard is in flight beside a write", preparation: twoVolumes,
      places: [
        HistoryStep.choices(writes, [.settled]),
        HistoryStep.choices(
          [
            DiscardOperation(first, 0..<128), DiscardOperation(first, 8..<16, fua: true),
            WriteZeroesOperation(first, 0..<16), DiscardOperation(first, 256..<320),
          ], timings),
        HistoryStep.choices(writes + [FlushOperation(first)], timings),
      ])
    family.situations = [
      Situation("a discard waits while a write is in flight") {
        !$0.hostWritesInFlight.isEmpty && $0.session.requestsInFlight >= 2
      }
    ]
    return family
  }()
}
