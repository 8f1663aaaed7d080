import DiskSimulation
import PoolCore
import StorageUnits

extension ExplorationFamily {
  /// A volume is made smaller while writes beyond its new end are in flight, and larger again: what
  /// was cut off never shows.
  ///
  ///     write beyond              shrink                    grow
  ///     in flight
  ///                               waits for it
  ///                               cuts it off, durably
  ///                                                         zeros behind the end
  static let shrinkBesideWrites: ExplorationFamily = {
    let before = WriteOperation(first, 8..<16)
    let across = WriteOperation(first, 64..<72)
    let beyond = WriteOperation(first, 128..<136)
    let fresh = WriteOperation(first, 256..<264)
    let timings: [HistoryStep.Timing] = [.after(completions: 0), .after(completions: 1)]
    var family = ExplorationFamily(
      "shrink-beside-writes", "a volume is made smaller while it is written, and larger again",
      preparation: twoVolumes + [
        WriteOperation(first, 64..<72), WriteOperation(first, 96..<104), CheckpointOperation(),
      ],
      places: [
        HistoryStep.choices([across, beyond, fresh], [.settled]),
        // Inside a block that is mapped, inside an extent, at the end of one.
        HistoryStep.choices(
          [
            ResizeOperation(first, to: 67 * 512), ResizeOperation(first, to: 40 << 10),
            ResizeOperation(first, to: 64 << 10),
          ], timings + [.after(completions: 2)]),
        HistoryStep.choices([before, beyond, FlushOperation(first)], timings),
        HistoryStep.choices(
          [ResizeOperation(first, to: 160 << 10)], [.settled, .after(completions: 2)]),
        HistoryStep.choices([WriteOperation(first, 68..<70), beyond], [.after(completions: 0)])
          + [HistoryStep(CheckpointOperation())],
      ])
    family.adjust = fewerCheckpointStates
    family.situations = [
      Situation("a write beyond the end of a shrink is in flight") {
        $0.isShrinking && $0.isWritingBeyond(sector: 72)
      },
      Situation("a shrink copies the block in which the volume ends") {
        $0.isShrinking
          && !$0.hostWritesInFlight.isEmpty && $0.session.requestsInFlight == 0
      },
      Situation("a volume that was cut off grows, and that is not durable") { $0.isGrowing },
    ]
    return family
  }()

  /// A shrunk volume that shares its map with a snapshot, which keeps what is cut off.
  static let shrinkBesideSnapshot: ExplorationFamily = {
    let timings: [HistoryStep.Timing] = [.after(completions: 0), .after(completions: 1)]
    var family = ExplorationFamily(
      "shrink-beside-snapshot", "a volume is made smaller of which there is a snapshot",
      preparation: snapshotted + [WriteOperation(first, 128..<132), CheckpointOperation()],
      places: [
        HistoryStep.choices(
          [ResizeOperation(first, to: 1536), ResizeOperation(first, to: 68 << 10)], [.settled]),
        HistoryStep.choices(
          [
            SnapshotOperation([first]), RollbackOperation(first, to: snapshot),
            DeleteSnapshotOperation(snapshot),
          ], [.settled] + timings),
        HistoryStep.choices(
          [ResizeOperation(first, to: 300 << 10), CheckpointOperation()], [.settled]),
        HistoryStep.choices([WriteOperation(first, 0..<8), FlushOperation(first)], timings),
      ])
    family.adjust = fewerCheckpointStates
    family.situations = [
      Situation("what a snapshot keeps is being cut off") {
        $0.server.pool.hasDoomed && $0.session.expectation.model.isBeingReplaced(first)
      },
      Situation("a volume is rolled back to another size") {
        guard
          let size = $0.session.expectation.model.sizeAfterReplacement(of: first)
        else { return false }
        return size == 160 << 10
      },
    ]
    return family
  }()
}

extension HistoryMoment {
  private var sizeToCome: UInt64? {
    session.expectation.model.sizeAfterReplacement(of: ExplorationFamily.first)
  }

  fileprivate var isShrinking: Bool {
    sizeToCome.map { $0 < session.expectation.model.sizeBytes(of: ExplorationFamily.first) } == true
  }

  fileprivate var isGrowing: Bool {
    sizeToCome.map { $0 > session.expectation.model.sizeBytes(of: ExplorationFamily.first) } == true
  }

  /// A host's write to the first volume, from this sector on, is on its way to a device.
  fileprivate func isWritingBeyond(sector: UInt64) -> Bool {
    hostWritesInFlight.contains { _, write in
      write.pages.contains { page in
        page?.sectors.contains {
          if case .stamped(let stamp) = $0 { return stamp.sector >= sector }
          return false
        } ?? false
      }
    }
  }
}
