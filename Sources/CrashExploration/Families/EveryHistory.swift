import StorageUnits

extension ExplorationFamily {
  /// Two volumes of three extents, with something in each.
  static let twoVolumes: [any HostOperation] = [
    CreateVolumeOperation(sizeBytes: 160 << 10), CreateVolumeOperation(sizeBytes: 68 << 10),
    WriteOperation(first, 0..<8), WriteOperation(first, 128..<136), WriteOperation(second, 0..<8),
    FlushOperation(first), CheckpointOperation(),
  ]
  static let first = VolumeID(1)
  static let second = VolumeID(2)

  /// Every history of three operations over an alphabet of every kind.
  static let everyHistory: ExplorationFamily = {
    let alphabet: [any HostOperation] = [
      WriteOperation(first, 8..<16), WriteOperation(first, 0..<4),
      WriteOperation(second, 8..<24, fua: true), DiscardOperation(first, 0..<16),
      WriteZeroesOperation(first, 128..<144, noHole: true), FlushOperation(first),
      CheckpointOperation(), DeleteVolumeOperation(second),
    ]
    return ExplorationFamily(
      "every-history", "every history over an alphabet of all operations",
      preparation: twoVolumes,
      places: [
        HistoryStep.choices(alphabet, [.settled]), HistoryStep.choices(alphabet),
        HistoryStep.choices(alphabet),
      ])
  }()
}
