import PoolCore
import StorageUnits

extension ExplorationFamily {
  /// A snapshot is asked for while writes to its volume are on their way in place: it is cut when
  /// they have ended, and what begins meanwhile waits.
  static let snapshotBesideWrites: ExplorationFamily = {
    let writes: [any HostOperation] = [
      WriteOperation(first, 0..<8), WriteOperation(first, 128..<136), WriteOperation(second, 0..<8),
    ]
    let timings: [HistoryStep.Timing] = [.after(completions: 0), .after(completions: 1)]
    var family = ExplorationFamily(
      "snapshot-beside-writes", "a snapshot is made while writes in place are in flight",
      preparation: twoVolumes,
      places: [
        HistoryStep.choices(writes, [.settled]),
        HistoryStep.choices(
          [SnapshotOperation([first]), SnapshotOperation([first, second])], timings),
        HistoryStep.choices(writes + [FlushOperation(first)], timings),
        HistoryStep.choices(
          [WriteOperation(first, 0..<4), FlushOperation(first)], [.after(completions: 0)]),
      ])
    // Writes are what completes last.
    family.order = .newestFirst
    family.situations = [
      Situation("a snapshot waits while a write in place is in flight") {
        $0.isBranchWaiting && !$0.hostWritesInFlight.isEmpty
      },
      Situation("a write waits for a snapshot to be cut") {
        $0.isBranchWaiting
          && $0.session.requestsInFlight > $0.hostWritesInFlight.count
      },
      Situation("a snapshot is cut and not durable while a later write is in flight") {
        $0.isBranchCut && !$0.hostWritesInFlight.isEmpty
      },
    ]
    return family
  }()
}

extension HistoryMoment {
  private var branches: [StorageUUID] {
    session.expectation.creationsInFlight.values.flatMap { $0 }.filter { $0.branch != nil }
      .map(\.uuid)
  }

  /// A snapshot or clone was asked for and not made yet.
  var isBranchWaiting: Bool { branches.contains { server.volume($0) == nil } }

  /// A snapshot or clone was made and not answered yet.
  var isBranchCut: Bool { branches.contains { server.volume($0) != nil } }
}
