import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits

extension ExplorationFamily {
  /// A snapshot is deleted and its tree dropped, while the clone that shares it is written.
  static let dropBesideClone: ExplorationFamily = {
    let clone = third
    let writes: [any HostOperation] = [
      WriteOperation(clone, 0..<8), WriteOperation(clone, 8..<16), DiscardOperation(clone, 0..<8),
      WriteOperation(first, 0..<8),
    ]
    let timings: [HistoryStep.Timing] = [.after(completions: 0), .after(completions: 1)]
    var family = ExplorationFamily(
      "drop-beside-clone", "a doomed tree is dropped while its clone is written",
      // Volume and clone leave the snapshot's root and share extents with it: its node must be read
      // to be dropped.
      preparation: snapshotted + [
        CloneOperation(snapshot), WriteOperation(first, 128..<136),
        WriteOperation(clone, 128..<136), CheckpointOperation(),
      ],
      places: [
        HistoryStep.choices([writes[0], writes[2]], [.settled]),
        HistoryStep.choices([DeleteSnapshotOperation(snapshot)], [.settled] + timings),
        HistoryStep.choices(writes, timings),
        HistoryStep.choices(
          [CheckpointOperation(), FlushOperation(clone)], [.after(completions: 1)]),
      ])
    family.adjust = fewerCheckpointStates
    family.situations = [
      Situation("a tree is doomed while a write to its clone is in flight") { moment in
        moment.server.pool.hasDoomed && moment.isWriting(clone)
      },
      Situation("a write to the clone is in flight when the drop is done and not durable") {
        !$0.server.pool.hasDoomed && $0.server.pool.volume(snapshot) == nil && $0.isWriting(clone)
      },
    ]
    return family
  }()
}

extension HistoryMoment {
  /// A host's write to a volume is on its way to a device.
  func isWriting(_ volume: VolumeID) -> Bool {
    hostWritesInFlight.contains { _, write in
      write.pages.contains { page in
        page?.sectors.contains { sector in
          if case .stamped(let stamp) = sector { return stamp.volume == volume }
          return false
        } ?? false
      }
    }
  }
}
