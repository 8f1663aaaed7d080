public import BlockExport

/// What must come of it if one I/O of a site fails, once: the table that `lamina-prove fail-io` and
/// its test hold the program against.
public struct FailureRule: Hashable, Sendable {
  /// What an operation of a stage ends with.
  public enum Outcome: Hashable, Sendable {
    /// Nobody notices: another copy serves, or it does not matter.
    case nothing
    /// The creation or the start is refused, with the device's error.
    case refused
    /// A request of a host that needed it is told, and the pool goes on.
    case requestFails
    /// The pool is read-only from then on: nothing that asks for durability succeeds any more.
    case poolEnds
    /// Nothing, or the pool ends: a checkpoint may or may not have needed it.
    case backgroundStops
  }
  public var outcome: Outcome
  /// What a host is told of a request that fails by it.
  public var error: ExportError

  init(_ outcome: Outcome, _ error: ExportError = .inputOutput) {
    self.outcome = outcome
    self.error = error
  }

  /// - Parameters:
  ///   - hasTwoPlaces: nodes, tables and the journal lie on two devices.
  ///   - lacksSpace: the error is ENOSPC, not EIO.
  public static func rule(
    of site: IOSite, hasTwoPlaces: Bool, lacksSpace: Bool
  ) -> FailureRule {
    switch site {
    // A device whose superblocks cannot be read may belong to a pool: it is not taken.
    case .creationSuperblockRead, .creationErase, .creationEraseBarrier, .creationNodeWrite,
      .creationTableWrite, .creationImageBarrier, .creationSuperblockWrite,
      .creationSuperblockBarrier:
      FailureRule(.refused)
    case .openingFirstBarrier, .openingSuperblockCompletion, .openingCompletionBarrier,
      .openingNodeWrite, .openingTableWrite, .openingImageBarrier, .openingSuperblockWrite,
      .openingSuperblockBarrier:
      FailureRule(.refused)
    // Other copies, and a second try block by block.
    case .openingSuperblockRead, .openingTableRead, .openingNodeRead: FailureRule(.nothing)
    case .openingJournalScan: FailureRule(.nothing)
    case .openingJournalReplay: FailureRule(hasTwoPlaces ? .nothing : .refused)
    case .hostRead, .olderBlockRead: FailureRule(.requestFails)
    case .freshWrite, .overwrite:
      FailureRule(.requestFails, lacksSpace ? .noSpace : .inputOutput)
    case .nodeRead: FailureRule(hasTwoPlaces ? .nothing : .requestFails)
    case .backgroundNodeRead: FailureRule(hasTwoPlaces ? .nothing : .backgroundStops)
    case .roundBarrier, .journalWrite, .journalBarrier, .nodeWrite, .tableWrite, .imageBarrier,
      .superblockWrite, .superblockBarrier:
      FailureRule(.poolEnds)
    case .spaceReservation, .holePunch: FailureRule(.nothing)
    }
  }
}
