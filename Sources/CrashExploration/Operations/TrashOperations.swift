public import DiskSimulation
import PoolCore
public import StorageUnits
import VolumeEngine

/// The administrator says how long what is deleted stays in the trash.
public struct TrashSettingOperation: HostOperation {
  public var seconds: UInt32

  public init(seconds: UInt32) { self.seconds = seconds }

  public static let weight = 1

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> TrashSettingOperation? {
    TrashSettingOperation(seconds: [0, 60, 3600, 3600][random.below(4)])
  }

  public func issue(in session: HostSession) {
    var token: UInt64 = 0
    session.manage {
      token = $1
      session.expectation.trashExpiry.ask($1, seconds)
      session.expectation.changed()
      $0.setTrashExpiry(seconds: seconds, token: $1)
    } answered: { session, result in
      session.judge(result, of: "setting of the trash")
      session.expectation.changed()
      switch result {
      case .done: session.expectation.trashExpiry.take(token)
      case .refused: session.expectation.trashExpiry.withdraw(token)
      // It may be so.
      case .created, .branched, .failed: break
      }
    }
  }

  public var description: String { "trash keeps for \(seconds) s" }
}

/// The administrator deletes a volume with its snapshots, or a snapshot, into the trash.
public struct TrashOperation: VolumeOperation {
  public var volume: VolumeID

  public init(_ volume: VolumeID) { self.volume = volume }

  public static let weight = 3

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> TrashOperation? {
    let drawn =
      random.oneIn(2)
      ? SectorRange.snapshot(&random, in: session) : SectorRange.volume(&random, in: session)
    guard let operation = drawn.map({ TrashOperation($0) }) else { return nil }
    return operation.isPossible(in: session) ? operation : nil
  }

  /// Nothing is on its way to what goes along.
  public func isPossible(in session: HostSession) -> Bool {
    let expectation = session.expectation
    guard expectation.isServed(volume), expectation.trashExpiry.isCertain,
      expectation.trashExpiry.certain > 0, !expectation.mayBeReceiveBase(volume)
    else { return false }
    let isBranching = expectation.creationsInFlight.values.contains { group in
      group.contains { $0.branch?.source == volume }
    }
    return !isBranching
      && expectation.unit(of: volume).allSatisfy {
        expectation.model.existence(of: $0) == .certain && !expectation.mayBecomeHeld($0)
      }
  }

  public func issue(in session: HostSession) {
    let expectation = session.expectation
    let now = expectation.wallSeconds
    let isHeld = expectation.unit(of: volume).contains { expectation.isHeld($0) }
    if isHeld { return issueHeld(in: session, now) }
    session.expectation.expiries[volume] = now + UInt64(expectation.trashExpiry.certain)
    if expectation.isShortOfSpace { session.expectation.mayGo(volume) }
    session.change(volume, "deletion into the trash") {
      $0.isInTrash = true
    } issue: {
      $0.deleteVolume(volume, trashedAt: now, token: $1)
    }
  }

  private func issueHeld(in session: HostSession, _ now: UInt64) {
    session.manage {
      $0.deleteVolume(volume, trashedAt: now, token: $1)
    } answered: { [volume] session, result in
      if case .refused(.held) = result { return }
      session.judge(result, of: "deletion of what is held")
      if result == .done {
        session.note(problem: "\(volume.number) went into the trash although it is held")
      }
    }
  }

  public var description: String { "delete \(volume.number) into the trash" }
}

/// The administrator takes something out of the trash, under a new name.
public struct RestoreOperation: HostOperation {
  public var volume: VolumeID

  public init(_ volume: VolumeID) { self.volume = volume }

  public static let weight = 3

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> RestoreOperation? {
    let items = session.expectation.trashItems.map { RestoreOperation($0) }
    return SectorRange.one(of: items.filter { $0.isPossible(in: session) }, &random)
  }

  public func isPossible(in session: HostSession) -> Bool {
    let expectation = session.expectation
    guard expectation.isTrashItem(volume) else { return false }
    return expectation.origins[volume].map { expectation.isReachable($0) } ?? true
  }

  public func issue(in session: HostSession) {
    let name = session.freshName().name
    // It may have been emptied, or be half gone.
    let mayBeGone = session.expectation.model.existence(of: volume) == .perhaps
    session.change(volume, "restore") {
      mayBeGone && $0.isOfGoneItem
    } _: {
      $0.isInTrash = false
      $0.name = name
    } issue: {
      $0.restoreFromTrash(volume, as: name, token: $1)
    } done: { [volume] in
      $0.expectation.hasComeBack(volume)
    }
  }

  public var description: String { "restore \(volume.number)" }
}

extension PoolError {
  fileprivate var isOfGoneItem: Bool {
    switch self {
    case .notInTrash: true
    default: false
    }
  }
}

/// The administrator empties the trash of everything that is in it now.
public struct EmptyTrashOperation: HostOperation {
  public init() {}

  public static let weight = 1

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> EmptyTrashOperation? { EmptyTrashOperation() }

  public func isPossible(in session: HostSession) -> Bool {
    !session.expectation.trashItems.isEmpty
  }

  public func issue(in session: HostSession) {
    let items = session.expectation.trashItems
    let parts = items.flatMap { session.expectation.unit(of: $0) }
    for item in items { session.expectation.mayGo(item) }
    session.manage {
      $0.emptyTrash(items, token: $1)
    } answered: { session, result in
      session.judge(result, of: "emptying the trash")
      // If it was refused, parts may be gone all the same.
      if result == .done {
        for part in parts { session.expectation.model.volumeDeleted(part) }
      }
    }
  }

  public var description: String { "empty the trash" }
}

/// The wall clock goes on: what has expired goes.
public struct WallClockOperation: HostOperation {
  public var seconds: UInt64

  public init(seconds: UInt64) { self.seconds = seconds }

  public static let weight = 1

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> WallClockOperation? {
    WallClockOperation(seconds: [1, 30, 1000, 4000][random.below(4)])
  }

  public func issue(in session: HostSession) {
    session.expectation.wallSeconds += seconds
    let now = session.expectation.wallSeconds
    for id in session.expectation.model.volumeIDs {
      guard let expiry = session.expectation.expiries[id], expiry <= now else { continue }
      session.expectation.mayGo(id)
    }
    session.server.engine.secondsSince1970 = now
  }

  public var description: String { "\(seconds) s later by the wall clock" }
}
