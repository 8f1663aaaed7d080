import DiskSimulation
import StorageUnits
import VolumeEngine

extension FailingRun {
  /// The pool is opened again on devices that work, after a kill and after power cuts of several
  /// kinds: what is wrong then.
  func recover(seed: UInt64) -> [String] {
    for device in media.devices { device.clearFaults() }
    if creationError != nil { return createAgain() }
    let left = session?.server.media() ?? media
    let expected = session?.expectation ?? preparedExpectation
    let killed = left.fork()
    killed.kill(seed: seed)
    var problems = open(killed, expected, after: .processDeath).map { "after a kill: \($0)" }
    for (name, chooser) in [
      ("nothing kept", CrashKind.absent), ("all kept", .whole), ("some kept", .seeded),
    ] {
      var cut = left.fork()
      switch chooser {
      case .absent: cut.cutPower(UniformCrash.allAbsent)
      case .whole: cut.cutPower(UniformCrash.allWhole)
      case .seeded: cut.cutPower(SeededCrash(seed: seed))
      }
      problems += open(cut, expected, after: .powerCut).map {
        "after a power cut, \(name): \($0)"
      }
    }
    return problems
  }

  private enum CrashKind { case absent, whole, seeded }

  private func open(
    _ media: SimulatedMedia, _ expectation: CrashExpectation, after ending: ReferenceModel.Ending
  ) -> [String] {
    var expectation = expectation
    do throws(PoolOpeningError) {
      let server = try SimulatedServer(media, seed: 11)
      let problems = expectation.compare(with: server, after: ending)
      guard problems.isEmpty else { return problems }
      guard server.stop() else { return ["the stop failed"] }
      return server.media().inspect(isClosed: true)
    } catch { return ["cannot be opened: \(error)"] }
  }

  /// Devices on which no pool came to be can become one.
  private func createAgain() -> [String] {
    do {
      try create(isForced: true)
      let server = try SimulatedServer(media, seed: 11)
      guard server.engine.exportNames().isEmpty else { return ["a new pool has volumes"] }
      guard server.stop() else { return ["the stop failed"] }
      return server.media().inspect(isClosed: true)
    } catch { return ["cannot be created again: \(error)"] }
  }
}
