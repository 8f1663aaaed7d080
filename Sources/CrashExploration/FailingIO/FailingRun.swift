import BlockExport
import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import VolumeEngine

/// One run of a history, with one I/O failing or with none.
final class FailingRun {
  /// What a history begins with.
  struct Base {
    /// Devices that are no pool yet, for a history that creates one.
    var media: SimulatedMedia
    var expectation = CrashExpectation()
  }

  let history: FailingHistory
  let media: SimulatedMedia
  let recorder: SiteRecorder
  private(set) var creationError: PoolCreationError?
  private(set) var openingError: PoolOpeningError?
  private(set) var session: HostSession?
  /// What hosts were told beside success, and whether the administrator was.
  private(set) var hostErrors: Set<ExportError> = []
  /// What readers were told among it.
  private(set) var readErrors: Set<ExportError> = []
  private(set) var managementFailed = false
  private(set) var problems: [String] = []

  init(_ history: FailingHistory, _ base: Base, layout: PoolLayout) {
    self.history = history
    media = base.media.fork()
    recorder = SiteRecorder(layout, deviceCount: media.devices.count)
    for (index, device) in media.devices.enumerated() {
      device.atSynchronousCall = { [recorder] operation, offset, length in
        recorder.note(operation, device: index, offset: offset.bytes, length: length)
      }
    }
    preparedExpectation = base.expectation
  }

  /// What must be there before the run.
  let preparedExpectation: CrashExpectation

  // MARK: Bases

  /// What a history begins with: made by a server whose devices do not fail.
  static func prepare(_ history: FailingHistory) throws -> Base {
    guard let prepare = history.prepare else {
      let devices = history.options.deviceBytes.enumerated().map {
        SimulatedDevice(name: "disk\($0)", sizeBytes: $1)
      }
      let bytes = TailRing.bytes(forRecordBytes: history.options.recordBytes)
      return Base(
        media: SimulatedMedia(
          devices: devices, tail: [UInt8](repeating: 0, count: bytes), boot: 1))
    }
    let server = try SimulatedServer(SimulatedMedia.create(history.options), seed: 3)
    let session = HostSession(server, CrashExpectation())
    prepare(session)
    var betweenSuperblocks: SimulatedMedia?
    switch history.ending {
    case .stop: session.stop()
    case .powerCut: break
    case .powerCutBetweenSuperblocks:
      server.atCommand = { [unowned server] command in
        guard server.engine.purpose(ofCommand: command.token) == .superblockBarrier else { return }
        betweenSuperblocks = betweenSuperblocks ?? server.media()
      }
      session.act([CheckpointOperation()])
      server.atCommand = { _ in }
    }
    precondition(session.problems.isEmpty, "a history goes wrong without any fault")
    var media = betweenSuperblocks ?? server.media()
    switch history.ending {
    case .stop: break
    case .powerCut: media.cutPower(UniformCrash.allAbsent)
    case .powerCutBetweenSuperblocks: media.cutPower(FirstDeviceAlone())
    }
    return Base(media: media, expectation: session.expectation)
  }

  /// What was written to the first device is kept, and nothing else.
  private struct FirstDeviceAlone: CrashChooser {
    func fate(of write: UnflushedWrite, index: Int, count: Int) -> WriteFate {
      write.device.index == 0 ? .whole : .absent
    }
  }

  // MARK: The run

  func perform() {
    if history.prepare == nil {
      recorder.begin(.creation)
      do throws(PoolCreationError) {
        try create(isForced: false)
      } catch {
        creationError = error
        return
      }
    }
    recorder.begin(.opening)
    let server: SimulatedServer
    do throws(PoolOpeningError) {
      server = try SimulatedServer(media, seed: 7)
    } catch {
      openingError = error
      return
    }
    recorder.begin(.serving)
    server.atCommand = { [unowned server, recorder] command in
      recorder.note(command, server.engine.purpose(ofCommand: command.token))
    }
    let session = HostSession(server, preparedExpectation, firstName: 100)
    self.session = session
    watch(session)
    history.run(session)
    problems += session.problems
    if session.requestsInFlight + session.managementInFlight > 0 {
      problems.append(
        "\(session.requestsInFlight) requests and \(session.managementInFlight) operations of "
          + "the administrator were never answered")
    }
    for device in media.devices { device.atSynchronousCall = { _, _, _ in } }
  }

