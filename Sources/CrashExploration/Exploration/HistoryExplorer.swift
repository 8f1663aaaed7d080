import BlockExport
import BlockIO
import DiskSimulation
import StorageUnits
import VolumeEngine

/// Runs the histories of one family, each from the start, and judges every crash after its last
/// operation was issued. What comes before belongs to the shorter histories.
final class HistoryExplorer {
  let family: ExplorationFamily
  let judge: CrashJudge
  private let prepared: PreparedPool
  private let memory: ExplorationMemory

  private static let seed: UInt64 = 1
  private static let budgetOfEvents = 20_000

  init(_ family: ExplorationFamily, bounds: ExplorationBounds, memory: ExplorationMemory) throws {
    self.family = family
    self.memory = memory
    prepared = try PreparedPool(family)
    judge = CrashJudge(
      bounds: bounds, memory: memory, settings: family.settings, options: family.media)
    judge.startSituations = family.situations
  }

  /// Explores one history: the choice at each place. `only`: that crash alone.
  func explore(_ history: [Int], only: [CrashStep]? = nil) throws -> ExplorationFailure? {
    let run = try Run(self, history, only: only)
    let isPossible = run.play()
    // The session knows the run no longer.
    run.server.atEvent = {}
    if isPossible { judge.figures.histories += 1 } else { judge.figures.impossibleHistories += 1 }
    return run.failure
  }

  /// One history being played.
  private final class Run {
    let explorer: HistoryExplorer
    let history: [Int]
    let only: [CrashStep]?
    let server: SimulatedServer
    let session: HostSession
    var failure: ExplorationFailure?
    private var event = 0
    private var isArmed = false
    private var earlier: SimulatedMedia?
    private var expected: CrashJudge.Expected = [:]
    private var expectedAt: UInt64?
    private var log: UInt64 = 0

    init(_ explorer: HistoryExplorer, _ history: [Int], only: [CrashStep]?) throws {
      self.explorer = explorer
      self.history = history
      self.only = only
      server = try SimulatedServer(
        explorer.prepared.media.fork(), seed: HistoryExplorer.seed,
        settings: explorer.family.settings)
      server.completionOrder = explorer.family.order
      server.disks.keepsLog = true
      explorer.family.damage?(server.disks)
      session = HostSession(server, explorer.prepared.expectation, firstName: 1000)
      if explorer.family.toleratesNoSpace { session.toleratedErrors = [.noSpace] }
      server.atEvent = { [unowned self] in happened() }
    }

    /// False if an operation was not possible.
    func play() -> Bool {
      for (place, choice) in history.enumerated() {
        let step = explorer.family.places[place][choice]
        if place > 0 { wait(for: step.timing) }
        guard step.operation.isPossible(in: session) else { return false }
        if place == history.count - 1 {
          isArmed = true
          if explorer.family.aftermath != nil { earlier = server.media() }
        }
        step.operation.issue(in: session)
        server.turn()
        if failure != nil { return true }
      }
      server.settle()
      // The last answers came after the last event.
      moment()
      finish()
      return true
    }

    private func wait(for timing: HistoryStep.Timing) {
      switch timing {
      case .settled: server.settle()
      case .after(let completions):
        for _ in 0..<completions where !server.completeOne() { return }
      case .beforeHostReads: server.settleAllButHostReads()
      }
    }

    private func finish() {
      if server.disks.overlappingWrites > 0 { session.note(problem: "writes overlap in flight") }
      if server.disks.changedBuffers > 0 { session.note(problem: "a buffer changed in flight") }
      if failure == nil && !session.problems.isEmpty { fail([], session.problems) }
      explorer.judge.figures.logHash &+= SeededRandom.mix(log)
    }

    private func happened() {
      event += 1
      if let last = server.disks.log.last { note(last) }
      precondition(event < HistoryExplorer.budgetOfEvents, "a history does not end")
      guard isArmed, failure == nil else { return }
      explorer.judge.figures.events += 1
      if let last = server.disks.log.last {
        let now = HistoryMoment(session: session, event: last)
        for situation in explorer.family.situations where situation.isThere(now) {
          explorer.judge.figures.situations[situation.name, default: 0] += 1
        }
      }
      moment()
    }

    private func note(_ event: IOEvent) {
      func add(_ value: UInt64) { log = SeededRandom.mix(log &+ value) }
      add(UInt64(event.phase.rawValue) << 8 | UInt64(event.operation.rawValue))
      add(UInt64(event.device.index))
      add(event.offset.bytes)
      add(UInt64(event.length))
      add(server.disks.devices[Int(event.device.index)].visibleContents.fingerprint)
    }

    /// Judges what a crash now would leave.
    private func moment() {
      guard failure == nil else { return }
      if let only, only.first?.event != event { return }
      updateExpected()
      for ending in explorer.family.endings where failure == nil {
        let crashed = CrashedMedia(
          server.disks, tail: server.tailBytes, boot: server.boot, ending: ending)
        judge(crashed)
      }
      if only == nil { tryAftermath() }
    }

    private func tryAftermath() {
      guard failure == nil, let aftermath = explorer.family.aftermath, let earlier else { return }
      let (isReached, problems) = aftermath.run(
        AftermathMoment(
          session: session, before: explorer.prepared.media, earlier: earlier,
          settings: explorer.family.settings))
      if isReached { explorer.judge.figures.situations[aftermath.name, default: 0] += 1 }
      if !problems.isEmpty {
        fail([], problems.map { "\(aftermath.name), at event \(event): \($0)" })
      }
    }

    private func judge(_ crashed: CrashedMedia) {
      let judge = explorer.judge
      if let only {
        guard only.first?.ending == crashed.ending else { return }
        if let verdict = judge.judge(only: only, crashed, expected) {
          fail(verdict.path, verdict.problems)
        }
        return
      }
      let key = SeededRandom.mix(
        crashed.scene.identity ^ crashed.tailHash
          ^ (expected[crashed.ending]?.fingerprint ?? 0))
      guard explorer.memory.isNew(moment: key) else {
        judge.figures.repeatedMoments += 1
        return
      }
      if let verdict = judge.judge(crashed, event: event, expected) {
        fail(verdict.path, verdict.problems)
      }
    }

    private func updateExpected() {
      let model = session.expectation
      let version = model.model.changes &+ model.changes << 32
      if expectedAt == version { return }
      expectedAt = version
      for ending in CrashEnding.allCases {
        expected[ending] = RecoverableState(model, after: ending)
      }
    }

    private func fail(_ path: [CrashStep], _ problems: [String]) {
      failure = ExplorationFailure(
        family: explorer.family.name, history: history,
        operations: zip(explorer.family.places, history).map { "\($0[$1])" }, path: path,
        problems: problems)
    }
  }
}
