import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits

extension ExplorationFamily {
  /// Every history of two operations over an alphabet of what the administrator does to volumes and
  /// snapshots in use; then what undoes it, or makes it last.
  static let everyAttributeHistory: ExplorationFamily = {
    let changes: [any HostOperation] = [
      RenameOperation(first), HoldOperation(snapshot), ReleaseOperation(snapshot),
      DeleteSnapshotOperation(snapshot), TrashOperation(snapshot), RestoreOperation(snapshot),
      TrashOperation(first), RestoreOperation(first), EmptyTrashOperation(),
      BookmarkOperation(of: snapshot), ResizeOperation(first, to: 67 * 512),
    ]
    let others: [any HostOperation] = [
      WriteOperation(first, 0..<8), CheckpointOperation(), WallClockOperation(seconds: 4000),
    ]
    var family = ExplorationFamily(
      "every-attribute-history", "every history over an alphabet of changes of volumes in use",
      preparation: snapshotted + [TrashSettingOperation(seconds: 3600)],
      places: [
        HistoryStep.choices(changes, [.settled]), HistoryStep.choices(changes + others),
        HistoryStep.choices(
          [
            RestoreOperation(first), RestoreOperation(snapshot), ReleaseOperation(snapshot),
            DeleteSnapshotOperation(snapshot), others[0], others[2],
          ], [.after(completions: 0)]),
      ])
    family.adjust = {
      fewerCheckpointStates(&$0)
      $0.recoveryCrashShare *= 4
      $0.afterlifeShare *= 4
    }
    family.situations = [
      Situation("what was deleted is in the trash, and that is not durable") { moment in
        moment.server.pool.hasTrash && moment.session.managementInFlight > 0
      },
      Situation("what has expired is gone, and that is not durable") { moment in
        moment.session.managementInFlight == 0 && !moment.server.pool.hasTrash
          && moment.session.expectation.trashItems.contains {
            moment.server.pool.volume($0) == nil
          }
      },
      Situation("a hold is placed and not durable") { moment in
        moment.session.managementInFlight > 0 && !moment.server.pool.holds().isEmpty
      },
    ]
    return family
  }()

  /// A volume gets another name while its hosts write, is deleted into the trash while they do, and
  /// comes back.
  static let renameBesideWriter: ExplorationFamily = {
    let writes: [any HostOperation] = [
      WriteOperation(first, 120..<136), WriteOperation(first, 256..<264, fua: true),
    ]
    let timings: [HistoryStep.Timing] = [.after(completions: 0), .after(completions: 1)]
    var family = ExplorationFamily(
      "rename-beside-writer", "a volume is renamed, thrown away and restored while it is written",
      preparation: snapshotted + [TrashSettingOperation(seconds: 3600)],
      places: [
        HistoryStep.choices(writes, [.settled]),
        HistoryStep.choices([RenameOperation(first), RenameOperation(snapshot)], timings)
          + HistoryStep.choices([TrashOperation(first)], timings)
          + [HistoryStep(WriteOperation(first, 8..<12), .after(completions: 2))],
        HistoryStep.choices(
          [RenameOperation(first), RestoreOperation(first)], [.settled] + timings)
          + HistoryStep.choices([TrashOperation(first)], timings),
        HistoryStep.choices(
          [CreateVolumeOperation(sizeBytes: 64 << 10)], [.after(completions: 0)])
          + [HistoryStep(writes[0])],
      ])
    family.adjust = {
      fewerCheckpointStates(&$0)
      $0.afterlifeShare *= 4
    }
    family.situations = [
      Situation("a volume is renamed and that is not durable while it is written") { moment in
        moment.isWriting(first) && moment.session.expectation.facts[first]?.pending.isEmpty == false
          && moment.server.pool.volume(first).map {
            moment.server.pool.record(of: $0).name
              != moment.session.expectation.facts[first]?.certain.name
          } == true
      },
      Situation("a volume goes into the trash while a write to it is in flight") { moment in
        moment.isWriting(first) && moment.session.expectation.mayBeGone(first)
      },
      Situation("a volume is written that came out of the trash") { moment in
        moment.isWriting(first)
          && moment.session.expectation.expiries[first] == nil
          && moment.session.expectation.isServed(first)
          && moment.session.expectation.hasRestored
      },
    ]
    return family
  }()
}
