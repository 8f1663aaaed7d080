import DiskFormat
import PoolCore
import StorageUnits

extension ExplorationFamily {
  /// A volume and its snapshot name one root, and the volume is overwritten: it gets nodes and
  /// extents of its own, and the snapshot stays as it is.
  static let sharedRoot: ExplorationFamily = {
    let changes: [any HostOperation] = [
      WriteOperation(first, 0..<8), WriteOperation(first, 8..<16), WriteOperation(first, 2..<4),
      DiscardOperation(first, 0..<8), WriteZeroesOperation(first, 128..<136, noHole: true),
    ]
    var family = ExplorationFamily(
      "shared-root", "two trees share a root and one is overwritten", preparation: snapshotted,
      places: [
        HistoryStep.choices(changes, [.settled]),
        HistoryStep.choices(
          changes + [SnapshotOperation([first])], [.after(completions: 0), .after(completions: 1)]),
        HistoryStep.choices([FlushOperation(first)])
          + HistoryStep.choices([WriteOperation(first, 0..<8)], [.after(completions: 1)]),
      ])
    family.situations = [
      Situation("a write is in flight while its volume and a snapshot name one root") {
        !$0.hostWritesInFlight.isEmpty && $0.haveOneRoot(first, snapshot)
      },
      Situation("a volume is written that has left the root of its snapshot") {
        !$0.hostWritesInFlight.isEmpty && !$0.haveOneRoot(first, snapshot)
      },
    ]
    return family
  }()
}

extension HistoryMoment {
  /// Two volumes are there and name the same root.
  func haveOneRoot(_ one: VolumeID, _ other: VolumeID) -> Bool {
    guard let a = server.pool.volume(one), let b = server.pool.volume(other) else { return false }
    let roots = (server.pool.record(of: a).root, server.pool.record(of: b).root)
    return !roots.0.isNone && roots.0 == roots.1
  }
}
