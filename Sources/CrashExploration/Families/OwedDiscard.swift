import DiskFormat
import PoolCore
import StorageUnits
import VolumeEngine

extension ExplorationFamily {
  /// Volumes that share their leaves with snapshots: each discard there takes a node for good.
  private static let sharing = (1...4).map { VolumeID($0) }
  /// The volume whose discards are owed; what hosts write there goes in place.
  private static let owing = VolumeID(5)
  private static let filler = VolumeID(6)

  /// A pool without space for data, and with hardly any left for nodes.
  private static let withoutNodes: [any HostOperation] = {
    var operations: [any HostOperation] = []
    for id in sharing {
      operations.append(CreateVolumeOperation(sizeBytes: 64 << 10))
      operations.append(WriteOperation(id, 0..<128))
    }
    operations.append(CreateVolumeOperation(sizeBytes: 128 << 10))
    operations.append(WriteOperation(owing, 0..<256))
    operations.append(CreateVolumeOperation(sizeBytes: 32 << 20))
    for start in stride(from: 0, to: UInt64(32 << 20) / 512, by: 1024) {
      operations.append(WriteZeroesOperation(filler, start..<start + 1024, noHole: true))
    }
    for start in stride(from: 0, to: 1024 as UInt64, by: 128) {
      operations.append(WriteZeroesOperation(filler, start..<start + 128, noHole: true))
    }
    operations.append(CheckpointOperation())
    operations += sharing.map { SnapshotOperation([$0]) }
    operations.append(UseUpNodesOperation(sharing[0]))
    operations.append(CheckpointOperation())
    operations += sharing.map { DiscardOperation($0, 0..<8) }
    operations.append(FlushOperation(owing))
    operations.append(CheckpointOperation())
    return operations
  }()

  /// A discard for which there is no node, writes on it, space that comes back, and crashes at each
  /// point of it: before it is owed, while it is, and while it is done at last.
  static let owedDiscard: ExplorationFamily = {
    var family = ExplorationFamily(
      "owed-discard", "discards that are owed, and done when space comes back",
      preparation: withoutNodes,
      places: [
        [HistoryStep(DiscardOperation(owing, 0..<176))],
        [
          HistoryStep(WriteOperation(owing, 43..<46)),
          HistoryStep(WriteOperation(owing, 8..<24), .after(completions: 0)),
          HistoryStep(DiscardOperation(owing, 168..<192, fua: true)),
          HistoryStep(FlushOperation(owing)),
        ],
        HistoryStep.choices([DeleteVolumeOperation(filler)]),
        HistoryStep.choices(
          [WriteOperation(owing, 16..<32), FlushOperation(owing)], [.after(completions: 0)]),
      ])
    family.toleratesNoSpace = true
    // A start reads the long list of holds: fewer states of each moment are looked at.
    family.adjust = {
      $0.tornWrites = 0
      $0.fullSubsetWrites = min($0.fullSubsetWrites, 4)
      $0.subsetSize = min($0.subsetSize, 1)
      $0.samples = min($0.samples, 2)
      $0.recoveryCrashShare *= 4
      $0.afterlifeShare *= 16
    }
    family.situations = [
      Situation("discards are owed") { $0.server.pool.hasOwed },
      Situation("what was owed is done and not durable") {
        $0.server.engine.statistics.owedDiscards > 0 && !$0.server.pool.hasOwed
      },
      Situation("what was owed is done in part") {
        let owed = $0.server.pool.owedRanges
        return $0.server.engine.statistics.owedDiscards > 0 && owed.count == 1
          && owed[0].volume == owing && owed[0].firstBlock > 0 && owed[0].blockCount < 16
      },
    ]
    return family
  }()
}
