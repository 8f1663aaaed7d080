import DiskSimulation
import PoolInspection
import VolumeEngine

/// Tries every crash state of a moment: recovers it, or tells from an equal recovery what would
/// come of it, and compares with what must be there.
final class CrashJudge {
  let bounds: ExplorationBounds
  let memory: ExplorationMemory
  let settings: ServerSettings
  let options: SimulatedMedia.Options
  var figures = ExplorationFigures()
  /// What is looked for where starts are cut off.
  var startSituations: [Situation] = []

  /// What is wrong with a state.
  struct Verdict {
    var path: [CrashStep]
    var problems: [String]
  }

  /// What may be found after each way to end.
  typealias Expected = [CrashEnding: RecoverableState]

  init(
    bounds: ExplorationBounds, memory: ExplorationMemory, settings: ServerSettings,
    options: SimulatedMedia.Options
  ) {
    self.bounds = bounds
    self.memory = memory
    self.settings = settings
    self.options = options
  }

  /// Judges every state of a moment; `path`: the crashes before.
  func judge(
    _ crashed: CrashedMedia, event: Int, _ expected: Expected, after path: [CrashStep] = []
  ) -> Verdict? {
    guard let wanted = expected[crashed.ending] else { return nil }
    figures.moments += 1
    var verdict: Verdict?
    var states = CrashStates(crashed.scene, bounds: bounds)
    states.forEach { choice in
      let prints = crashed.scene.fingerprints(of: choice)
      count(crashed, choice, isInner: !path.isEmpty)
      let whole = SeededRandom.mix(
        prints.whole ^ wanted.fingerprint ^ crashed.tailHash &* 3 ^ UInt64(path.count) << 17)
      guard memory.isNew(state: whole) else {
        figures.repeatedStates += 1
        return true
      }
      let step = CrashStep(event: event, ending: crashed.ending, choice: choice)
      verdict = judge(crashed, step, prints, whole, expected, wanted, after: path)
      return verdict == nil
    }
    figures.leftOutSubsets += states.leftOutSubsets
    figures.leftOutTorn += states.leftOutTorn
    return verdict
  }

  /// Judges one state alone, and one crash of its recovery where `inner` says so.
  func judge(
    only steps: [CrashStep], _ crashed: CrashedMedia, _ expected: Expected
  ) -> Verdict? {
    guard let step = steps.first, let wanted = expected[crashed.ending] else { return nil }
    if steps.count > 1 {
      return recoverCrashing(
        crashed, step, expected, after: [], only: Array(steps.dropFirst()))
    }
    let pool = recover(crashed, step.choice, depth: 0, isWhole: true)
    return look(pool, crashed, step, wanted, after: [])
  }

  private func count(_ crashed: CrashedMedia, _ choice: CrashChoice, isInner: Bool) {
    figures.states += 1
    if crashed.ending == .powerCut { figures.cutStates += 1 } else { figures.killStates += 1 }
    if isInner { figures.recoveryStates += 1 }
    if !choice.torn.isEmpty { figures.tornStates += 1 }
  }

  private func judge(
    _ crashed: CrashedMedia, _ step: CrashStep, _ prints: CrashScene.Fingerprints,
    _ whole: UInt64, _ expected: Expected, _ wanted: RecoverableState, after path: [CrashStep]
  ) -> Verdict? {
    let depth = path.count
    let key = SeededRandom.mix(
      prints.tables ^ crashed.tailHash &* 5 ^ UInt64(crashed.boot) << 48 ^ UInt64(depth) << 40)
    if let pool = memory.pool(key), isValid(pool, for: crashed.scene, step.choice) {
      figures.lookedUpStates += 1
      if bounds.sharingCheckShare > 0 && whole % bounds.sharingCheckShare == 0 {
        figures.checkedLookups += 1
        let own = recover(crashed, step.choice, depth: depth, isWhole: false)
        if own.volumes != pool.volumes || own.trashExpiry != pool.trashExpiry
          || own.problems != pool.problems
        {
          return Verdict(
            path: path + [step],
            problems: ["recovered otherwise than a state with the same tables"] + own.problems)
        }
      }
      return look(pool, crashed, step, wanted, after: path)
    }
    let isWhole = bounds.afterlifeShare > 0 && whole % bounds.afterlifeShare == 0
    let pool = recover(crashed, step.choice, depth: depth, isWhole: isWhole)
    if pool.isShareable {
      memory.keep(pool, as: key)
    } else {
      figures.unsharedRecoveries += 1
    }
    if let verdict = look(pool, crashed, step, wanted, after: path) { return verdict }
    // Told by the tables, and once for them: whichever worker comes first does it, and no more.
    guard bounds.recoveryCrashShare > 0, key % bounds.recoveryCrashShare == 0, path.isEmpty,
      memory.isNew(moment: SeededRandom.mix(key))
    else { return nil }
    return recoverCrashing(crashed, step, expected, after: path, only: nil)
  }

