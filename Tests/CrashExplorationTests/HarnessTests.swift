import BlockIO
import CrashExploration
import DiskSimulation
import Testing

/// What the exploration must notice, or else it proves nothing.
@Suite struct HarnessTests {
  private func explore(
    _ name: String, operations: Int, _ damage: @escaping @Sendable (SimulatedDisks) -> Void
  ) async throws -> (family: ExplorationFamily, failure: ExplorationFailure?) {
    var family = try #require(ExplorationFamily.named(name))
    family.damage = damage
    var bounds = ExplorationBounds()
    bounds.operations = operations
    return (family, await Exploration([family], bounds: bounds).run(threads: 1).failure)
  }

  @Test(arguments: [0, 1])
  func aDeviceThatLiesAboutFlushingIsNoticed(device: Int) async throws {
    let failure = try await explore("every-history", operations: 2) {
      $0.devices[device].inject(DeviceFault(.lyingFlush, on: .flush, number: 1, isForGood: true))
    }.failure
    #expect(failure != nil)
  }

  @Test func aDeviceThatLosesAWriteIsNoticed() async throws {
    let failure = try await explore("every-history", operations: 2) {
      for device in $0.devices {
        device.inject(DeviceFault(.lostWrite, on: .write, number: 1))
      }
    }.failure
    #expect(failure != nil)
  }

  @Test func aWriteThatLandsElsewhereIsNoticed() async throws {
    let failure = try await explore("every-history", operations: 2) {
      for device in $0.devices {
        device.inject(
          DeviceFault(.misdirectedWrite(byBytes: 8192), on: .write, number: 1))
      }
    }.failure
    #expect(failure != nil)
  }

  @Test func aLateWriteDoesHarmWithoutTheFence() async throws {
    let family = ExplorationFamily.lateWrite(hasFence: false)
    let result = await Exploration([family], bounds: ExplorationBounds()).run(threads: 1)
    #expect(result.failure?.problems.isEmpty == false)
  }

  /// The line that a failure prints finds the same failure, without all the others.
  @Test func aFailureIsFoundAgainByItsLine() async throws {
    let (family, failure) = try await explore("every-history", operations: 2) {
      $0.devices[0].inject(DeviceFault(.lyingFlush, on: .flush, number: 1, isForGood: true))
    }
    let found = try #require(failure)
    #expect(!found.path.isEmpty)
    let text = found.path.map(\.description).joined(separator: "/")
    let path = try #require(CrashStep.path(text))
    #expect(path == found.path)
    let again = try Exploration.explore(
      family, history: found.history, crash: path, bounds: ExplorationBounds())
    #expect(again.failure?.problems == found.problems)
    #expect(again.failure?.path == found.path)
  }
}
