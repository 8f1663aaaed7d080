import CrashExploration
import Testing

/// Every I/O of short histories fails once, and some in every other way that they can; all of them
/// do in `lamina-prove fail-io`.
@Suite struct FailingIOTests {
  @Test(arguments: FailingHistory.all.map(\.name))
  func everyFailingIOIsToldRightlyAndLosesNothing(name: String) throws {
    let history = try #require(FailingHistory.named(name))
    let figures = try FailingIO(history).failAll(others: 4)
    for failure in figures.failures.prefix(5) {
      Issue.record("\(failure.failed.site): \(failure.problems.prefix(3)); \(failure.line)")
    }
    #expect(figures.failures.isEmpty)
  }

  /// Every place of the program that does I/O is among those that fail above.
  @Test func everySiteIsReached() throws {
    var reached: Set<IOSite> = []
    for history in FailingHistory.all {
      let failing = try FailingIO(history)
      for index in 0..<failing.count { reached.insert(failing.site(of: index)) }
    }
    let missed = Set(IOSite.allCases).subtracting(reached)
    #expect(missed.isEmpty)
  }
}
