import BlockExport
import DiskFormat
import DiskSimulation
import StorageUnits
import VolumeEngine

/// A short history of which every I/O is made to fail in turn.
public struct FailingHistory: Sendable {
  public var name: String
  public var options: SimulatedMedia.Options
  /// What happens on the pool before, with devices that do not fail; nil: the history itself
  /// creates the pool.
  var prepare: (@Sendable (HostSession) -> Void)?
  /// How the server before ended.
  var ending = Ending.stop
  /// What happens while I/O fails, after the start.
  var run: @Sendable (HostSession) -> Void
  /// Hosts may be told that the pool is full.
  var fillsPool = false

  enum Ending: Sendable {
    case stop, powerCut
    /// A crash came between the superblocks of the members: the last one has not got the newest.
    case powerCutBetweenSuperblocks
  }

  /// Nodes, tables and the journal lie on two devices.
  var hasTwoPlaces: Bool { options.deviceBytes.count > 1 }

  public static let all: [FailingHistory] =
    [false, true].flatMap { hasTwo in
      [
        creation(hasTwo), writes(hasTwo), clearing(hasTwo), checkpoints(hasTwo), nodes(hasTwo),
        deletion(hasTwo), recovery(hasTwo), fullPool(hasTwo), branches(hasTwo),
        branchRecovery(hasTwo), attributes(hasTwo), attributeRecovery(hasTwo),
      ]
    } + [interruptedStart()]

  public static func named(_ name: String) -> FailingHistory? { all.first { $0.name == name } }

  private init(
    _ name: String, _ hasTwo: Bool, prepare: (@Sendable (HostSession) -> Void)?,
    run: @escaping @Sendable (HostSession) -> Void
  ) {
    self.name = "\(name)-\(hasTwo ? "two" : "one")"
    options = SimulatedMedia.Options()
    options.deviceBytes = hasTwo ? [20 << 20, 14 << 20] : [34 << 20]
    options.journalBlocks = 12
    self.prepare = prepare
    self.run = run
  }

  // MARK: The histories

  private static let first = VolumeID(1)
  private static let second = VolumeID(2)
  private static let small: UInt64 = 256 << 10
  /// Several leaves, so that the map has inner nodes.
  private static let wide: UInt64 = 2 << 30
  /// The second leaf of a wide volume, in sectors.
  private static let farSector: UInt64 = 168 * 128

  private static func creation(_ hasTwo: Bool) -> FailingHistory {
    FailingHistory("creation", hasTwo, prepare: nil) { session in
      session.act([CreateVolumeOperation(sizeBytes: small)])
      session.act([WriteOperation(first, 0..<16), FlushOperation(first)])
      session.act([FlushOperation(first)])
    }
  }

  private static func writes(_ hasTwo: Bool) -> FailingHistory {
    FailingHistory("writes", hasTwo) { session in
      session.act([CreateVolumeOperation(sizeBytes: small)])
      session.act([WriteOperation(first, 0..<24, fua: true)])
    } run: { session in
      // First writes, an overwrite, and parts of blocks, mapped and not; some at once.
      session.act([
        WriteOperation(first, 256..<320), WriteOperation(first, 0..<8),
        WriteOperation(first, 9..<13), WriteOperation(first, 140..<141),
      ])
      session.act([ReadOperation(first, 0..<512), FlushOperation(first)])
      session.act([
        WriteOperation(first, 8..<20, fua: true), WriteOperation(first, 400..<408, zeros: true),
        WriteOperation(first, 258..<259), FlushOperation(first),
      ])
      session.act([ReadOperation(first, 0..<512)])
      session.act([FlushOperation(first)])
    }
  }

