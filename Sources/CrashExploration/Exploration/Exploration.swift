import Synchronization

/// Explores families on all cores. Histories are handed out in units: those that begin with the
/// same one or two operations.
public final class Exploration: Sendable {
  public let bounds: ExplorationBounds
  public let units: [ExplorationUnit]
  private let memory: ExplorationMemory
  private let progress: Mutex<ExplorationProgress>
  private let reporting = Mutex(())

  /// `done`: units that an earlier run has finished, with their figures.
  public init(
    _ families: [ExplorationFamily] = ExplorationFamily.all, bounds: ExplorationBounds,
    done: [String: ExplorationFigures] = [:]
  ) {
    self.bounds = bounds
    units = families.flatMap { ExplorationUnit.all(of: $0, bounds: bounds) }
    memory = ExplorationMemory()
    progress = Mutex(ExplorationProgress(units: units, done: done))
  }

  /// How far it is.
  public var state: ExplorationProgress { progress.withLock { $0 } }

  /// Ends the exploration before its time; units in work are not counted as done.
  public func cancel() { progress.withLock { $0.isCancelled = true } }

  /// Explores on so many threads; returns when all units are done, or at the first failure.
  /// `unitDone` is called from those threads, one at a time.
  public func run(
    threads: Int,
    unitDone: @escaping @Sendable (ExplorationUnit, ExplorationFigures) -> Void = {
      _, _ in
    }
  ) async -> ExplorationProgress {
    await WorkerThreads.run(count: threads) { [self] in work(unitDone) }
    return state
  }

  private func work(_ unitDone: @Sendable (ExplorationUnit, ExplorationFigures) -> Void) {
    var explorer: HistoryExplorer?
    while let unit = progress.withLock({ $0.take() }) {
      do {
        if explorer?.family.name != unit.family.name {
          explorer = try HistoryExplorer(
            unit.family, bounds: unit.bounds(bounds), memory: memory)
        }
        guard let explorer else { return }
        explorer.judge.figures = ExplorationFigures()
        guard try explore(unit, explorer) else { return }
        let figures = explorer.judge.figures
        progress.withLock { $0.finish(unit, figures) }
        reporting.withLock { _ in unitDone(unit, figures) }
      } catch {
        let failure = ExplorationFailure(
          family: unit.family.name, history: unit.prefix, operations: [], path: [],
          problems: ["\(error)"])
        progress.withLock { $0.fail(failure) }
        return
      }
    }
  }

  /// False if the exploration is over.
  private func explore(_ unit: ExplorationUnit, _ explorer: HistoryExplorer) throws -> Bool {
    var goesOn = true
    try unit.forEachHistory(bounds: bounds) { history in
      let before = explorer.judge.figures
      if let failure = try explorer.explore(history) {
        progress.withLock { $0.fail(failure) }
        goesOn = false
        return false
      }
      let after = explorer.judge.figures
      goesOn = progress.withLock {
        $0.note(histories: 1, states: after.states - before.states)
      }
      return goesOn
    }
    return goesOn
  }
}

extension Exploration {
  /// Explores one history, and of it one crash alone where `crash` says so.
  public static func explore(
    _ family: ExplorationFamily, history: [Int], crash: [CrashStep]?, bounds: ExplorationBounds
  ) throws -> (figures: ExplorationFigures, failure: ExplorationFailure?) {
    var bounds = bounds
    family.adjust(&bounds)
    let explorer = try HistoryExplorer(family, bounds: bounds, memory: ExplorationMemory())
    let failure = try explorer.explore(history, only: crash)
    return (explorer.judge.figures, failure)
  }
}
