import DiskSimulation
import PoolCore
import StorageUnits

extension ExplorationFamily {
  /// A full pool, in which a volume with a snapshot lies in the trash: a host needs space, and the
  /// trash is emptied for it, while somebody wants the volume back.
  static let trashAgainstPressure: ExplorationFamily = {
    let timings: [HistoryStep.Timing] = [.after(completions: 0), .after(completions: 2)]
    var family = ExplorationFamily(
      "trash-against-pressure", "what lies in the trash is wanted back while its space is needed",
      preparation: filledUp(
        twoVolumes + [
          SnapshotOperation([second]), WriteOperation(second, 0..<8),
          TrashSettingOperation(seconds: 3600),
        ], filler: third),
      places: [
        [HistoryStep(TrashOperation(second))],
        HistoryStep.choices(
          [WriteOperation(first, 256..<264), DiscardOperation(third, 0..<128)],
          [.settled, .after(completions: 0)]),
        HistoryStep.choices(
          [RestoreOperation(second)],
          [.settled] + timings + [.after(completions: 6), .after(completions: 12)]),
        HistoryStep.choices([FlushOperation(first), EmptyTrashOperation()], timings),
      ])
    family.toleratesNoSpace = true
    family.adjust = {
      sparingly(&$0)
      fewerCheckpointStates(&$0)
    }
    family.situations = [
      Situation("a host waits for space that lies in the trash") {
        $0.server.pool.hasTrash && $0.session.requestsInFlight > 0 && $0.hostWritesInFlight.isEmpty
      },
      Situation("a volume is wanted back that is being emptied") { moment in
        moment.session.expectation.facts[second]?.pending.isEmpty == false
          && (moment.server.pool.volume(second) == nil
            || moment.server.pool.volume(snapshot) == nil)
      },
      Situation("a volume is restored and that is not durable") { moment in
        moment.session.expectation.isTrashItem(second) == false
          && moment.session.managementInFlight > 0 && !moment.server.pool.hasTrash
          && moment.server.pool.volume(second) != nil
      },
    ]
    return family
  }()
}
