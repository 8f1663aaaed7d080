import VolumeEngine

/// A place in the program that does I/O: all there are, from the creation of a pool to its stop.
public enum IOSite: String, CaseIterable, Hashable, Sendable {
  // A pool is created.
  case creationSuperblockRead, creationErase, creationEraseBarrier
  case creationNodeWrite, creationTableWrite, creationImageBarrier
  case creationSuperblockWrite, creationSuperblockBarrier
  // A pool is opened, recovery included.
  case openingFirstBarrier, openingSuperblockRead, openingTableRead, openingNodeRead
  case openingJournalScan, openingJournalReplay, openingSuperblockCompletion,
    openingCompletionBarrier
  case openingNodeWrite, openingTableWrite, openingImageBarrier
  case openingSuperblockWrite, openingSuperblockBarrier
  // A pool is served.
  case hostRead, olderBlockRead, freshWrite, overwrite, nodeRead, backgroundNodeRead
  case roundBarrier, journalWrite, journalBarrier
  case nodeWrite, tableWrite, imageBarrier, superblockWrite, superblockBarrier
  case spaceReservation, holePunch

  /// The site of a command of the engine. `isInSystemArea`: it lies before the segments.
  init(_ purpose: CommandPurpose, isInSystemArea: Bool) {
    self =
      switch purpose {
      case .hostRead: .hostRead
      case .olderBlockRead: .olderBlockRead
      case .freshWrite: .freshWrite
      case .overwrite: .overwrite
      case .nodeRead: .nodeRead
      case .backgroundNodeRead: .backgroundNodeRead
      case .roundBarrier: .roundBarrier
      case .journalBarrier: .journalBarrier
      case .journalWrite: .journalWrite
      case .imageWrite: isInSystemArea ? .tableWrite : .nodeWrite
      case .imageBarrier: .imageBarrier
      case .superblockWrite: .superblockWrite
      case .superblockBarrier: .superblockBarrier
      case .spaceReservation: .spaceReservation
      case .holePunch: .holePunch
      }
  }

  public enum Stage: Hashable, Sendable { case creation, opening, serving }

  public var stage: Stage {
    switch self {
    case .creationSuperblockRead, .creationErase, .creationEraseBarrier, .creationNodeWrite,
      .creationTableWrite, .creationImageBarrier, .creationSuperblockWrite,
      .creationSuperblockBarrier:
      .creation
    case .openingFirstBarrier, .openingSuperblockRead, .openingTableRead, .openingNodeRead,
      .openingJournalScan, .openingJournalReplay, .openingSuperblockCompletion,
      .openingCompletionBarrier,
      .openingNodeWrite, .openingTableWrite, .openingImageBarrier, .openingSuperblockWrite,
      .openingSuperblockBarrier:
      .opening
    case .hostRead, .olderBlockRead, .freshWrite, .overwrite, .nodeRead, .backgroundNodeRead,
      .roundBarrier, .journalWrite, .journalBarrier, .nodeWrite, .tableWrite, .imageBarrier,
      .superblockWrite, .superblockBarrier, .spaceReservation, .holePunch:
      .serving
    }
  }
}
