import DiskFormat
public import DiskSimulation
import PoolCore
public import StorageUnits
import VolumeEngine

/// A receiver makes a new volume, which its hosts get to see when all of it has come.
public struct ReceiveOperation: HostOperation {
  public var sizeBytes: UInt64

  public init(sizeBytes: UInt64) { self.sizeBytes = sizeBytes }

  public static let weight = 1

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> ReceiveOperation? {
    guard session.expectation.creationsInFlight.count < 2,
      session.expectation.model.volumeIDs.count < 12
    else { return nil }
    return ReceiveOperation(sizeBytes: 528 << 10)
  }

  public func issue(in session: HostSession) {
    let (name, number) = session.freshName()
    var record = VolumeRecord(
      id: VolumeID(0), uuid: StorageUUID(high: number, low: 1), name: name, sizeBytes: sizeBytes,
      logicalBlockBytes: 512, createdAt: 0, fullPolicy: .error)
    record.isReceiving = true
    session.create(record)
  }

  public var description: String { "receive \(sizeBytes)" }
}

/// A receiver begins upon a snapshot, which the volume must not have changed since.
public struct BeginReceiveOperation: VolumeOperation {
  public var volume: VolumeID
  public var base: VolumeID

  public init(_ volume: VolumeID, upon base: VolumeID) {
    self.volume = volume
    self.base = base
  }

  public static let weight = 2

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> BeginReceiveOperation? {
    guard let base = SectorRange.snapshot(&random, in: session),
      let volume = session.expectation.origins[base]
    else { return nil }
    let operation = BeginReceiveOperation(volume, upon: base)
    return operation.isPossible(in: session) ? operation : nil
  }

  public func isPossible(in session: HostSession) -> Bool {
    let expectation = session.expectation
    return expectation.isServed(volume) && expectation.isCertainSnapshot(base)
      && expectation.origins[base] == volume && !expectation.model.isBeingReplaced(volume)
  }

  public func issue(in session: HostSession) {
    let before = session.expectation.receiveBases[volume]
    session.expectation.receiveBases[volume] = base
    session.change(volume, "begin of a receive") { [volume] error in
      guard case .hasChanged = error else { return false }
      session.expectation.receiveBases[volume] = before
      return true
    } _: {
      $0.isReceiving = true
    } issue: {
      $0.beginReceive(volume, upon: base, token: $1)
    }
  }

  public var description: String { "receive into \(volume.number) upon \(base.number)" }
}

/// A receiver has written everything: its snapshot is made, and the volume is given to its hosts.
public struct EndReceiveOperation: VolumeOperation {
  public var volume: VolumeID

  public init(_ volume: VolumeID) { self.volume = volume }

  public static let weight = 2

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> EndReceiveOperation? {
    let ends = session.expectation.model.volumeIDs.map { EndReceiveOperation($0) }
    return SectorRange.one(of: ends.filter { $0.isPossible(in: session) }, &random)
  }

  /// The receiver waits for its writes.
  public func isPossible(in session: HostSession) -> Bool {
    session.expectation.isReceiving(volume) && !session.hasRequests(on: volume)
      && !session.expectation.model.isBeingReplaced(volume)
  }

  public func issue(in session: HostSession) {
    let issued = session.expectation.model.issueBranch()
    let number = session.freshName().number
    let order = SnapshotOrder(
      source: volume, name: "s\(number)", uuid: StorageUUID(high: number, low: 2), createdAt: 0)
    var creation = session.creation(order, issued: issued)
    creation.endsReceiveOf = volume
    var token: UInt64 = 0
    session.branch(into: [creation], "end of a receive") {
      token = $1
      session.expectation.ask(volume, $1) { $0.isReceiving = false }
      $0.endReceive(order, lineage: StorageUUID(high: number, low: 9), token: $1)
    } ended: { [volume] session, isDone in
      guard isDone else { return session.expectation.refused(volume, token) }
      session.expectation.answered(volume, token)
      session.expectation.receiveBases[volume] = nil
    }
  }

  public var description: String { "all of \(volume.number) is received" }
}

/// A receive ends early: the volume has again what its base has.
public struct UndoReceiveOperation: VolumeOperation {
  public var volume: VolumeID

  public init(_ volume: VolumeID) { self.volume = volume }

  public static let weight = 1

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> UndoReceiveOperation? {
    let ends = session.expectation.model.volumeIDs.map { UndoReceiveOperation($0) }
    return SectorRange.one(of: ends.filter { $0.isPossible(in: session) }, &random)
  }

  public func isPossible(in session: HostSession) -> Bool {
    let expectation = session.expectation
    return expectation.isReceiving(volume) && expectation.receiveBases[volume] != nil
      && !expectation.model.isBeingReplaced(volume)
  }

  public func issue(in session: HostSession) {
    guard let base = session.expectation.receiveBases[volume] else { return }
    let issued = session.expectation.model.issueRollback(of: volume, to: base)
    session.expectation.rolledBack.insert(volume)
    session.change(volume, "undoing a receive", replacement: issued) {
      $0.isReceiving = false
    } issue: {
      $0.undoReceive(volume, token: $1)
    } done: { [volume] in
      $0.expectation.receiveBases[volume] = nil
    }
  }

  public var description: String { "undo the receive into \(volume.number)" }
}
