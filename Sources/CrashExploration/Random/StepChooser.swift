import BlockIO
import DiskSimulation
import StorageUnits
import VolumeEngine

/// Draws the steps of a random history, from its seed and what is there.
struct StepChooser {
  private var random: SeededRandom
  /// Requests in flight at most; the server has more slots.
  private static let mostRequests = 10

  init(seed: UInt64) { random = SeededRandom(seed: SeededRandom.mix(seed)) }

  mutating func next(_ run: SimulationRun) -> SimulationStep {
    if random.oneIn(run.server.engine.isReadOnly ? 12 : 120) { return restart(run) }
    if random.oneIn(25) { return misfortune(run) }
    switch random.below(100) {
    case ..<52:
      return run.session.requestsInFlight < Self.mostRequests
        ? operation(run) : .advance(milliseconds: UInt64(random.below(800)))
    case ..<57: return .advance(milliseconds: UInt64(random.below(800)))
    default: return run.server.disks.inFlightCount > 0 ? .complete : operation(run)
    }
  }

  private mutating func operation(_ run: SimulationRun) -> SimulationStep {
    guard run.session.requestsInFlight < Self.mostRequests else {
      return .advance(milliseconds: UInt64(random.below(800)))
    }
    let session = run.session
    let drawn: (any HostOperation)? =
      session.expectation.certainVolumes.isEmpty
      ? CreateVolumeOperation.draw(&random, in: session)
      : HostOperationKind.draw(&random, in: session)
    return drawn.map { .operate($0) } ?? .complete
  }

  // MARK: Misfortune

  private mutating func misfortune(_ run: SimulationRun) -> SimulationStep {
    let scenario = run.scenario
    let count = scenario.options.deviceBytes.count
    if random.oneIn(2) { return .inject(harmless(), device: random.below(count)) }
    switch scenario.kind {
    case .honest:
      let device = random.below(count)
      if random.oneIn(4) {
        let bytes: UInt64? = random.oneIn(3) ? nil : UInt64(random.below(64)) << 14
        return .limitSpace(bytes: bytes, device: device)
      }
      return .inject(failure(), device: device)
    case .rotting:
      if scenario.hasTwoPlaces && random.oneIn(2) {
        return .inject(lostTable(), device: scenario.badDevice)
      }
      return .rot(device: scenario.badDevice, seed: random.next(), tablesOnly: true)
    case .lying:
      if random.oneIn(3) {
        return .rot(device: scenario.badDevice, seed: random.next(), tablesOnly: false)
      }
      return .inject(lie(), device: scenario.badDevice)
    }
  }

  /// What no host may notice.
  private mutating func harmless() -> DeviceFault {
    let operation: IOCommand.Operation = [.read, .write, .write, .flush][random.below(4)]
    let number = 1 + random.below(6)
    if operation != .flush && random.oneIn(2) {
      return DeviceFault(
        .inTwoPieces(firstBytes: 4096 << random.below(4)), on: operation, number: number)
    }
    return DeviceFault(.slow(completions: 1 + random.below(40)), on: operation, number: number)
  }

  private mutating func failure() -> DeviceFault {
    let operations: [IOCommand.Operation] = [
      .read, .read, .write, .write, .write, .flush, .reserveSpace, .punchHole,
    ]
    let operation = operations[random.below(operations.count)]
    let number = 1 + random.below(20)
    let isForGood = random.oneIn(12)
    let errno = SimulatedErrno.inputOutput
    switch random.below(12) {
    case 0: return DeviceFault(.vanish, on: nil, number: number)
    case 1..<4 where operation == .read || operation == .write:
      return DeviceFault(
        .short(bytes: 512 * (1 + random.below(16)), errno: errno), on: operation, number: number,
        isForGood: isForGood)
    case 4..<6 where operation == .write || operation == .reserveSpace:
      return DeviceFault(
        .error(errno: SimulatedErrno.noSpace), on: operation, number: number,
        isForGood: isForGood)
    default:
      return DeviceFault(
        .error(errno: errno), on: operation, number: number, isForGood: isForGood)
    }
  }

  /// A write of a table that never arrives; superblocks left out, of which losing both copies makes
  /// a device an old one.
  private mutating func lostTable() -> DeviceFault {
    DeviceFault(
      .lostWrite, on: .write, number: 1 + random.below(10), payload: .tables,
      within: 1 << 20..<UInt64.max)
  }

  private mutating func lie() -> DeviceFault {
    let number = 1 + random.below(10)
    switch random.below(3) {
    case 0: return DeviceFault(.lostWrite, on: .write, number: number)
    case 1:
      let blocks = random.oneIn(2) ? 1 + random.below(4) : 1 + random.below(4096)
      return DeviceFault(
        .misdirectedWrite(byBytes: (random.oneIn(2) ? -1 : 1) * blocks * 4096), on: .write,
        number: number)
    default:
      return DeviceFault(.lyingFlush, on: .flush, number: number, isForGood: random.oneIn(4))
    }
  }

  // MARK: Restarts

  private mutating func restart(_ run: SimulationRun) -> SimulationStep {
    let endings: [SimulationStep.Restart.Ending] = [.powerCut, .powerCut, .kill, .kill, .stop]
    var how = SimulationStep.Restart(
      ending: endings[random.below(endings.count)], seed: random.next())
    if random.oneIn(4) { how.crashesAfter = random.below(random.oneIn(2) ? 200 : 40) }
    if run.scenario.kind == .honest && random.oneIn(4) {
      how.fault = failure()
      how.fault?.number = 1 + random.below(12)
      how.faultyDevice = random.below(run.scenario.options.deviceBytes.count)
    }
    return .restart(how)
  }
}
