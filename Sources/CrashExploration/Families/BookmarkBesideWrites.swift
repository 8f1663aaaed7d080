import BlockIO
import DiskFormat
import PoolCore
import StorageUnits

extension ExplorationFamily {
  /// A bookmark whose snapshot is gone: what its volume writes in place has its birth raised first,
  /// durably, so that no crash makes the bookmark miss a block.
  static let bookmarkRaises: ExplorationFamily = {
    let writes: [any HostOperation] = [
      WriteOperation(first, 0..<8), WriteOperation(first, 4..<12), WriteOperation(first, 128..<136),
      DiscardOperation(first, 0..<8), WriteOperation(first, 256..<264),
    ]
    let timings: [HistoryStep.Timing] = [.after(completions: 0), .after(completions: 1)]
    var family = ExplorationFamily(
      "bookmark-raises", "a volume is written in place for the first time since a bookmark",
      // The second checkpoint has the end of the snapshot: the volume shares nothing any more.
      preparation: snapshotted + [
        BookmarkOperation(of: snapshot), DeleteSnapshotOperation(snapshot), CheckpointOperation(),
        CheckpointOperation(),
      ],
      places: [
        HistoryStep.choices(writes, [.settled]),
        HistoryStep.choices(
          writes + [CheckpointOperation(), FlushOperation(first)],
          timings + [.after(completions: 3)]),
        HistoryStep.choices(
          [
            WriteOperation(first, 0..<8), FlushOperation(first), DeleteBookmarkOperation(of: first),
            ChangesOperation(of: first),
          ], timings),
      ])
    family.adjust = fewerCheckpointStates
    family.situations = [
      Situation("a birth is raised and not durable, and its write waits") { $0.isRaiseUnderWay },
      Situation("a volume is written in place that has a bookmark") { moment in
        moment.isWriting(first) && moment.raisedExtents(of: first) > 0
      },
    ]
    return family
  }()

  /// A bookmark is made while its volume is written, and its snapshot deleted after it.
  static let bookmarkBesideWrites: ExplorationFamily = {
    let writes: [any HostOperation] = [WriteOperation(first, 0..<8), WriteOperation(first, 8..<16)]
    let timings: [HistoryStep.Timing] = [.after(completions: 0), .after(completions: 1)]
    var family = ExplorationFamily(
      "bookmark-beside-writes", "a bookmark is made while its volume is written",
      preparation: snapshotted,
      places: [
        HistoryStep.choices(
          [writes[0], ResizeOperation(first, to: 67 * 512)], [.settled]),
        HistoryStep.choices([BookmarkOperation(of: snapshot)], timings),
        HistoryStep.choices(
          [DeleteSnapshotOperation(snapshot), WriteOperation(first, 0..<8)],
          [.settled, .after(completions: 1)]),
        HistoryStep.choices([CheckpointOperation(), RenameOperation(first)], [.settled]),
        [
          HistoryStep(writes[0]), HistoryStep(writes[0], .after(completions: 9)),
          HistoryStep(writes[1], .after(completions: 0)),
        ],
      ])
    family.adjust = fewerCheckpointStates
    family.situations = [
      Situation("a bookmark is made and not durable while its volume is written") { moment in
        moment.session.managementInFlight > 0 && moment.isWriting(first)
          && !moment.server.pool.bookmarks.isEmpty
      },
      Situation("a birth is raised and not durable, and its write waits") { $0.isRaiseUnderWay },
    ]
    return family
  }()
}

extension HistoryMoment {
  /// Extents of the small volumes whose upper layer is younger than the newest bookmark.
  func raisedExtents(of volume: VolumeID) -> Int {
    guard let slot = server.pool.volume(volume) else { return 0 }
    let epoch = server.pool.bookmarkEpoch(of: slot)
    guard epoch != .zero else { return 0 }
    return (0..<3).count { index in
      guard case .entry(let entry) = server.pool.lookup(slot, VirtualExtent(index: UInt64(index)))
      else { return false }
      return !entry.upper.mask.isEmpty && epoch < entry.upper.birth
    }
  }

  /// A record that raises a birth is on its way to the journal, and the write that needs it has not
  /// been given to a device.
  fileprivate var isRaiseUnderWay: Bool {
    raisedExtents(of: ExplorationFamily.first) > 0 && session.requestsInFlight > 0
      && hostWritesInFlight.isEmpty && !journalWritesInFlight.isEmpty
  }
}