  private static func clearing(_ hasTwo: Bool) -> FailingHistory {
    FailingHistory("clearing", hasTwo) { session in
      session.act([CreateVolumeOperation(sizeBytes: small)])
      session.act([WriteOperation(first, 0..<512, fua: true)])
    } run: { session in
      session.act([DiscardOperation(first, 0..<130), FlushOperation(first)])
      session.act([
        WriteZeroesOperation(first, 260..<300),
        WriteZeroesOperation(first, 385..<500, noHole: true),
      ])
      session.act([FlushOperation(first)])
      session.act([DiscardOperation(first, 128..<256, fua: true), ReadOperation(first, 0..<512)])
      // The space comes back by a checkpoint, and holes are punched into it.
      session.pass(seconds: 6)
      session.act([WriteOperation(first, 0..<64), FlushOperation(first)])
    }
  }

  private static func checkpoints(_ hasTwo: Bool) -> FailingHistory {
    FailingHistory("checkpoints", hasTwo) { session in
      session.act([CreateVolumeOperation(sizeBytes: small), CreateVolumeOperation(sizeBytes: wide)])
      session.act([WriteOperation(first, 0..<64, fua: true)])
    } run: { session in
      session.act([
        WriteOperation(second, 0..<8), CheckpointOperation(), WriteOperation(first, 64..<128),
        FlushOperation(first),
      ])
      session.act([WriteOperation(second, farSector..<farSector + 8), FlushOperation(second)])
      session.act([CheckpointOperation()])
      session.act([ReadOperation(first, 0..<128), FlushOperation(first)])
      session.stop()
    }
  }

  /// After a start nothing of a map is in memory.
  private static func nodes(_ hasTwo: Bool) -> FailingHistory {
    FailingHistory("nodes", hasTwo) { session in
      session.act([CreateVolumeOperation(sizeBytes: wide)])
      session.act([
        WriteOperation(first, 0..<8), WriteOperation(first, farSector..<farSector + 40, fua: true),
      ])
    } run: { session in
      session.act([ReadOperation(first, 0..<8)])
      session.act([WriteOperation(first, farSector + 8..<farSector + 9)])
      session.act([DiscardOperation(first, farSector + 16..<farSector + 40), FlushOperation(first)])
      session.act([ReadOperation(first, farSector..<farSector + 40)])
    }
  }

  /// What a deleted volume leaves is dropped node by node, read from the devices.
  private static func deletion(_ hasTwo: Bool) -> FailingHistory {
    FailingHistory("deletion", hasTwo) { session in
      session.act([CreateVolumeOperation(sizeBytes: wide), CreateVolumeOperation(sizeBytes: small)])
      session.act([
        WriteOperation(first, 0..<300), WriteOperation(first, farSector..<farSector + 140),
        WriteOperation(second, 0..<8, fua: true),
      ])
      session.act([FlushOperation(first)])
    } run: { session in
      session.act([DeleteVolumeOperation(first), WriteOperation(second, 8..<16)])
      session.act([CreateVolumeOperation(sizeBytes: small), FlushOperation(second)])
      session.pass(seconds: 6)
      session.act([ReadOperation(second, 0..<16), FlushOperation(second)])
    }
  }

  private static func recovery(_ hasTwo: Bool) -> FailingHistory {
    var history = FailingHistory("recovery", hasTwo) { session in
      session.act([CreateVolumeOperation(sizeBytes: wide), CreateVolumeOperation(sizeBytes: small)])
      session.act([WriteOperation(first, 0..<40, fua: true), CheckpointOperation()])
      session.act([
        WriteOperation(first, farSector..<farSector + 8), WriteOperation(second, 0..<20),
        DiscardOperation(first, 8..<24),
      ])
      session.act([FlushOperation(first), FlushOperation(second)])
      session.act([WriteOperation(second, 64..<72, fua: true)])
    } run: { session in
      session.act([ReadOperation(first, 0..<40), ReadOperation(second, 0..<72)])
      session.act([WriteOperation(first, 0..<8), FlushOperation(first)])
    }
    history.ending = .powerCut
    return history
  }

  private static let snapshot = VolumeID(3)

