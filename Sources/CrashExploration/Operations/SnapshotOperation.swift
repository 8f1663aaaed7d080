public import DiskSimulation
import PoolCore
public import StorageUnits
import VolumeEngine

/// The administrator makes snapshots of several volumes at one instant, or of one.
public struct SnapshotOperation: HostOperation {
  public var sources: [VolumeID]

  public init(_ sources: [VolumeID]) { self.sources = sources }

  public static let weight = 4
  /// Random histories keep at most so many snapshots.
  private static let mostSnapshots = 6

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> SnapshotOperation? {
    guard session.expectation.certainSnapshots.count < mostSnapshots,
      let first = SectorRange.volume(&random, in: session)
    else { return nil }
    guard random.oneIn(3), let second = SectorRange.volume(&random, in: session), second != first
    else { return SnapshotOperation([first]) }
    return SnapshotOperation([first, second])
  }

  public func isPossible(in session: HostSession) -> Bool {
    let expectation = session.expectation
    return sources.allSatisfy { expectation.isServed($0) && !expectation.model.isSnapshot($0) }
  }

  public func issue(in session: HostSession) {
    let issued = session.expectation.model.issueBranch()
    let number = session.freshName().number
    let orders = sources.enumerated().map { i, source in
      SnapshotOrder(
        source: source, name: "s\(number)", uuid: StorageUUID(high: number, low: UInt64(i) + 2),
        createdAt: 0)
    }
    let creations = orders.map { session.creation($0, issued: issued) }
    session.branch(into: creations, "snapshot") { $0.createSnapshots(orders, token: $1) }
  }

  public var description: String {
    "snapshot " + sources.map { "\($0.number)" }.joined(separator: " and ")
  }
}

extension HostSession {
  /// What an order for a snapshot makes.
  func creation(_ order: SnapshotOrder, issued: UInt64) -> CrashExpectation.Creation {
    let source = expectation.facts[order.source]
    return CrashExpectation.Creation(
      uuid: order.uuid,
      facts: VolumeFacts(name: order.name, sizeBytes: source?.latest.sizeBytes ?? 0),
      otherSizes: Set(source?.alternatives.map(\.facts.sizeBytes) ?? []),
      branch: CrashExpectation.Branch(source: order.source, issued: issued, isSnapshot: true))
  }

  /// Asks for snapshots or a clone, and says what the answer means.
  func branch(
    into creations: [CrashExpectation.Creation], _ what: String,
    _ issue: (VolumeEngine, _ token: UInt64) -> Void,
    ended: @escaping (HostSession, _ isDone: Bool) -> Void = { _, _ in }
  ) {
    var key: UInt64 = 0
    manage {
      key = $1
      expectation.asked(creations, $1)
      issue($0, $1)
    } answered: { session, result in
      session.judge(result, of: what)
      // If it failed, it may be there.
      if case .failed = result { return }
      session.expectation.ended(key)
      if case .branched(let ids) = result {
        ended(session, true)
        session.branched(ids, creations)
      } else {
        ended(session, false)
      }
      if let branch = creations.first?.branch {
        session.expectation.model.branchEnded(issued: branch.issued)
      }
    }
  }

  private func branched(_ ids: [VolumeID], _ creations: [CrashExpectation.Creation]) {
    guard ids.count == creations.count else {
      return note(problem: "\(creations.count) were asked for and \(ids.count) made")
    }
    var creations = creations
    for (i, id) in ids.enumerated() {
      // Whether the size on its way was reached before is known now.
      if let size = server.pool.volume(id).map({ server.pool.sizeBytes(of: $0) }),
        creations[i].otherSizes.contains(size)
      {
        creations[i].facts.sizeBytes = size
      }
      expectation.created(id, creations[i])
    }
    guard let branch = creations.first?.branch, branch.isSnapshot else { return }
    var instant: Range<UInt64> = 0..<UInt64.max
    for (id, creation) in zip(ids, creations) { settle(id, creation, &instant) }
    if instant.isEmpty {
      note(problem: "read: there is no instant at which volumes held what the snapshots hold")
    }
  }

  /// What a new snapshot holds is looked up where the map says it lies: it is that from now on,
  /// whatever happens. Parts of the map that are not in memory are left out.
  private func settle(
    _ id: VolumeID, _ creation: CrashExpectation.Creation, _ instant: inout Range<UInt64>
  ) {
    guard let branch = creation.branch else { return }
    for window in CrashExpectation.windows(sizeBytes: creation.facts.sizeBytes) {
      guard let bytes = server.peek(id, sectors: window) else { continue }
      unsafe bytes.withUnsafeBytes { bytes in
        let violations = unsafe expectation.model.checkRecovered(
          id, firstSector: window.lowerBound, bytes: bytes, after: .processDeath)
        for violation in violations.prefix(3) { note(problem: "read: snapshot: \(violation)") }
        unsafe expectation.model.narrow(
          &instant, by: bytes, firstSector: window.lowerBound, of: branch.source)
        unsafe expectation.model.settle(id, firstSector: window.lowerBound, bytes: bytes)
      }
    }
  }
}
