import ArgumentParser
import CrashExploration
import Glibc

/// Explores every history and every crash state within bounds.
struct ExploreCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explore",
    abstract: "Tries every crash state of every history within bounds.",
    discussion: """
      Histories are those of named families; `--list` shows them. A failure prints the history, \
      the crash and one line that does exactly that again, and the exit code is 1. Bounds change \
      what is looked at, and with it what a crash of a failure's line means: give it the same ones.
      """)

  @Flag(help: "List the families and end.")
  var list = false
  @Option(help: "Explore this family only; may be given several times.")
  var family: [String] = []
  @Option(help: "Explore on so many devices: 1 or 2.")
  var devices = 2
  @Option(help: "Sectors of the devices, in bytes: 512 or 4096.")
  var sector = 512
  @Option(help: "Operations of a history at most.")
  var operations: Int?
  @Option(help: "Torn writes of one crash state at most.")
  var torn = 1
  @Option(help: "Try every subset of so many volatile writes or fewer.")
  var allSubsets: Int?
  @Option(help: "Of more: subsets that keep or lose at most so many.")
  var subsetSize: Int?
  @Option(help: "Of more: seeded subsets besides.")
  var samples: Int?
  @Option(help: "Cut off one of so many recoveries at each of its events; 0: none.")
  var recoveryCrashes: UInt64?
  @Option(help: "Recover again, empty and count one of so many recovered pools; 0: none.")
  var afterlives: UInt64?
  @Option(help: "Of the seeded subsets.")
  var seed: UInt64 = 1
  @Option(help: "Threads; as many as there are cores if not given.")
  var threads: Int?
  @Option(help: "Keep in this file what is done, and go on from there.")
  var state: String?
  @Flag(help: "Report progress also where standard error is no terminal.")
  var progress = false
  @Option(help: "Run this history of the family alone: the choice at each place.")
  var history: String?
  @Option(help: "Of that history, this crash alone.")
  var crash: String?

  private var bounds: ExplorationBounds {
    var bounds = ExplorationBounds()
    bounds.operations = operations
    bounds.tornWrites = torn
    if let allSubsets { bounds.fullSubsetWrites = allSubsets }
    if let subsetSize { bounds.subsetSize = subsetSize }
    if let samples { bounds.samples = samples }
    if let recoveryCrashes { bounds.recoveryCrashShare = recoveryCrashes }
    if let afterlives { bounds.afterlifeShare = afterlives }
    bounds.seed = seed
    return bounds
  }

  private var geometry: DeviceGeometry {
    DeviceGeometry(devices: devices, sectorBytes: sector)
  }

  func validate() throws {
    for name in family where ExplorationFamily.named(name) == nil {
      throw ValidationError("there is no family \(name): --list shows them")
    }
    guard operations ?? 1 >= 1, torn >= 0, allSubsets ?? 1 >= 0, allSubsets ?? 1 <= 20,
      subsetSize ?? 1 >= 0, samples ?? 1 >= 0, threads ?? 1 >= 1
    else { throw ValidationError("a bound is out of its range") }
    guard DeviceGeometry.all.contains(geometry) else {
      throw ValidationError("--devices is 1 or 2, --sector 512 or 4096")
    }
    for name in family where ExplorationFamily.named(name)?.on(geometry) == nil {
      throw ValidationError("the family \(name) needs two devices")
    }
    if history != nil && family.count != 1 {
      throw ValidationError("--history needs one --family")
    }
    if crash != nil && history == nil { throw ValidationError("--crash needs a --history") }
    if let crash, CrashStep.path(crash) == nil {
      throw ValidationError("\(crash) is not a crash as failures print it")
    }
  }

  mutating func run() async throws {
    let chosen =
      family.isEmpty ? ExplorationFamily.all : family.compactMap { ExplorationFamily.named($0) }
    let families = chosen.compactMap { $0.on(geometry) }
    if list {
      for family in families { print("\(family.name): \(family.summary)") }
      return
    }
    if let history, let only = families.first { return try rerun(only, history) }
    var done: [String: ExplorationFigures] = [:]
    var file: ExplorationStateFile?
    if let state {
      let opened = try ExplorationStateFile.open(state, bounds: bounds)
      done = opened.done
      file = opened.file
    }
    let exploration = Exploration(families, bounds: bounds, done: done)
    let reporter = ProgressReporter(exploration, isWanted: progress)
    reporter.start()
    let written = file
    let result = await exploration.run(threads: threads ?? coreCount) { unit, figures in
      written?.append(unit: unit.name, figures)
    }
    reporter.stop()
    report(result)
    if let problem = file?.problem {
      print("\(state ?? "") could not be written: errno \(problem)")
      throw ExitCode(1)
    }
    if result.failure != nil { throw ExitCode(1) }
  }

  private var coreCount: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }

  private func report(_ result: ExplorationProgress) {
    for name in result.byFamily.keys.sorted() {
      guard let figures = result.byFamily[name] else { continue }
      print(
        "\(name): \(figures.histories) histories, \(figures.states) crash states, "
          + "\(figures.recoveries) recoveries")
      for (situation, count) in figures.situations.sorted(by: { $0.key < $1.key }) {
        print("  \(situation): \(count) times")
      }
    }
    print(result.figures)
    if let failure = result.failure { print("FAILED\n\(failure)") }
  }

  private func rerun(_ family: ExplorationFamily, _ history: String) throws {
    let choices = history.split(separator: ",").compactMap { Int($0) }
    guard !choices.isEmpty, choices.count <= family.places.count,
      zip(choices, family.places).allSatisfy({ $1.indices.contains($0) })
    else { throw ValidationError("\(history) is not a history of \(family.name)") }
    let result = try Exploration.explore(
      family, history: choices, crash: crash.flatMap { CrashStep.path($0) }, bounds: bounds)
    print(result.figures)
    if let failure = result.failure {
      print("FAILED\n\(failure)")
      throw ExitCode(1)
    }
  }
}
