extension ExplorationFamily {
  /// Starts are cut off at every event of their own, and the start after that recovers.
  static let crashDuringStart: ExplorationFamily = {
    let changes: [any HostOperation] = [
      WriteOperation(first, 8..<16), DiscardOperation(first, 0..<8), FlushOperation(first),
      CreateVolumeOperation(sizeBytes: 8 << 10), DeleteVolumeOperation(second),
    ]
    var family = ExplorationFamily(
      "crash-during-start", "a start is cut off during its own checkpoint, and another recovers",
      preparation: twoVolumes,
      places: [
        HistoryStep.choices(changes, [.settled]), [HistoryStep(FlushOperation(first))],
      ])
    family.adjust = { $0.recoveryCrashShare = min($0.recoveryCrashShare, 4) }
    family.situations = [
      Situation(inStart: "the superblock of a start is volatile") {
        HistoryMoment.hasVolatileSuperblock($0)
      }
    ]
    return family
  }()
}
