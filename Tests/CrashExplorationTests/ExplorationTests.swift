import CrashExploration
import Glibc
import Testing

/// Every history and every crash state within bounds, on all cores.
@Suite(.serialized) struct ExplorationTests {
  private static let cores = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))

  @Test func noCrashOfAnyHistoryLosesWhatWasPromised() async throws {
    let family = try #require(ExplorationFamily.named("every-history"))
    var bounds = ExplorationBounds()
    // The families cut off more starts.
    bounds.recoveryCrashShare = 512
    let result = await Exploration([family], bounds: bounds).run(threads: Self.cores)
    print("every-history\n\(result.figures)")
    #expect(result.failure == nil, "\(String(describing: result.failure))")
    #expect(result.isComplete)
    #expect(result.figures.states >= 1_000_000)
    #expect(result.figures.distinctRecovered > 1000)
    #expect(result.figures.checkedLookups > 100)
  }

  /// Each family reaches what it is about, and nothing is lost there.
  @Test(arguments: ExplorationFamily.all.map(\.name).filter { $0 != "every-history" })
  func everyFamilyReachesItsSituation(name: String) async throws {
    let family = try #require(ExplorationFamily.named(name))
    let result = await Exploration([family], bounds: ExplorationBounds()).run(
      threads: Self.cores)
    print("\(name)\n\(result.figures)")
    #expect(result.failure == nil, "\(String(describing: result.failure))")
    #expect(result.isComplete)
    #expect(!family.situations.isEmpty)
    for situation in family.situations {
      #expect(result.figures.situations[situation.name, default: 0] > 0, "\(situation.name)")
    }
  }

  /// A single device has one journal and one place for each table; sectors of 4 KiB make a write of
  /// less a read and a write.
  @Test(arguments: [
    "write-during-barrier", "torn-journal", "sub-block-writes", "late-read", "shared-root",
    "torn-group", "snapshot-beside-writes",
  ])
  func familiesReachTheirSituationsOnOtherDevices(name: String) async throws {
    let family = try #require(ExplorationFamily.named(name))
    for geometry in DeviceGeometry.all where geometry != .usual {
      let other = try #require(family.on(geometry))
      #expect(ExplorationFamily.named(other.name)?.name == other.name)
      let result = await Exploration([other], bounds: ExplorationBounds()).run(
        threads: Self.cores)
      print("\(other.name)\n\(result.figures)")
      #expect(result.failure == nil, "\(String(describing: result.failure))")
      #expect(result.isComplete)
      for situation in family.situations {
        #expect(result.figures.situations[situation.name, default: 0] > 0, "\(situation.name)")
      }
    }
  }

  // MARK: The exploration itself

  @Test func theSameBoundsGiveTheSameHistoriesToTheByte() async throws {
    let family = try #require(ExplorationFamily.named("write-during-barrier"))
    var bounds = ExplorationBounds()
    bounds.operations = 3
    let one = await Exploration([family], bounds: bounds).run(threads: 1)
    let again = await Exploration([family], bounds: bounds).run(threads: 1)
    let many = await Exploration([family], bounds: bounds).run(threads: 3)
    #expect(one.figures == again.figures)
    #expect(one.figures.logHash != 0)
    #expect(many.figures.logHash == one.figures.logHash)
    #expect(many.figures.states == one.figures.states)
    #expect(many.figures.distinctRecovered == one.figures.distinctRecovered)
  }

  @Test func anExplorationGoesOnWhereItWasInterrupted() async throws {
    let family = try #require(ExplorationFamily.named("fua-after-discard"))
    var bounds = ExplorationBounds()
    bounds.operations = 2
    let whole = await Exploration([family], bounds: bounds).run(threads: 1)
    let path = "/tmp/lamina-exploration-\(getpid())"
    defer { unsafe unlink(path) }
    let opened = try ExplorationStateFile.open(path, bounds: bounds)
    #expect(opened.done.isEmpty)
    let interrupted = Exploration([family], bounds: bounds)
    let first = await interrupted.run(threads: 1) { unit, figures in
      opened.file.append(unit: unit.name, figures)
      interrupted.cancel()
    }
    #expect(!first.isComplete)
    // The process dies while it appends a line.
    try appendText("fua-after-discard/1,", to: path)
    let reopened = try ExplorationStateFile.open(path, bounds: bounds)
    #expect(reopened.done.count == 1)
    let resumed = Exploration([family], bounds: bounds, done: reopened.done)
    #expect(resumed.state.historiesDone > 0)
    let rest = await resumed.run(threads: 1) { reopened.file.append(unit: $0.name, $1) }
    #expect(rest.isComplete)
    #expect(rest.historiesRun < whole.historiesRun)
    #expect(rest.figures.histories == whole.figures.histories)
    #expect(rest.figures.logHash == whole.figures.logHash)
    #expect(rest.figures.situations == whole.figures.situations)
    let last = try ExplorationStateFile.open(path, bounds: bounds)
    #expect(last.done.count == resumed.units.count)
    bounds.tornWrites = 2
    #expect(throws: ExplorationStateFile.Problem.otherBounds(path)) {
      _ = try ExplorationStateFile.open(path, bounds: bounds)
    }
  }

  private func appendText(_ text: String, to path: String) throws {
    let descriptor = unsafe open(path, O_WRONLY | O_APPEND)
    try #require(descriptor >= 0)
    let bytes = Array(text.utf8)
    let written = unsafe bytes.withUnsafeBytes {
      unsafe write(descriptor, $0.baseAddress, $0.count)
    }
    #expect(written == bytes.count)
    #expect(close(descriptor) == 0)
  }
}
