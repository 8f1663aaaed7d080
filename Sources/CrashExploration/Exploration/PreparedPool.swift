import BlockExport
import DiskSimulation

/// A pool as the histories of a family find it, and what is in it.
struct PreparedPool {
  let media: SimulatedMedia
  let expectation: CrashExpectation

  enum Problem: Error, CustomStringConvertible {
    case preparation([String])
    var description: String {
      switch self {
      case .preparation(let problems): "the preparation failed: \(problems)"
      }
    }
  }

  init(_ family: ExplorationFamily) throws {
    let server = try SimulatedServer(
      try SimulatedMedia.create(family.media), seed: 1, settings: family.settings)
    server.completionOrder = .oldestFirst
    let session = HostSession(server, CrashExpectation())
    session.expectation.isShortOfSpace = family.toleratesNoSpace
    if family.toleratesNoSpace { session.toleratedErrors = [.noSpace] }
    for operation in family.preparation {
      guard operation.isPossible(in: session) else {
        throw Problem.preparation(["\(operation) is not possible"])
      }
      operation.issue(in: session)
      server.settle()
    }
    guard session.problems.isEmpty else { throw Problem.preparation(session.problems) }
    var media = server.media()
    media.cutPower(UniformCrash.allWhole)
    // What is there now is what there is.
    var expectation = session.expectation
    let problems = expectation.compare(
      with: try SimulatedServer(media.fork(), seed: 3, settings: family.settings),
      after: .powerCut)
    guard problems.isEmpty else { throw Problem.preparation(problems) }
    expectation.model.forgetZeros()
    self.media = media
    self.expectation = expectation
  }
}
