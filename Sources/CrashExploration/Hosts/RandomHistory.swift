import DiskSimulation

/// A random history of hosts and an administrator. The seed decides everything.
public final class RandomHistory {
  public let session: HostSession
  private var random: SeededRandom
  /// Requests in flight at most; the server has more slots.
  private static let mostRequests = 10

  public init(_ server: SimulatedServer, _ expectation: CrashExpectation, seed: UInt64) {
    session = HostSession(server, expectation, firstName: seed << 20)
    random = SeededRandom(seed: seed)
  }

  /// What went wrong while the server ran.
  public var problems: [String] { session.problems }

  /// One operation, one completion, or some time.
  public func step() {
    switch random.below(100) {
    case ..<52 where session.requestsInFlight < Self.mostRequests: act()
    case ..<58: session.server.advance(milliseconds: UInt64(random.below(800)))
    default: if !session.server.completeOne() { act() }
    }
    session.server.turn()
  }

  /// Ends what is in flight.
  public func settle() { session.server.settle() }

  private func act() {
    if session.expectation.certainVolumes.isEmpty {
      CreateVolumeOperation.draw(&random, in: session)?.issue(in: session)
    } else if let operation = HostOperationKind.draw(&random, in: session),
      operation.isPossible(in: session)
    {
      operation.issue(in: session)
    }
  }
}
