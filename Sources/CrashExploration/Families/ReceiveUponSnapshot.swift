import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits

extension ExplorationFamily {
  /// A stream is received upon a snapshot: the volume has what it had, or all that was sent beside
  /// its new snapshot, or says that it is being received.
  static let receiveUponSnapshot: ExplorationFamily = {
    let timings: [HistoryStep.Timing] = [.after(completions: 0), .after(completions: 1)]
    let writes: [any HostOperation] = [
      WriteOperation(first, 0..<8), DiscardOperation(first, 128..<136),
    ]
    var family = ExplorationFamily(
      "receive-upon-snapshot", "a stream is received upon a snapshot, or is undone",
      preparation: snapshotted,
      places: [
        [
          HistoryStep(BeginReceiveOperation(first, upon: snapshot)),
          HistoryStep(ReceiveOperation(sizeBytes: 64 << 10)),
        ],
        HistoryStep.choices(writes + [WriteOperation(third, 0..<8)], [.settled]),
        HistoryStep.choices(
          [
            EndReceiveOperation(first), UndoReceiveOperation(first), EndReceiveOperation(third),
            DeleteVolumeOperation(third),
          ], [.settled, .after(completions: 1)]),
        HistoryStep.choices(
          [WriteOperation(first, 0..<8), FlushOperation(first)], timings),
      ])
    family.adjust = {
      fewerCheckpointStates(&$0)
      $0.afterlifeShare *= 8
      $0.recoveryCrashShare *= 2
    }
    family.situations = [
      Situation("what was received is a snapshot, and that is not durable") { moment in
        moment.session.expectation.creationsInFlight.values.contains { group in
          group.contains { $0.endsReceiveOf != nil && moment.server.volume($0.uuid) != nil }
        }
      },
      Situation("a receive is undone, and that is not durable") { moment in
        moment.session.expectation.model.isBeingReplaced(first)
          && moment.server.pool.volume(first).map {
            !moment.server.pool.record(of: $0).isReceiving
          } == true
      },
    ]
    return family
  }()
}
