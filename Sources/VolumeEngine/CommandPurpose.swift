/// What a device command of the engine is for.
public enum CommandPurpose: String, CaseIterable, Hashable, Sendable {
  /// Blocks for a host that reads.
  case hostRead
  /// Blocks that a write covers in part, or that a merge keeps.
  case olderBlockRead
  /// A host's blocks into an extent that was taken for them, and into one that is mapped already.
  case freshWrite, overwrite
  /// A node that a host's request needs, and one that the background needs.
  case nodeRead, backgroundNodeRead
  /// The barriers of a round, over data and over the journal, and its batch.
  case roundBarrier, journalBarrier, journalWrite
  /// A checkpoint's nodes and pages, and the barrier over them.
  case imageWrite, imageBarrier
  case superblockWrite, superblockBarrier
  /// File space ahead of a write, and file space given back.
  case spaceReservation, holePunch
}

extension VolumeEngine {
  /// What the command with this token, not completed yet, is for: so that whoever drives the engine
  /// can say which I/O failed.
  public func purpose(ofCommand token: UInt64) -> CommandPurpose {
    let command = ioSlots[token]
    switch command.purpose {
    case .partRead:
      return slots[PartIndex(raw: command.first)].kind == .read ? .hostRead : .olderBlockRead
    case .partWrite:
      return slots[PartIndex(raw: command.first)].usesFresh ? .freshWrite : .overwrite
    case .nodeLoad:
      return loader[LoadIndex(raw: command.first)].wakesBackground ? .backgroundNodeRead : .nodeRead
    case .roundBarrier: return .roundBarrier
    case .journalBarrier: return .journalBarrier
    case .journalWrite: return .journalWrite
    case .stagingWrite: return .imageWrite
    case .superblockWrite: return .superblockWrite
    case .checkpointBarrier:
      return checkpointing.phase == .imageBarrier ? .imageBarrier : .superblockBarrier
    case .reserve: return .spaceReservation
    case .resizeRead: return .olderBlockRead
    case .resizeWrite: return .freshWrite
    case .punch: return .holePunch
    }
  }
}
