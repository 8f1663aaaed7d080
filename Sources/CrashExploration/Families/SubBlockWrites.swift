import BlockIO

extension ExplorationFamily {
  /// A write of part of a block beside other writes to the same block.
  static let subBlockWrites: ExplorationFamily = {
    let writes: [any HostOperation] = [
      WriteOperation(first, 0..<3), WriteOperation(first, 3..<8), WriteOperation(first, 0..<8),
      WriteOperation(first, 6..<10), WriteOperation(first, 9..<12),
    ]
    let timings: [HistoryStep.Timing] = [.after(completions: 0), .after(completions: 1)]
    var family = ExplorationFamily(
      "sub-block-writes", "a part of a block is written beside another write to it",
      preparation: twoVolumes,
      places: [
        HistoryStep.choices(writes, [.settled]), HistoryStep.choices(writes, timings),
        HistoryStep.choices([FlushOperation(first), WriteOperation(first, 2..<5)], timings),
      ])
    family.situations = [
      Situation("a block is read to be changed while two writes to it are in work") {
        $0.isInFlight(.read) && $0.session.requestsInFlight >= 2
      }
    ]
    return family
  }()
}
