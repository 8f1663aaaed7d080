import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits

extension ExplorationFamily {
  /// A snapshot is deleted, and its volume becomes writable in place again: not before a checkpoint
  /// with the end of the snapshot is durable.
  static let unshareBeforeDrop: ExplorationFamily = {
    // To the extent that the volume has not written since its snapshot: the other one has a layer
    // of the volume's own, which takes writes in place in any case.
    let writes: [any HostOperation] = [
      WriteOperation(first, 128..<136), WriteOperation(first, 130..<133),
    ]
    let timings: [HistoryStep.Timing] = [.after(completions: 0), .after(completions: 1)]
    var family = ExplorationFamily(
      "unshare-before-drop",
      "a volume is overwritten while the drop of its snapshot is not durable",
      preparation: snapshotted + [WriteOperation(first, 8..<16), CheckpointOperation()],
      places: [
        HistoryStep.choices([DeleteSnapshotOperation(snapshot)], [.settled]),
        // The drop ends while the round of the deletion is on its way: in between, nothing may be
        // written in place.
        HistoryStep.choices(
          writes, [.settled] + timings + [.after(completions: 2), .after(completions: 4)])
          + [HistoryStep(FlushOperation(second), .after(completions: 0))],
        HistoryStep.choices(
          [CheckpointOperation(), WriteOperation(first, 128..<136)], timings),
        HistoryStep.choices(
          writes,
          [.settled, .after(completions: 0), .after(completions: 3), .after(completions: 7)]
        ),
        HistoryStep.choices([FlushOperation(first)], [.after(completions: 0)]),
      ])
    family.adjust = fewerCheckpointStates
    family.situations = [
      Situation("a volume is written while the end of its snapshot is not durable") {
        $0.session.expectation.model.existence(of: snapshot) == .perhaps
          && $0.server.pool.volume(snapshot) == nil && !$0.server.pool.hasDoomed
          && $0.isWriting(first)
      },
      Situation("a volume is written in place again") { moment in
        moment.isWriting(first)
          && moment.server.pool.volume(first).map {
            moment.server.pool.shareEpoch(of: $0).number == 0
          } == true
      },
    ]
    return family
  }()
}
