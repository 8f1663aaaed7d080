import BlockIO
import DiskSimulation
import VolumeEngine

/// Fails each I/O of short histories in turn, in several ways, and looks what comes of it.
///
/// After each run: what hosts and the administrator were told is what the table says
/// (`FailureRule`), everything was answered, nothing that asks for durability succeeded after a
/// failed barrier, and the pool opens again with everything that it owes, after a kill and after
/// power cuts, and is without a finding when it is stopped then.
public struct FailingIO {
  /// How an I/O fails.
  public enum Mode: String, CaseIterable, Hashable, Sendable {
    /// It ends with EIO.
    case once
    /// It, and every later one of its kind on its device.
    case forGood = "for-good"
    /// A write or reservation ends with ENOSPC.
    case noSpace = "no-space"
    /// A read, and every later one of the same place.
    case badPlace = "bad-place"
  }

  /// An I/O of a history, and how it fails.
  public struct Case: Hashable, Sendable {
    public var history: String
    /// Which one, counted from 0 in order of submission.
    public var index: Int
    public var mode: Mode
    public var site: IOSite
  }

  public struct Failure: Hashable, Sendable {
    public var failed: Case
    public var problems: [String]
    /// Does this case alone again.
    public var line: String {
      "lamina-prove fail-io --history \(failed.history) --index \(failed.index) "
        + "--mode \(failed.mode.rawValue)"
    }
  }

  /// What was done.
  public struct Figures: Sendable {
    public var runs = 0
    /// How many I/Os of each site were made to fail, by mode.
    public var failed: [IOSite: [Mode: Int]] = [:]
    public var failures: [Failure] = []

    public init() {}

    public var sitesReached: Set<IOSite> { Set(failed.keys) }
    public var sitesMissed: [IOSite] { IOSite.allCases.filter { failed[$0] == nil } }

    public mutating func add(_ other: Figures) {
      runs += other.runs
      for (site, modes) in other.failed {
        for (mode, count) in modes { failed[site, default: [:]][mode, default: 0] += count }
      }
      failures += other.failures
    }
  }

  private let history: FailingHistory
  private let base: FailingRun.Base
  private let layout: PoolLayout
  private let visits: [SiteRecorder.Visit]

  /// A history goes wrong although nothing fails.
  public struct HistoryFailsAlone: Error {
    public var history: String
    public var problems: [String]
  }

  /// Runs the history once without a fault, to know its I/Os.
  public init(_ history: FailingHistory) throws {
    self.history = history
    base = try FailingRun.prepare(history)
    layout = try PoolLayout(
      base.media.devices.map { PoolLayout.Candidate(name: $0.name, sizeBytes: $0.sizeBytes) },
      options: FailingRun.layoutOptions(history))
    let run = FailingRun(history, base, layout: layout)
    run.perform()
    if !run.problems.isEmpty || run.session == nil {
      throw HistoryFailsAlone(history: history.name, problems: run.problems)
    }
    visits = run.recorder.visits
  }

  /// How many I/Os the history does.
  public var count: Int { visits.count }

  public func site(of index: Int) -> IOSite { visits[index].site }

  /// Whether an I/O can fail so.
  public func isPossible(_ mode: Mode, at index: Int) -> Bool {
    switch (mode, visits[index].operation) {
    case (.once, _), (.forGood, _): true
    case (.noSpace, .write), (.noSpace, .reserveSpace), (.badPlace, .read): true
    case (.noSpace, _), (.badPlace, _): false
    }
  }

  /// Lets the I/O fail; nil if nothing is wrong.
  public func fail(_ index: Int, _ mode: Mode) -> Failure? {
    let visit = visits[index]
    let run = FailingRun(history, base, layout: layout)
    run.media.devices[visit.device].inject(fault(index, mode))
    run.perform()
    var problems = run.problems
    if run.recorder.visits.count <= index || run.recorder.visits[index] != visit {
      problems.append("the run was not the same up to the failure")
    }
    switch mode {
    case .once, .noSpace:
      let rule = FailureRule.rule(
        of: visit.site, hasTwoPlaces: history.hasTwoPlaces, lacksSpace: mode == .noSpace)
      problems += run.judge(rule, at: visit.site)
    case .forGood, .badPlace: break
    }
    problems += run.recover(seed: UInt64(index) << 8 | 1)
    guard !problems.isEmpty else { return nil }
    return Failure(
      failed: Case(history: history.name, index: index, mode: mode, site: visit.site),
      problems: problems)
  }

  private func fault(_ index: Int, _ mode: Mode) -> DeviceFault {
    let visit = visits[index]
    let errno = mode == .noSpace ? SimulatedErrno.noSpace : SimulatedErrno.inputOutput
    if mode == .badPlace {
      let place = visit.offset..<visit.offset + 4096
      let earlier = visits[..<index].count {
        $0.device == visit.device && $0.operation == .read && $0.offset < place.upperBound
          && place.lowerBound < $0.offset + UInt64($0.length)
      }
      return DeviceFault(
        .error(errno: errno), on: .read, number: earlier + 1, isForGood: true, within: place)
    }
    return DeviceFault(
      .error(errno: errno), on: visit.operation, number: visit.number,
      isForGood: mode == .forGood)
  }

  /// Fails every `stride`-th I/O: once, and one in `others` of them in the other ways as well.
  public func failAll(stride: Int = 1, from first: Int = 0, others: Int = 1) -> Figures {
    var figures = Figures()
    for index in Swift.stride(from: first, to: count, by: stride) {
      let modes = index % others == 0 ? Mode.allCases : [.once]
      for mode in modes where isPossible(mode, at: index) {
        figures.runs += 1
        figures.failed[site(of: index), default: [:]][mode, default: 0] += 1
        if let failure = fail(index, mode) { figures.failures.append(failure) }
      }
    }
    return figures
  }
}
