import BlockExport
import DiskSimulation
import StorageUnits

extension ExplorationFamily {
  /// The server is killed and its last write lands late. A start waits for it, because the lock
  /// that keeps two servers apart is held by the open file until the last write has ended.
  static let lateWrite = lateWrite(hasFence: true)

  /// The same; without the fence the write lands when the next server has already answered for what
  /// it wrote in the same place: for showing that the fence matters.
  public static func lateWrite(hasFence: Bool) -> ExplorationFamily {
    var family = ExplorationFamily(
      hasFence ? "late-write" : "late-write-without-fence",
      "the last write of a killed server lands late", preparation: twoVolumes,
      places: [
        HistoryStep.choices(
          [WriteOperation(first, 256..<264), WriteOperation(second, 128..<136)], [.settled]),
        HistoryStep.choices(
          [WriteOperation(first, 8..<16), WriteOperation(first, 256..<264)],
          [.after(completions: 0)]),
      ])
    family.endings = [.kill]
    family.aftermath = Aftermath("the last write of a killed server lands late") {
      landLate($0, hasFence: hasFence)
    }
    family.situations = [Situation("the last write of a killed server lands late") { _ in false }]
    return family
  }

  private static func landLate(
    _ moment: AftermathMoment, hasFence: Bool
  ) -> (isReached: Bool, problems: [String]) {
    let media = moment.server.media()
    for device in media.devices { device.processDeath(.inFlightLandsLate) }
    guard media.devices.contains(where: \.hasLateWrites) else { return (false, []) }
    if hasFence { for device in media.devices { device.landLateWrites() } }
    do {
      let server = try SimulatedServer(media, seed: 77, settings: moment.settings)
      server.completionOrder = .oldestFirst
      var expectation = moment.session.expectation
      let problems = expectation.compare(with: server, after: .processDeath)
      guard problems.isEmpty else { return (true, problems) }
      let session = HostSession(server, expectation, firstName: 2000)
      let operations: [any HostOperation] = [
        WriteOperation(second, 128..<136, fua: true), WriteOperation(first, 256..<264, fua: true),
        WriteOperation(first, 8..<16, fua: true),
      ]
      for operation in operations where operation.isPossible(in: session) {
        operation.issue(in: session)
        server.settle()
      }
      for device in media.devices { device.landLateWrites() }
      expectation = session.expectation
      return (true, session.problems + expectation.compare(with: server, after: .processDeath))
    } catch { return (true, ["cannot be opened: \(error)"]) }
  }
}
