import StorageUnits

extension ExplorationFamily {
  /// A volume that holds all of the pool's space, and the two small ones.
  private static let filledUp: [any HostOperation] = filledUp(twoVolumes)

  /// The volumes that `operations` make, and another one, `filler`, that holds all of the space
  /// that is left.
  static func filledUp(
    _ operations: [any HostOperation], filler: VolumeID = VolumeID(3)
  ) -> [any HostOperation] {
    var operations = operations
    operations.append(CreateVolumeOperation(sizeBytes: fillerBytes))
    let sectors = UInt64(512 << 10) / 512
    for start in stride(from: 0, to: fillerBytes / 512, by: Int(sectors)) {
      operations.append(WriteZeroesOperation(filler, start..<start + sectors, noHole: true))
    }
    // Piece by piece, for a request fails as a whole where its first part finds no space.
    for start in stride(from: UInt64(0), to: sectors, by: 128) {
      let last = fillerBytes / 512 - sectors + start
      operations.append(WriteZeroesOperation(filler, last..<last + 128, noHole: true))
    }
    operations.append(FlushOperation(filler))
    operations.append(CheckpointOperation())
    return operations
  }
  private static let fillerBytes: UInt64 = 32 << 20

  /// Starts and deletes of a full pool are long: fewer of them are cut off and lived through.
  static let sparingly: @Sendable (inout ExplorationBounds) -> Void = {
    $0.recoveryCrashShare *= 8
    $0.afterlifeShare *= 4
  }

  /// A checkpoint of a pool that is full, while hosts overwrite, free, and ask for more.
  static let fullPoolCheckpoint: ExplorationFamily = {
    let filler = VolumeID(3)
    let changes: [any HostOperation] = [
      WriteOperation(first, 0..<8), WriteOperation(second, 128..<136),
      DiscardOperation(filler, 0..<128), DeleteVolumeOperation(second),
    ]
    var family = ExplorationFamily(
      "full-pool-checkpoint", "a checkpoint with a full pool", preparation: filledUp,
      places: [
        HistoryStep.choices(changes, [.settled]),
        HistoryStep.choices([CheckpointOperation(), FlushOperation(first)]),
        HistoryStep.choices(changes),
      ])
    family.toleratesNoSpace = true
    family.adjust = sparingly
    family.situations = [
      Situation("a host sees that there is no space") { $0.session.toleratedFailures > 0 },
      Situation("a superblock of a full pool is volatile") {
        HistoryMoment.hasVolatileSuperblock($0.server.disks)
      },
    ]
    return family
  }()

  /// A write over several extents of which some find space and others do not, then a new start.
  static let noSpaceInMapping: ExplorationFamily = {
    let filler = VolumeID(3)
    var family = ExplorationFamily(
      "no-space-in-mapping", "space ends in the middle of a write, then the pool is opened again",
      preparation: filledUp,
      places: [
        [HistoryStep(DiscardOperation(filler, 0..<128)), HistoryStep(FlushOperation(first))],
        [HistoryStep(CheckpointOperation())],
        HistoryStep.choices([
          WriteOperation(first, 248..<320), WriteOperation(second, 120..<136),
        ]),
        HistoryStep.choices([FlushOperation(first), WriteOperation(first, 300..<308, fua: true)]),
      ])
    family.toleratesNoSpace = true
    family.adjust = sparingly
    family.situations = [
      Situation("a host sees that there is no space") { $0.session.toleratedFailures > 0 }
    ]
    return family
  }()
}
