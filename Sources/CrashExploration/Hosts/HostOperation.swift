public import DiskSimulation
public import StorageUnits

/// One thing that a host or an administrator does: how it is issued, how the reference model hears
/// of it, how it is drawn at random. A new kind is a file under `Operations/` and a line in
/// `HostOperationKind.all`.
public protocol HostOperation: Sendable, CustomStringConvertible {
  /// How often it is drawn, in relation to the others.
  static var weight: Int { get }
  /// One that suits what is there, nil if there is none.
  static func draw(_ random: inout SeededRandom, in session: HostSession) -> Self?
  /// Whether it has a meaning now: its volume exists, for example.
  func isPossible(in session: HostSession) -> Bool
  /// Issues it. The answer comes while the server is driven.
  func issue(in session: HostSession)
}

extension HostOperation {
  public func isPossible(in session: HostSession) -> Bool { true }
}

/// Operations on one volume are possible while that is surely there and in no trash.
public protocol VolumeOperation: HostOperation {
  var volume: VolumeID { get }
}

extension VolumeOperation {
  public func isPossible(in session: HostSession) -> Bool {
    session.expectation.isReachable(volume)
  }
}

/// Every kind of host operation.
public enum HostOperationKind {
  public static let all: [any HostOperation.Type] = [
    WriteOperation.self, DiscardOperation.self, WriteZeroesOperation.self, FlushOperation.self,
    ReadOperation.self, CreateVolumeOperation.self, DeleteVolumeOperation.self,
    CheckpointOperation.self, ClockAdvance.self, SnapshotOperation.self, CloneOperation.self,
    RollbackOperation.self, DeleteSnapshotOperation.self, RenameOperation.self,
    ResizeOperation.self, HoldOperation.self, ReleaseOperation.self, BookmarkOperation.self,
    DeleteBookmarkOperation.self, ChangesOperation.self, TrashSettingOperation.self,
    TrashOperation.self, RestoreOperation.self, EmptyTrashOperation.self, WallClockOperation.self,
    ReceiveOperation.self, BeginReceiveOperation.self, EndReceiveOperation.self,
    UndoReceiveOperation.self,
  ]

  private static let totalWeight = all.reduce(0) { $0 + $1.weight }

  /// Draws an operation that is possible; nil if the kind that was drawn has none now.
  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> (any HostOperation)? {
    var ticket = random.below(totalWeight)
    for kind in all {
      if ticket < kind.weight { return kind.draw(&random, in: session) }
      ticket -= kind.weight
    }
    preconditionFailure("the weights add up")
  }
}
