import BlockExport
import DiskFormat
import DiskSimulation
import PoolCore
import PoolInspection
import StorageUnits
import VolumeEngine

extension SimulationRun {
  // MARK: While the server runs

  /// What hosts and the administrator may be told; and that nothing that asks for durability
  /// succeeds once a barrier has failed.
  func watch(_ session: HostSession) {
    let server = session.server
    let scenario = scenario
    let mayBeDamaged =
      scenario.kind == .lying || scenario.kind == .rotting && !scenario.hasTwoPlaces
    session.toleratesError = { [unowned server, unowned self] error in
      switch error {
      case .inputOutput: mayBeDamaged || server.disks.failures.total > 0
      // A request that was to end for a deletion, which the pool then refused.
      case .readOnly, .volumeGone: server.engine.isReadOnly
      case .noSpace: scenario.ballastBytes > 0 || server.disks.failures.writes > 0
      case .shuttingDown: isStopping
      case .invalidRequest, .outOfRange, .notSupported: false
      }
    }
    session.toleratesResult = { [unowned server, unowned self] result in
      if server.engine.isReadOnly || isStopping || mayBeDamaged { return true }
      switch result {
      case .refused(.noSpace), .refused(.owesDiscards): return scenario.ballastBytes > 0
      // A shrink copies the block in which a volume ends.
      case .failed(.inputOutput): return server.disks.failures.total > 0
      default: return false
      }
    }
    session.atAnswer = { [unowned server, unowned self] operation, flags, error in
      figures.answers += 1
      if error != nil { figures.errorsTold += 1 }
      if operation == .read && error == .readOnly {
        problems.append("a read was refused as if it changed something")
      }
      let asksForDurability =
        operation == .flush || operation != .read && flags.contains(.forceUnitAccess)
      guard error == nil, asksForDurability else { return }
      if server.disks.failures.flushes > 0 || server.engine.isReadOnly {
        problems.append("\(operation) answered with success after a barrier had failed")
      }
    }
    session.atManagementAnswer = { [unowned server, unowned self] result in
      switch result {
      case .refused, .failed: break
      case .done, .created, .branched:
        if server.disks.failures.flushes > 0 || server.engine.isReadOnly {
          problems.append("the administrator was told \(result) after a barrier had failed")
        }
      }
    }
  }

  // MARK: The end of a server and the start of the next one

  func restart(_ how: SimulationStep.Restart) {
    var ending = how.ending
    if ending == .stop {
      if stop() {
        figures.stops += 1
      } else {
        // The pool has failed: nothing more can become durable.
        ending = .powerCut
      }
    }
    takeProblems()
    guard !hasEnded else { return }
    if ending == .kill && server.disks.failures.flushes > 0 {
      // What was answered is there after a kill; but a device that failed a flush does not say
      // again that it has lost what it had: the machine is started anew before anybody trusts it.
      problems += checkKill(seed: how.seed).map { "after a kill: \($0)" }
      ending = .powerCut
    }
    end()
    guard !hasEnded else { return }
    var media = server.media()
    switch ending {
    case .stop:
      if scenario.kind == .honest {
        problems += media.inspect(isClosed: true).map { "after a stop: \($0)" }
      }
      if how.seed % 2 == 0 { media.cutPower(UniformCrash.allAbsent) }
    case .powerCut:
      figures.powerCuts += 1
      media.cutPower(SeededCrash(seed: how.seed))
    case .kill:
      figures.kills += 1
      media.kill(seed: how.seed)
    }
    guard !hasEnded else { return }
    start(media, how, ending)
  }

  /// Stops as SIGTERM does; whether the pool is closed then.
  private func stop() -> Bool {
    isStopping = true
    defer { isStopping = false }
    var result: ManagementResult?
    session.manage {
      $0.stop(token: $1)
    } answered: {
      result = $1
    }
    for _ in 0..<40 where result == nil {
      server.settle()
      if result == nil { server.advance(milliseconds: 250) }
    }
    switch result {
    case .done: return true
    case nil: problems.append("a stop does not end")
    default:
      if !server.engine.isReadOnly { problems.append("a stop ended with a pool that goes on") }
    }
    return false
  }

  /// On a copy of everything: what is there after a kill.
  private func checkKill(seed: UInt64) -> [String] {
    let media = server.media()
    media.kill(seed: seed)
    var expectation = session.expectation
    do throws(PoolOpeningError) {
      let killed = try SimulatedServer(media, seed: nextSeed)
      return judged(expectation.compare(with: killed, after: .processDeath))
    } catch { return mayRefuse ? [] : ["cannot be opened: \(error)"] }
  }

  /// A start may be refused: damage that no other copy makes good, or a device that lied.
  private var mayRefuse: Bool {
    switch scenario.kind {
    case .honest: false
    case .rotting: !scenario.hasTwoPlaces
    case .lying: true
    }
  }

  /// Of what a comparison found, what the scenario forbids.
  private func judged(_ found: [String]) -> [String] {
    switch scenario.kind {
    case .honest: found
    case .rotting:
      scenario.hasTwoPlaces ? found : found.filter { !$0.hasSuffix("cannot be read") }
    case .lying:
      // A change may be lost with the device's lie, but no volume and no size is made up.
      found.filter { $0.hasSuffix("was made up") || $0.hasSuffix("that nobody asked for") }
    }
  }

