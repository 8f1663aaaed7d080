import DiskFormat
import PoolCore
import StorageUnits

extension ExplorationFamily {
  /// A read has looked the map up, and its device is slow: meanwhile what it reads is discarded, a
  /// whole checkpoint makes that durable, and a write asks for space, of which there is no other.
  ///
  ///     read                     discard, checkpoint         write of the other volume
  ///     looks up the extent
  ///     its device read begins
  ///                              the extent is free,
  ///                              durably so
  ///                                                          must not get the extent
  ///     its device read ends: the old bytes, or zeros
  ///                                                          gets the extent
  static let lateRead: ExplorationFamily = {
    // The second volume waits for space as long as the read takes.
    let volumes: [any HostOperation] = [
      CreateVolumeOperation(sizeBytes: 160 << 10),
      CreateVolumeOperation(sizeBytes: 68 << 10, fullPolicy: .wait(seconds: .max)),
      WriteOperation(first, 0..<8), WriteOperation(first, 128..<136),
      WriteOperation(second, 0..<8), FlushOperation(first), CheckpointOperation(),
    ]
    var family = ExplorationFamily(
      "late-read", "a read ends after its space was freed and a write has asked for it",
      preparation: filledUp(volumes),
      places: [
        [HistoryStep(ReadOperation(first, 0..<8))],
        HistoryStep.choices(
          [DiscardOperation(first, 0..<128), WriteZeroesOperation(first, 0..<8)],
          [.beforeHostReads]),
        HistoryStep.choices([CheckpointOperation()], [.beforeHostReads]),
        HistoryStep.choices(
          [WriteOperation(second, 128..<136), WriteOperation(second, 128..<132, fua: true)],
          [.beforeHostReads]),
        HistoryStep.choices([FlushOperation(second)], [.beforeHostReads]),
      ])
    family.order = .hostReadsLast
    family.toleratesNoSpace = true
    family.adjust = sparingly
    family.situations = [
      Situation("a write asks for space that a read may still look at") {
        $0.isFreedUnderRead && $0.session.managementInFlight == 0
          && $0.session.requestsInFlight >= 2
      },
      Situation("freed space is used again after the read") {
        $0.isReusingSpace && !$0.server.hasHostReadsInFlight
      },
    ]
    return family
  }()
}

extension HistoryMoment {
  /// A host's read is on its way; the map no longer leads to what it reads, and a complete
  /// checkpoint shows that as free: nothing but the read keeps the space.
  fileprivate var isFreedUnderRead: Bool {
    guard server.hasHostReadsInFlight, let slot = server.pool.volume(ExplorationFamily.first),
      case .entry(let entry) = server.pool.lookup(slot, VirtualExtent(index: 0))
    else { return false }
    return entry.mask.isEmpty && server.pool.usage.reclaimableBytes > 0
  }
}
