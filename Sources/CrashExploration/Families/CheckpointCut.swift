extension ExplorationFamily {
  /// A checkpoint is cut at every point, while hosts change what it writes.
  static let checkpointCut: ExplorationFamily = {
    let changes: [any HostOperation] = [
      WriteOperation(first, 8..<16), WriteOperation(first, 256..<272),
      DiscardOperation(first, 128..<256), FlushOperation(first),
    ]
    var family = ExplorationFamily(
      "checkpoint-cut", "a checkpoint is cut at every point under concurrent changes",
      preparation: twoVolumes,
      places: [
        HistoryStep.choices(changes, [.settled]),
        HistoryStep.choices([CheckpointOperation()]),
        HistoryStep.choices(
          changes + [DeleteVolumeOperation(second), CreateVolumeOperation(sizeBytes: 8 << 10)],
          [.after(completions: 0), .after(completions: 4)]),
      ])
    family.situations = [
      Situation("a superblock is volatile") {
        HistoryMoment.hasVolatileSuperblock($0.server.disks)
      },
      Situation("a superblock is volatile while a write is in flight") {
        HistoryMoment.hasVolatileSuperblock($0.server.disks) && !$0.hostWritesInFlight.isEmpty
      },
    ]
    return family
  }()
}
