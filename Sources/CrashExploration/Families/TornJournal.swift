import StorageUnits

extension ExplorationFamily {
  /// A batch of several journal blocks of which an inner one is torn or missing.
  static let tornJournal: ExplorationFamily = {
    var family = ExplorationFamily(
      "torn-journal", "a journal block in the middle of a batch is torn",
      preparation: twoVolumes + [CreateVolumeOperation(sizeBytes: 12 << 20)],
      places: [
        [
          HistoryStep(WriteZeroesOperation(VolumeID(3), 0..<24_000, noHole: true)),
          HistoryStep(DiscardOperation(first, 0..<8)),
        ],
        HistoryStep.choices([WriteZeroesOperation(VolumeID(3), 0..<6000)], [.settled]),
        HistoryStep.choices([WriteOperation(first, 8..<16), WriteOperation(second, 0..<8)]),
        HistoryStep.choices([FlushOperation(first), WriteOperation(first, 0..<8, fua: true)]),
      ])
    family.media.journalBlocks = 40
    family.media.recordBytes = 30 << 10
    family.settings.recordBytes = 30 << 10
    // Its starts write much more than those of the other families, to the same end.
    family.adjust = { $0.recoveryCrashShare *= 32 }
    family.situations = [
      Situation("a journal write of three blocks or more is in flight") {
        $0.journalWritesInFlight.contains { $0 >= 3 }
      }
    ]
    return family
  }()
}
