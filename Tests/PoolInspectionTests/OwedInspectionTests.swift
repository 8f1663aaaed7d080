import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import Testing

@testable import PoolInspection

/// Owed discards as the inspection finds them: lists of `PoolCore` are sound and counted, and each
/// field that is wrong is found.
@Suite struct OwedInspectionTests {
  private static func pool() throws -> (test: PoolOnDevices, volume: VolumeSlot) {
    let test = try PoolOnDevices(
      segments: [200, 100], shift: 5,
      bounds: PoolBounds(
        nodeCacheBytes: 256 * 4096, dirtyNodeBytes: 100 * 4096, countDeltaBytes: 1 << 20))
    try test.checkpoint()
    let volume = try #require(try test.create("v", sizeBytes: 1 << 30, uuid: 5))
    return (test, volume)
  }

  private static func range(_ volume: UInt64, _ blocks: Range<UInt64>) -> OwedRange {
    OwedRange(
      volume: VolumeID(volume), firstBlock: blocks.lowerBound, blockCount: UInt64(blocks.count))
  }

  @Test(arguments: 1...3 as ClosedRange<UInt64>)
  func everyCheckpointWithOwedDiscardsIsASoundPool(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let (test, volume) = try Self.pool()
    let id = test.pool.record(of: volume).id.number
    var most = 0
    for round in 0..<30 {
      for _ in 0..<10 {
        let first = UInt64(random.below(1 << 18 - 64))
        let range = Self.range(id, first..<first + 1 + UInt64(random.below(60)))
        if random.oneIn(3) {
          if let old = test.pool.owedRanges.first { test.pool.applySettle(old) }
        } else if test.pool.canOwe(range) {
          test.pool.applyOwe(range)
        }
      }
      test.finishBatch()
      try test.checkpoint()
      test.releaseFreed()
      most = max(most, test.pool.owedRanges.count)
      #expect(test.inspect().findings == [], "seed \(seed), round \(round)")
    }
    #expect(most > 20)
  }

  /// What the inspection finds of a list whose ranges are these.
  private static func problems(_ ranges: [OwedRange]) throws -> [InspectionProblem] {
    let (test, volume) = try pool()
    let id = test.pool.record(of: volume).id.number
    #expect(id == 1)
    let request = Pool.SnapshotRequest(
      source: volume, name: "s", uuid: StorageUUID(high: 5, low: 6), createdAt: 3)
    try test.pool.prepareSnapshots([request])
    _ = test.pool.applySnapshots([request])
    test.finishBatch()
    try test.checkpoint()
    let inspector = PoolInspector(devices: test.devices)
    inspector.volumes = test.pool.volumeSlots.map { test.pool.record(of: $0) }
    inspector.checkOwed(ranges)
    return inspector.report.findings.map(\.problem)
  }

  @Test func eachFieldThatIsWrongIsFound() throws {
    let end: UInt64 = 1 << 18
    #expect(try Self.problems([Self.range(1, 0..<5), Self.range(1, 6..<end)]) == [])
    #expect(
      try Self.problems([Self.range(1, 0..<5), Self.range(1, 5..<6)]) == [.owedOrder(5)])
    #expect(
      try Self.problems([Self.range(1, 9..<12), Self.range(1, 5..<6)]) == [.owedOrder(5)])
    #expect(try Self.problems([Self.range(1, 9..<end + 1)]) == [.owedBeyondEnd(9)])
    #expect(try Self.problems([Self.range(2, 0..<1)]) == [.owedOnSnapshot])
    #expect(try Self.problems([Self.range(3, 0..<1)]) == [.owedWithoutVolume(VolumeID(3))])
  }
}
