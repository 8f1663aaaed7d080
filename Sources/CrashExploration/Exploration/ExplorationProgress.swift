/// How far an exploration is.
public struct ExplorationProgress: Sendable {
  public private(set) var figures = ExplorationFigures()
  /// The same, family by family.
  public private(set) var byFamily: [String: ExplorationFigures] = [:]
  public private(set) var failure: ExplorationFailure?
  public let histories: Int
  /// Finished ones, those of units in work and of earlier runs included.
  public private(set) var historiesDone = 0
  /// Of this run alone.
  public private(set) var historiesRun = 0
  public private(set) var statesRun = 0
  public var isCancelled = false
  private var waiting: [ExplorationUnit]
  private var next = 0

  init(units: [ExplorationUnit], done: [String: ExplorationFigures]) {
    histories = units.reduce(0) { $0 + $1.historyCount }
    waiting = units.filter { done[$0.name] == nil }
    for unit in units {
      guard let earlier = done[unit.name] else { continue }
      add(unit, earlier)
      historiesDone += unit.historyCount
    }
  }

  public var isComplete: Bool { failure == nil && !isCancelled && historiesDone == histories }

  private mutating func add(_ unit: ExplorationUnit, _ more: ExplorationFigures) {
    figures += more
    byFamily[unit.family.name, default: ExplorationFigures()] += more
  }

  mutating func take() -> ExplorationUnit? {
    guard failure == nil, !isCancelled, next < waiting.count else { return nil }
    next += 1
    return waiting[next - 1]
  }

  mutating func finish(_ unit: ExplorationUnit, _ figures: ExplorationFigures) {
    add(unit, figures)
  }

  /// False if the exploration is over.
  mutating func note(histories: Int, states: Int) -> Bool {
    historiesDone += histories
    historiesRun += histories
    statesRun += states
    return failure == nil && !isCancelled
  }

  mutating func fail(_ failure: ExplorationFailure) {
    if self.failure == nil { self.failure = failure }
  }
}