  /// Whether what a recovery read of pages that hosts can write is the same here.
  private func isValid(
    _ pool: RecoveredPool, for scene: CrashScene, _ choice: CrashChoice
  ) -> Bool {
    for (device, pages) in pool.zeroPages.enumerated() {
      for page in pages where scene.contents(device: device, page: page, choice) != nil {
        return false
      }
    }
    return true
  }

  private func look(
    _ pool: RecoveredPool, _ crashed: CrashedMedia, _ step: CrashStep,
    _ wanted: RecoverableState, after path: [CrashStep]
  ) -> Verdict? {
    var fingerprint: UInt64 = 0
    var problems = pool.problems
    if problems.isEmpty {
      problems = pool.violations(of: wanted, &fingerprint) {
        crashed.scene.contents(device: $0, page: $1, step.choice)
      }
    }
    if problems.isEmpty {
      if memory.isNew(contents: SeededRandom.mix(fingerprint)) { figures.distinctRecovered += 1 }
      return nil
    }
    return Verdict(path: path + [step], problems: problems)
  }

  // MARK: Recovery

  private func media(_ contents: [SparseBytes], _ crashed: CrashedMedia) -> SimulatedMedia {
    let devices = contents.indices.map {
      SimulatedDevice(
        name: "disk\($0)", sizeBytes: options.deviceBytes[$0],
        logicalBlockBytes: options.logicalBlockBytes, contents: contents[$0])
    }
    return SimulatedMedia(
      devices: devices, tail: crashed.tail.isEmpty ? options.emptyTail : crashed.tail,
      boot: crashed.boot)
  }

  /// Fresh random bits of a start; a later one draws others.
  private func seed(depth: Int) -> UInt64 { UInt64(depth + 2) << 8 }

  private func recover(
    _ crashed: CrashedMedia, _ choice: CrashChoice, depth: Int, isWhole: Bool
  ) -> RecoveredPool {
    figures.recoveries += 1
    let contents = crashed.scene.state(choice)
    let media = media(contents, crashed)
    for device in media.devices { device.notesPagesRead = true }
    var pool = RecoveredPool()
    pool.problems = media.inspect().map { "before recovery: \($0)" }
    guard pool.problems.isEmpty else { return pool }
    do {
      let server = try SimulatedServer(media, seed: seed(depth: depth), settings: settings)
      pool.problems += RecoveryAudit.problems(of: server)
      for device in media.devices { device.notesPagesRead = false }
      pool.isShareable = !media.devices.contains { $0.hasReadHostData }
      pool.zeroPages = media.devices.map { $0.zeroPagesRead.sorted() }
      pool.take(server, crashed: contents)
      if isWhole && pool.problems.isEmpty {
        figures.afterlives += 1
        pool.problems += RecoveryAudit.afterlife(
          of: server, as: pool, seed: seed(depth: depth) + 1, settings: settings)
      }
    } catch { pool.problems.append("cannot be opened: \(error)") }
    return pool
  }

  /// Recovers once more and cuts the recovery off at each of its events; `only`: at one of them,
  /// in one way.
  private func recoverCrashing(
    _ crashed: CrashedMedia, _ step: CrashStep, _ expected: Expected, after path: [CrashStep],
    only: [CrashStep]?
  ) -> Verdict? {
    figures.crashedRecoveries += 1
    let media = media(crashed.scene.state(step.choice), crashed)
    var verdict: Verdict?
    var event = 0
    var changes = -1
    let endings: [CrashEnding] = crashed.ending == .kill ? [.powerCut, .kill] : [.powerCut]
    let watch: (SimulatedDisks) -> Void = { [self] disks in
      event += 1
      let now = disks.devices.reduce(0) { $0 + $1.counts.writes + $1.counts.flushes }
      guard verdict == nil, now != changes || only != nil else { return }
      changes = now
      for situation in startSituations where situation.isThereInStart(disks) {
        figures.situations[situation.name, default: 0] += 1
      }
      for ending in endings where verdict == nil {
        let inner = CrashedMedia(disks, tail: crashed.tail, boot: crashed.boot, ending: ending)
        if let only {
          guard let first = only.first, first.event == event, first.ending == ending else {
            continue
          }
          verdict = judge(only: only, inner, expected).map {
            Verdict(path: path + [step] + $0.path, problems: $0.problems)
          }
        } else {
          verdict = judge(inner, event: event, expected, after: path + [step])
        }
      }
    }
    do {
      _ = try SimulatedServer(
        media, seed: seed(depth: path.count), settings: settings, watching: watch)
    } catch {
      return verdict ?? Verdict(path: path + [step], problems: ["cannot be opened: \(error)"])
    }
    return verdict
  }
}
