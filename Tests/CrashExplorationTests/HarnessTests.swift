import BlockIO
import CrashExploration
import DiskSimulation
import StorageUnits
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

  /// One barrier is missing and all others are there.
  @Test(arguments: [1, 2, 3])
  func oneFlushThatLiesIsNoticed(number: Int) async throws {
    let failure = try await explore("every-history", operations: 2) {
      for device in $0.devices {
        device.inject(DeviceFault(.lyingFlush, on: .flush, number: number))
      }
    }.failure
    #expect(failure != nil)
  }

  /// On a single device the barrier between the data and the records that name it does nothing, and
  /// the next one makes both durable: only their order is lost.
  @Test func recordsThatOvertakeTheirDataAreNoticed() async throws {
    let failure = try await explore("write-during-barrier-on-1x512", operations: 3) {
      for number in stride(from: 1, to: 40, by: 2) {
        $0.devices[0].inject(DeviceFault(.lyingFlush, on: .flush, number: number))
      }
    }.failure
    #expect(failure != nil)
  }

  @Test func aBitThatFlipsAtRestIsNoticed() async throws {
    let failure = try await explore("every-history", operations: 2) {
      for device in $0.devices {
        for page in 0..<device.sizeBytes >> 12
        where device.visibleContents[page]?.isHostData == true {
          device.rot(at: DeviceByteOffset(page << 12 + 100), bit: 3)
        }
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
