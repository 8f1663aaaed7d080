import DiskFormat
import PoolCore
import StorageUnits
import VolumeEngine

extension ExplorationFamily {
  /// Volumes that share their leaves with snapshots: the first discard after each takes a node for
  /// good.
  private static let sharing = (1...9).map { VolumeID($0) }
  /// The volume whose discards are owed; what hosts write there goes in place.
  private static let owing = VolumeID(10)
  private static let filler = VolumeID(11)

  /// A pool without space for data, and with hardly any left for nodes.
  private static let withoutNodes: [any HostOperation] = {
    var operations: [any HostOperation] = []
    for id in sharing {
      operations.append(CreateVolumeOperation(sizeBytes: 64 << 10))
      operations.append(WriteOperation(id, 0..<128))
    }
    operations.append(CreateVolumeOperation(sizeBytes: 512 << 10))
    operations.append(WriteOperation(owing, 0..<1024))
    operations.append(CreateVolumeOperation(sizeBytes: 32 << 20))
    for start in stride(from: 0, to: UInt64(32 << 20) / 512, by: 1024) {
      operations.append(WriteZeroesOperation(filler, start..<start + 1024, noHole: true))
    }
    for start in stride(from: 0, to: 1024 as UInt64, by: 128) {
      operations.append(WriteZeroesOperation(filler, start..<start + 128, noHole: true))
    }
    operations.append(CheckpointOperation())
    operations.append(ToleranceOperation())
    let often = Array(sharing[..<6])
    let once = Array(sharing[6...])
    operations.append(SnapshotOperation(once))
    for block in 0..<16 as Range<UInt64> {
      // Of several at once fewer get through.
      operations += block < 10 ? [SnapshotOperation(often)] : often.map { SnapshotOperation([$0]) }
      operations += often.map { DiscardOperation($0, block * 8..<block * 8 + 8) }
    }
    // A snapshot takes more than a discard: these take what is left.
    operations += once.map { DiscardOperation($0, 0..<8) }
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
        // The first extents are discarded, one with each checkpoint that it waits for.
        [HistoryStep(DiscardOperation(owing, 0..<944))],
        [
          HistoryStep(WriteOperation(owing, 523..<526)),
          HistoryStep(WriteOperation(owing, 648..<664), .after(completions: 0)),
          HistoryStep(DiscardOperation(owing, 936..<960, fua: true)),
          HistoryStep(FlushOperation(owing)),
        ],
        HistoryStep.choices([DeleteVolumeOperation(filler)]),
        HistoryStep.choices(
          [WriteOperation(owing, 656..<672), FlushOperation(owing)], [.after(completions: 0)]),
      ])
    // Small segments: few nodes are left when there is no space for data. One device: each node has
    // one place, whatever is full.
    family.media.deviceBytes = [32 << 20]
    family.media.segmentBytes = 256 << 10
    family.toleratesNoSpace = true
    // A start reads many snapshots: fewer states of each moment are looked at.
    family.adjust = {
      $0.tornWrites = 0
      $0.fullSubsetWrites = min($0.fullSubsetWrites, 4)
      $0.subsetSize = min($0.subsetSize, 1)
      $0.samples = min($0.samples, 2)
      $0.recoveryCrashShare *= 4
      $0.afterlifeShare *= 16
    }
    family.situations = [
      Situation("discards are owed") { !owed($0).isEmpty },
      Situation("what was owed is done and not durable") {
        $0.server.engine.statistics.owedDiscards > 0 && !$0.server.pool.hasOwed
      },
      Situation("what was owed is done in part") {
        owed($0).contains { $0.firstBlock >= 96 }
      },
    ]
    return family
  }()

  private static func owed(_ moment: HistoryMoment) -> [OwedRange] {
    moment.server.pool.owedRanges.filter { $0.volume == owing }
  }
}