  func create(isForced: Bool) throws(PoolCreationError) {
    try PoolCreation.create(
      media.devices,
      settings: PoolCreation.Settings(
        name: "pool", poolUUID: StorageUUID(high: 5, low: 1),
        deviceUUIDs: media.devices.indices.map { StorageUUID(high: 6, low: UInt64($0) + 1) },
        layout: Self.layoutOptions(history), allocationRunExtents: 3, isForced: isForced,
        logNonce: 5, opening: Opening(host: "test", process: 1, at: 1)))
  }

  static func layoutOptions(_ history: FailingHistory) -> PoolLayout.Options {
    PoolLayout.Options(
      segmentBytes: history.options.segmentBytes, journalBlocks: history.options.journalBlocks)
  }

  /// What hosts may be told at all; and that nothing that asks for durability succeeds once a
  /// barrier has failed.
  private func watch(_ session: HostSession) {
    let server = session.server
    session.toleratesError = { [unowned server, history] error in
      switch error {
      case .inputOutput: server.disks.failures.total > 0
      case .readOnly: server.engine.isReadOnly
      case .noSpace: history.fillsPool || server.disks.failures.writes > 0
      case .invalidRequest, .outOfRange, .notSupported, .volumeGone, .shuttingDown: false
      }
    }
    session.toleratesResult = { [unowned server] result in
      // A shrink copies the block in which the volume ends.
      server.engine.isReadOnly
        || result == .failed(.inputOutput) && server.disks.failures.total > 0
    }
    session.atAnswer = { [unowned self, unowned server] operation, flags, error in
      if let error {
        hostErrors.insert(error)
        if operation == .read { readErrors.insert(error) }
      }
      let isBarrier = operation == .flush || operation != .read && flags.contains(.forceUnitAccess)
      if error == nil, isBarrier, server.disks.failures.flushes > 0 || server.engine.isReadOnly {
        problems.append("a \(operation) was answered with success after a barrier had failed")
      }
    }
    session.atManagementAnswer = { [unowned self, unowned server] result in
      switch result {
      case .refused, .failed: managementFailed = true
      case .done, .created, .branched:
        if server.disks.failures.flushes > 0 || server.engine.isReadOnly {
          problems.append("the administrator was told \(result) after a barrier had failed")
        }
      }
    }
  }

  // MARK: What it came to

  /// What is wrong by the table of what must come of a failure.
  func judge(_ rule: FailureRule, at site: IOSite) -> [String] {
    var told = hostErrors
    if history.fillsPool { told.remove(.noSpace) }
    let isReadOnly = session?.server.engine.isReadOnly ?? false
    let opened = creationError == nil && openingError == nil
    var problems: [String] = []
    func expect(_ isRight: Bool, _ what: String) { if !isRight { problems.append(what) } }
    switch rule.outcome {
    case .refused:
      expect(site.stage == .creation ? creationError != nil : openingError != nil, "not refused")
    case .nothing:
      expect(opened, "refused: \(text(of: creationError)) \(text(of: openingError))")
      expect(told.isEmpty && !managementFailed, "told \(told)")
      expect(!isReadOnly, "the pool became read-only")
    case .requestFails:
      // Or an operation of the administrator: a shrink copies the block in which the volume ends.
      let isHosts = told == [rule.error] || hostErrors == [rule.error]
      expect(
        isHosts != (told.isEmpty && managementFailed),
        "hosts were told \(hostErrors), not \(rule.error)")
      expect(opened && !isReadOnly, "more than a request failed")
    case .poolEnds:
      expect(isReadOnly, "the pool goes on")
      expect(readErrors.isEmpty, "readers were told \(readErrors)")
      expect(told.isSubset(of: [.inputOutput, .readOnly]), "told \(told)")
    case .backgroundStops:
      expect(told.isSubset(of: isReadOnly ? [.inputOutput, .readOnly] : []), "told \(told)")
    }
    return problems
  }

  private func text(of error: PoolCreationError?) -> String { error.map { "\($0)" } ?? "" }
  private func text(of error: PoolOpeningError?) -> String { error.map { "\($0)" } ?? "" }
}
