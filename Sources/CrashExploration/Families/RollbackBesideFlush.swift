import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits

extension ExplorationFamily {
  /// A volume is rolled back beside flushes and writes of its hosts.
  static let rollbackBesideFlush: ExplorationFamily = {
    let timings: [HistoryStep.Timing] = [.after(completions: 0), .after(completions: 1)]
    let rollback = RollbackOperation(first, to: snapshot)
    var family = ExplorationFamily(
      "rollback-beside-flush", "a volume is rolled back while it is flushed",
      preparation: snapshotted + [WriteOperation(first, 0..<8), CheckpointOperation()],
      places: [
        HistoryStep.choices(
          [WriteOperation(first, 0..<8), WriteOperation(first, 256..<264), rollback], [.settled]),
        HistoryStep.choices([FlushOperation(first), rollback], timings),
        HistoryStep.choices(
          [rollback, FlushOperation(first), WriteOperation(first, 8..<16, fua: true)], timings),
        HistoryStep.choices([FlushOperation(first)])
          + HistoryStep.choices([CheckpointOperation()], [.after(completions: 0)]),
      ])
    family.adjust = fewerCheckpointStates
    family.situations = [
      Situation("a volume is rolled back while a flush of it is on its way") {
        $0.session.expectation.model.isBeingReplaced(first) && $0.isInFlight(.flush)
          && $0.session.requestsInFlight > 0
      },
      Situation("the map that a rollback replaced is being dropped and that is not durable") {
        $0.session.expectation.model.isBeingReplaced(first) && $0.server.pool.hasDoomed
      },
    ]
    return family
  }()
}