  private func start(
    _ crashed: SimulatedMedia, _ how: SimulationStep.Restart,
    _ ending: SimulationStep.Restart.Ending
  ) {
    var media = crashed
    var ruling: ReferenceModel.Ending = ending == .powerCut ? .powerCut : .processDeath
    if scenario.kind == .honest {
      problems += media.inspect().map { "before recovery: \($0)" }
      if scenario.hasTwoPlaces { checkOldDevice(media, seed: how.seed) }
    }
    guard !hasEnded else { return }
    if let limit = how.crashesAfter { crashStart(&media, how, after: limit, &ruling) }
    if let fault = how.fault { failStart(&media, how, fault, &ruling) }
    guard !hasEnded else { return }
    var expectation = session.expectation
    do throws(PoolOpeningError) {
      let server = try SimulatedServer(media, seed: nextSeed)
      figures.starts += 1
      problems += judged(expectation.compare(with: server, after: ruling)).map {
        "after a \(ruling): \($0)"
      }
      guard problems.isEmpty else { return }
      if scenario.kind == .honest { checkSpace(server) }
      begin(nextSession(server, expectation))
    } catch {
      isRefused = true
      figures.refusedStarts += 1
      if !mayRefuse { problems.append("cannot be opened: \(error)") }
    }
  }

  /// A start that a crash cuts off.
  private func crashStart(
    _ media: inout SimulatedMedia, _ how: SimulationStep.Restart, after limit: Int,
    _ ruling: inout ReferenceModel.Ending
  ) {
    do throws(PoolOpeningError) {
      _ = try SimulatedServer(media, seed: nextSeed, crashAfter: limit)
    } catch {
      guard media.devices[0].crashPoint.isReached else {
        isRefused = true
        if !mayRefuse { problems.append("an interrupted start: \(error)") }
        return
      }
    }
    if ruling == .powerCut {
      media.cutPower(SeededCrash(seed: how.seed &+ 1))
    } else {
      media.kill(seed: how.seed &+ 1)
    }
  }

  /// A start on a device that fails: refused, or not hurt by it. Then the device works again.
  private func failStart(
    _ media: inout SimulatedMedia, _ how: SimulationStep.Restart, _ fault: DeviceFault,
    _ ruling: inout ReferenceModel.Ending
  ) {
    let device = media.devices[how.faultyDevice]
    device.inject(fault)
    do throws(PoolOpeningError) {
      _ = try SimulatedServer(media, seed: nextSeed)
      if device.isVanished { problems.append("a start without a device was not refused") }
    } catch { figures.failedStarts += 1 }
    figures.faults = figures.faults + device.faultCounts
    device.clearFaults()
    device.comeBack()
    // A flush may have failed: only a new start of the machine makes the device tell the truth.
    media.cutPower(SeededCrash(seed: how.seed &+ 2))
    ruling = .powerCut
    media = media.fork()
  }

  // MARK: Devices that return old

  /// A member as it was at least two superblocks ago is never taken for the true one.
  private func checkOldDevice(_ media: SimulatedMedia, seed: UInt64) {
    var fork = media.fork()
    let index = Int(seed % UInt64(fork.devices.count))
    // What the others know: a crash may have left the newest superblock on the true one alone.
    var others = fork.devices
    others.remove(at: index)
    let newest = PoolInspector.inspect(devices: others).superblock?.sequence ?? 0
    guard let old = earlierStarts.first, old.superblock + 2 <= newest else { return }
    var cut = old.media.fork()
    cut.cutPower(UniformCrash.allWhole)
    fork.devices[index] = cut.devices[index]
    figures.oldDevices += 1
    do throws(PoolOpeningError) {
      _ = try SimulatedServer(fork, seed: nextSeed)
      problems.append("device \(index) was taken although it is old")
    } catch {}
  }

  // MARK: Space

  /// Right after a start nothing is in quarantine: what is free is what a recount of the devices
  /// says, and the rest is used.
  private func checkSpace(_ server: SimulatedServer) {
    let totals = PoolInspector.inspect(devices: server.media().devices).totals
    let usage = server.pool.usage
    let data =
      totals.freeExtents * UInt64(StorageSizes.extentBytes)
      + UInt64(totals.freeSegments) << UInt64(server.pool.segmentShift + 12)
    // Nodes with two places count on both devices: each lent segment is a second place.
    let nodes = totals.freeNodes * 4096
    let fewest = data + (totals.lentSegments == totals.nodeSegments ? 2 * nodes : nodes)
    let most = data + (totals.lentSegments == 0 ? nodes : 2 * nodes)
    if usage.reclaimableBytes != 0 { problems.append("space is in quarantine after a start") }
    if usage.freeBytes < fewest || usage.freeBytes > most {
      problems.append(
        "\(usage.freeBytes) bytes are free, but \(fewest) to \(most) by a recount")
    }
    if usage.usedBytes + usage.freeBytes != usage.sizeBytes {
      problems.append("used and free are not the whole pool")
    }
  }
}
