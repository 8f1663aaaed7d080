import DiskSimulation
import StorageUnits

extension ExplorationFamily {
  /// The two volumes, and a snapshot of the first, whose map is still its own.
  static let snapshotted: [any HostOperation] =
    twoVolumes + [SnapshotOperation([first]), CheckpointOperation()]
  /// The snapshot of `snapshotted`, and what comes after it.
  static let snapshot = VolumeID(3)
  static let third = VolumeID(4)

  /// Every history of two operations over an alphabet of what branches, beside writes; then a
  /// write, a flush, or the end of the snapshot.
  static let everyBranchHistory: ExplorationFamily = {
    let writes: [any HostOperation] = [
      WriteOperation(first, 0..<4), WriteOperation(first, 8..<16, fua: true),
      DiscardOperation(first, 0..<16),
    ]
    let branches: [any HostOperation] = [
      SnapshotOperation([first, second]), CloneOperation(snapshot),
      RollbackOperation(first, to: snapshot), DeleteSnapshotOperation(snapshot),
    ]
    let flush = FlushOperation(first)
    let all = writes + branches + [flush, CheckpointOperation()]
    var family = ExplorationFamily(
      "every-branch-history", "every history over an alphabet of snapshots, clones and rollbacks",
      preparation: snapshotted,
      places: [
        HistoryStep.choices(all, [.settled]), HistoryStep.choices(all),
        HistoryStep.choices(
          [WriteOperation(first, 0..<8), flush, DeleteSnapshotOperation(snapshot)],
          [.after(completions: 0)]),
      ])
    family.adjust = fewerCheckpointStates
    family.situations = [
      Situation("a snapshot or clone is made and not answered") { $0.isBranchCut },
      Situation("the end of a snapshot is not answered") {
        $0.session.expectation.model.existence(of: snapshot) == .perhaps
      },
    ]
    return family
  }()

  /// What a checkpoint leaves volatile is explored most closely by `every-history` and
  /// `checkpoint-cut`: here fewer subsets of it.
  static let fewerCheckpointStates: @Sendable (inout ExplorationBounds) -> Void = {
    $0.fullSubsetWrites = min($0.fullSubsetWrites, 5)
    $0.subsetSize = min($0.subsetSize, 1)
    $0.samples = min($0.samples, 4)
    $0.fullTornSubsetWrites = min($0.fullTornSubsetWrites, 2)
    $0.recoveryCrashShare *= 8
    $0.afterlifeShare *= 2
  }
}
