import DiskSimulation

extension ExplorationFamily {
  /// A volume is deleted while hosts write to it, and its space is used again.
  static let deleteWhileWritten: ExplorationFamily = {
    var family = ExplorationFamily(
      "delete-while-written", "a volume is deleted while it is written", preparation: twoVolumes,
      places: [
        HistoryStep.choices(
          [WriteOperation(second, 0..<8), WriteOperation(second, 128..<136)], [.settled]),
        HistoryStep.choices(
          [WriteOperation(second, 8..<16), DiscardOperation(second, 0..<8)],
          [.after(completions: 0)]),
        HistoryStep.choices(
          [DeleteVolumeOperation(second)], [.after(completions: 0), .after(completions: 1)]),
        HistoryStep.choices(
          [CheckpointOperation(), WriteOperation(first, 256..<264)],
          [.settled, .after(completions: 0), .after(completions: 2)]),
        HistoryStep.choices([WriteOperation(first, 264..<272, fua: true)]),
      ])
    family.situations = [
      Situation("a volume is being deleted while a write to it is in flight") { moment in
        moment.session.expectation.model.existence(of: second) == .perhaps
          && !moment.hostWritesInFlight.isEmpty
      }
    ]
    return family
  }()
}
