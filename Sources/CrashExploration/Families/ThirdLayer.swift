import BlockIO
import DiskFormat
import PoolCore
import StorageUnits

extension ExplorationFamily {
  /// The fresh extent of a write is full of snapshots' blocks: a third layer would arise, and what
  /// lies in the other two is merged into it.
  static let thirdLayer: ExplorationFamily = {
    let writes: [any HostOperation] = [
      WriteOperation(first, 0..<8), WriteOperation(first, 8..<16), WriteOperation(first, 16..<20),
      WriteOperation(first, 48..<56),
    ]
    var family = ExplorationFamily(
      "third-layer", "a write to an entry whose two layers are shared merges what it leaves",
      preparation: twoVolumes + [
        WriteOperation(first, 0..<64), SnapshotOperation([first]),
        WriteOperation(first, 0..<40), SnapshotOperation([first]), CheckpointOperation(),
      ],
      places: [
        HistoryStep.choices(writes, [.settled]),
        HistoryStep.choices(
          writes + [FlushOperation(first), SnapshotOperation([first])],
          [.settled, .after(completions: 1)]),
        HistoryStep.choices([FlushOperation(first), DeleteSnapshotOperation(third)], [.settled]),
      ])
    family.situations = [
      Situation("a write waits for the blocks that it merges") { moment in
        moment.isInFlight(.read) && moment.layers(first, 0).allSatisfy { !$0.isNone }
          && moment.session.requestsInFlight > 0
      }
    ]
    return family
  }()
}

extension HistoryMoment {
  /// The layers of a volume's extent, where the map is in memory.
  fileprivate func layers(_ volume: VolumeID, _ extent: UInt64) -> [Layer] {
    guard let slot = server.pool.volume(volume),
      case .entry(let entry) = server.pool.lookup(slot, VirtualExtent(index: extent))
    else { return [.none] }
    return [entry.upper, entry.lower]
  }
}