  /// Snapshots of two volumes, writes that leave what they share, a clone, a rollback, deletions.
  private static func branches(_ hasTwo: Bool) -> FailingHistory {
    FailingHistory("branches", hasTwo) { session in
      session.act([CreateVolumeOperation(sizeBytes: wide), CreateVolumeOperation(sizeBytes: small)])
      session.act([
        WriteOperation(first, 0..<64), WriteOperation(first, farSector..<farSector + 16),
        WriteOperation(second, 0..<16, fua: true),
      ])
    } run: { session in
      session.act([SnapshotOperation([first, second]), WriteOperation(first, 0..<8)])
      // A part of a shared block, and a third layer above those of two snapshots.
      session.act([WriteOperation(first, 9..<12), SnapshotOperation([first])])
      session.act([WriteOperation(first, 16..<24), FlushOperation(first)])
      session.act([CloneOperation(snapshot), RollbackOperation(first, to: snapshot)])
      session.act([WriteOperation(first, farSector..<farSector + 8), FlushOperation(first)])
      session.act([ReadOperation(snapshot, 0..<64), DeleteSnapshotOperation(snapshot)])
      session.act([CheckpointOperation()])
      session.act([WriteOperation(first, 0..<8), FlushOperation(first)])
    }
  }

  /// A start replays what branched, and what is dropped goes on after it.
  private static func branchRecovery(_ hasTwo: Bool) -> FailingHistory {
    var history = FailingHistory("branch-recovery", hasTwo) { session in
      session.act([CreateVolumeOperation(sizeBytes: wide), CreateVolumeOperation(sizeBytes: small)])
      session.act([
        WriteOperation(first, 0..<40), WriteOperation(first, farSector..<farSector + 8, fua: true),
      ])
      session.act([SnapshotOperation([first, second]), CheckpointOperation()])
      session.act([WriteOperation(first, 0..<8, fua: true), CloneOperation(snapshot)])
      session.act([RollbackOperation(first, to: snapshot), WriteOperation(first, 8..<16)])
      session.act([DeleteSnapshotOperation(snapshot)])
    } run: { session in
      session.act([ReadOperation(first, 0..<40), WriteOperation(first, 0..<8)])
      session.act([CheckpointOperation(), FlushOperation(first)])
    }
    history.ending = .powerCut
    return history
  }

  /// What the administrator does to volumes in use: names, sizes, holds, bookmarks, the trash, and
  /// what is received.
  private static func attributes(_ hasTwo: Bool) -> FailingHistory {
    FailingHistory("attributes", hasTwo) { session in
      session.act([CreateVolumeOperation(sizeBytes: wide), CreateVolumeOperation(sizeBytes: small)])
      session.act([
        WriteOperation(first, 0..<64), WriteOperation(first, farSector..<farSector + 16),
        WriteOperation(second, 0..<16, fua: true),
      ])
      session.act([SnapshotOperation([first]), TrashSettingOperation(seconds: 3600)])
    } run: { session in
      session.act([RenameOperation(first), HoldOperation(first), WriteOperation(first, 0..<8)])
      session.act([BookmarkOperation(of: snapshot), TrashOperation(second)])
      session.act([DeleteSnapshotOperation(snapshot), ReleaseOperation(first)])
      session.act([CheckpointOperation()])
      // The first write in place since the bookmark.
      session.act([WriteOperation(first, 8..<16), RestoreOperation(second)])
      session.act([ChangesOperation(of: first)])
      // The new end lies inside a block that is mapped, and cuts off a leaf.
      session.act([ResizeOperation(first, to: 11 * 512), WriteOperation(second, 16..<24)])
      session.act([ResizeOperation(first, to: wide), FlushOperation(first)])
      session.act([ReadOperation(first, 0..<8), TrashOperation(second)])
      session.act([EmptyTrashOperation(), FlushOperation(first)])
      session.act([CheckpointOperation()])
    }
  }

  private static func attributeRecovery(_ hasTwo: Bool) -> FailingHistory {
    let received = VolumeID(4)
    var history = FailingHistory("attribute-recovery", hasTwo) { session in
      session.act([CreateVolumeOperation(sizeBytes: wide), CreateVolumeOperation(sizeBytes: small)])
      session.act([WriteOperation(first, 0..<40), WriteOperation(second, 0..<40, fua: true)])
      session.act([SnapshotOperation([second]), TrashSettingOperation(seconds: 3600)])
      session.act([CheckpointOperation()])
      session.act([RenameOperation(first), HoldOperation(first), BookmarkOperation(of: snapshot)])
      session.act([BeginReceiveOperation(second, upon: snapshot)])
      session.act([ReceiveOperation(sizeBytes: small), WriteOperation(second, 0..<8)])
      session.act([ResizeOperation(first, to: 11 * 512), WriteOperation(received, 0..<8)])
    } run: { session in
      session.act([EndReceiveOperation(received), UndoReceiveOperation(second)])
      session.act([TrashOperation(received), ReadOperation(first, 0..<11)])
      session.act([WriteOperation(second, 0..<8), FlushOperation(second), CheckpointOperation()])
    }
    history.ending = .powerCut
    return history
  }

  private static func interruptedStart() -> FailingHistory {
    var history = FailingHistory("interrupted-start", true) { session in
      session.act([CreateVolumeOperation(sizeBytes: small)])
      session.act([WriteOperation(first, 0..<40, fua: true), CheckpointOperation()])
      session.act([WriteOperation(first, 64..<72), FlushOperation(first)])
    } run: { session in
      session.act([ReadOperation(first, 0..<72)])
      session.act([WriteOperation(first, 0..<8), FlushOperation(first)])
    }
    history.ending = .powerCutBetweenSuperblocks
    return history
  }

  private static func fullPool(_ hasTwo: Bool) -> FailingHistory {
    var history = FailingHistory("full-pool", hasTwo) { session in
      session.act([
        CreateVolumeOperation(sizeBytes: small), CreateVolumeOperation(sizeBytes: wide),
      ])
      session.act([WriteOperation(first, 0..<64, fua: true)])
      session.fill(second, bytes: 40 << 20)
    } run: { session in
      // No space for the first; an overwrite needs none; the discard makes some.
      session.act([WriteOperation(first, 256..<264), WriteOperation(first, 0..<8)])
      session.act([FlushOperation(first), ReadOperation(first, 0..<64)])
      session.act([DiscardOperation(second, 0..<1024), CheckpointOperation()])
      session.act([WriteOperation(first, 128..<136), FlushOperation(first)])
    }
    history.fillsPool = true
    return history
  }
}

extension HostSession {
  /// Issues operations at once, as far as they are possible, and lets everything come to rest.
  func act(_ operations: [any HostOperation]) {
    for operation in operations where operation.isPossible(in: self) { operation.issue(in: self) }
    server.settle()
  }

  func pass(seconds: Int) {
    for _ in 0..<seconds * 2 {
      server.advance(milliseconds: 500)
      server.settle()
    }
  }

  func stop() {
    manage {
      $0.stop(token: $1)
    } answered: { session, result in
      session.judge(result, of: "stop")
    }
    server.settle()
    pass(seconds: 3)
  }

  /// Holds space for a volume until there is none. It reads as zeros, as before, so that the model
  /// need not hear of it.
  func fill(_ volume: VolumeID, bytes: UInt64) {
    var answers = 0
    let before = server.answered
    server.answered = { _ in answers += 1 }
    for start in stride(from: 0, to: bytes, by: 1 << 20) {
      let request = unsafe ExportRequest(
        .writeZeroes, flags: [.noHole], volume: volume, offset: start,
        length: 1 << 20, buffer: nil, token: 0)
      precondition(server.submit(request))
      server.settle()
    }
    server.answered = before
    precondition(answers > 0)
  }
}
