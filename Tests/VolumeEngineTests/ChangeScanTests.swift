import BlockExport
import BlockIO
import DiskSimulation
import PoolCore
import StorageUnits
import Testing

@testable import VolumeEngine

/// What changed between volumes and snapshots, found in the background while hosts work.
@Suite struct ChangeScanTests {
  private static func snapshot(
    _ rig: EngineRig, _ volume: VolumeID, _ name: String
  ) throws -> VolumeID {
    let order = SnapshotOrder(
      source: volume, name: name, uuid: StorageUUID(high: 4, low: 4), createdAt: 1)
    let result = rig.manage { $0.createSnapshots([order], token: $1) }
    guard case .branched(let ids) = result else { throw ExportError.invalidRequest }
    return try #require(ids.first)
  }

  /// The answer of a scan, nil as long as it runs.
  private final class Answer {
    var result: Result<ChangePage, ExportError>?
  }

  private static func begin(_ rig: EngineRig, _ query: ChangeQuery) -> Answer {
    let answer = Answer()
    rig.engine.begin(ChangeScan(query) { answer.result = $0 })
    return answer
  }

  private static func changes(_ rig: EngineRig, _ query: ChangeQuery) throws -> ChangePage {
    let answer = begin(rig, query)
    rig.settle()
    return try #require(answer.result).get()
  }

  private static func hole(_ offset: UInt64, _ length: UInt64) -> ChangedRange {
    ChangedRange(offset: offset, length: length, isHole: true)
  }
  private static func data(_ offset: UInt64, _ length: UInt64) -> ChangedRange {
    ChangedRange(offset: offset, length: length, isHole: false)
  }

  @Test func writesAndDiscardsAreFoundInOrderAndMerged() throws {
    let rig = EngineRig()
    let v = rig.createVolume(size: 64 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 512 << 10)) == nil)
    let a = try Self.snapshot(rig, v, "a")
    #expect(rig.write(v, at: 61440, pattern(2, 8192)) == nil)
    #expect(rig.run(.discard, v, at: 128 << 10, length: 64 << 10) == nil)
    #expect(rig.write(v, at: 40 << 20, pattern(3, 4096)) == nil)
    let b = try Self.snapshot(rig, v, "b")
    #expect(rig.write(v, at: 200 << 10, pattern(4, 512)) == nil)
    let last = Self.data(200 << 10, 4096)
    let first = [
      Self.data(61440, 8192), Self.hole(128 << 10, 64 << 10), Self.data(40 << 20, 4096),
    ]
    #expect(try Self.changes(rig, ChangeQuery(target: b, base: .volume(a))).ranges == first)
    #expect(
      try Self.changes(rig, ChangeQuery(target: v, base: .volume(b))).ranges == [last])
    #expect(
      try Self.changes(rig, ChangeQuery(target: v, base: .volume(a))).ranges
        == [first[0], first[1], last, first[2]])
    // Backwards: the discarded extent is data again.
    #expect(
      try Self.changes(rig, ChangeQuery(target: a, base: .volume(b))).ranges == [
        Self.data(61440, 8192), Self.data(128 << 10, 64 << 10), Self.hole(40 << 20, 4096),
      ])
    #expect(
      try Self.changes(rig, ChangeQuery(target: b, base: .nothing)).ranges == [
        Self.data(0, 128 << 10), Self.data(192 << 10, 320 << 10), Self.data(40 << 20, 4096),
      ])
    #expect(try Self.changes(rig, ChangeQuery(target: a, base: .volume(a))).ranges.isEmpty)
  }

  @Test func answersComeInPagesThatJoin() throws {
    let rig = EngineRig()
    let v = rig.createVolume(size: 64 << 20)
    let a = try Self.snapshot(rig, v, "a")
    var expected: [ChangedRange] = []
    for i in 0..<60 as Range<UInt64> {
      let offset = i * 5 * 196608 + 4096
      guard offset < 64 << 20 else { break }
      #expect(rig.write(v, at: offset, pattern(Int(i), 8192)) == nil)
      expected.append(Self.data(offset, 8192))
    }
    for (ranges, nodes) in [(1, 1000), (7, 1000), (1000, 1), (3, 2)] {
      var found: [ChangedRange] = []
      var from: UInt64? = 0
      var pages = 0
      while let start = from {
        let page = try Self.changes(
          rig,
          ChangeQuery(
            target: v, base: .volume(a), bytes: start..<UInt64.max, rangesAtMost: ranges,
            nodesAtMost: nodes))
        if let next = page.nextByte { #expect(next > start) }
        found += page.ranges
        from = page.nextByte
        pages += 1
      }
      #expect(found == expected)
      #expect(pages > 2 || ranges == 1000 && nodes == 1000)
    }
    let some = try Self.changes(
      rig, ChangeQuery(target: v, base: .volume(a), bytes: 8192..<983040 + 8192))
    #expect(some.ranges == [Self.data(8192, 4096), Self.data(983040 + 4096, 4096)])
  }

  @Test func nodesAreReadOnDemandAndOneThatIsDamagedFailsTheScanOnly() throws {
    var options = RigOptions()
    // The smallest cache: nothing stays in it.
    options.bounds = PoolBounds(
      nodeCacheBytes: 64 * 4096, dirtyNodeBytes: 32 * 4096, countDeltaBytes: 1 << 20)
    let rig = EngineRig(options)
    let v = rig.createVolume(size: 1 << 50)
    for leaf in 0..<150 as Range<UInt64> {
      #expect(rig.write(v, at: leaf << 34, pattern(Int(leaf), 4096)) == nil)
    }
    let a = try Self.snapshot(rig, v, "a")
    for leaf in 0..<150 as Range<UInt64> where leaf % 10 == 3 {
      #expect(rig.write(v, at: leaf << 34, pattern(7, 4096)) == nil)
    }
    #expect(rig.manage { $0.checkpoint(token: $1) } == .done)
    for device in rig.disks.devices {
      device.inject(.init(.error(errno: 5), on: .read, number: 1, isForGood: true))
    }
    let answer = Self.begin(rig, ChangeQuery(target: v, base: .nothing))
    rig.settle()
    for device in rig.disks.devices { device.clearFaults() }
    #expect(throws: ExportError.inputOutput) { try answer.result?.get() }
    let reads = rig.pool.devices.reduce(0) { $0 + rig.engine.statistics(of: $1).nodeReads }
    let page = try Self.changes(rig, ChangeQuery(target: v, base: .nothing))
    #expect(page.ranges.count == 150)
    let after = rig.pool.devices.reduce(0) { $0 + rig.engine.statistics(of: $1).nodeReads }
    #expect(after > reads + 50)
    let diff = try Self.changes(rig, ChangeQuery(target: v, base: .volume(a)))
    #expect(diff.ranges.count == 15)
    // A leaf and the node above for each change, in both trees, and the way to them.
    #expect(diff.nodesVisited <= 2 * (2 * 15 + 8))
    #expect(diff.nodesVisited < page.nodesVisited / 2)

    #expect(!rig.engine.isReadOnly)
    #expect(rig.write(v, at: 0, pattern(9, 4096)) == nil)
  }

  // diff a b                       snapshot a
  // begins, waits for a node
  //                                is deleted
  // ends with an error
  @Test func aScanWhoseSnapshotIsDeletedEndsWithAnError() throws {
    var options = RigOptions()
    options.configuration.scanNodesPerTurn = 1
    let rig = EngineRig(options)
    let v = rig.createVolume(size: 2 << 30)
    for leaf in 0..<40 as Range<UInt64> {
      #expect(rig.write(v, at: leaf * 168 << 16, pattern(Int(leaf), 4096)) == nil)
    }
    let a = try Self.snapshot(rig, v, "a")
    for leaf in 0..<40 as Range<UInt64> {
      #expect(rig.write(v, at: leaf * 168 << 16, pattern(7, 4096)) == nil)
    }
    let answer = Self.begin(rig, ChangeQuery(target: v, base: .volume(a)))
    rig.turn()
    rig.turn()
    #expect(answer.result == nil)
    #expect(rig.manage { $0.deleteVolume(a, token: $1) } == .done)
    #expect(throws: ExportError.volumeGone) { try answer.result?.get() }
    let stopped = Self.begin(rig, ChangeQuery(target: v, base: .nothing))
    #expect(rig.manage { $0.stop(token: $1) } == .done)
    #expect(throws: ExportError.shuttingDown) { try stopped.result?.get() }
    let late = Self.begin(rig, ChangeQuery(target: v, base: .nothing))
    #expect(throws: ExportError.shuttingDown) { try late.result?.get() }
  }

  /// What differed when the scan began is in the answer, whatever hosts write meanwhile.
  @Test(arguments: 1...6 as ClosedRange<UInt64>)
  func nothingIsMissedWhileHostsWrite(seed: UInt64) throws {
    var options = RigOptions()
    options.seed = seed
    options.configuration.scanNodesPerTurn = 1
    let rig = EngineRig(options)
    var random = SeededRandom(seed: seed)
    let v = rig.createVolume(size: 1 << 30)
    func offset() -> UInt64 { (random.next() % (1 << 30)) & ~4095 }
    for i in 0..<100 { #expect(rig.write(v, at: offset(), pattern(i, 4096)) == nil) }
    let a = try Self.snapshot(rig, v, "a")
    var changed: Set<UInt64> = []
    for i in 0..<30 {
      let at = offset()
      #expect(rig.write(v, at: at, pattern(1000 + i, 4096)) == nil)
      changed.insert(at)
    }
    let answer = Self.begin(rig, ChangeQuery(target: v, base: .volume(a)))
    var writes: [UInt64] = []
    var later: Set<UInt64> = []
    while answer.result == nil {
      let at = offset()
      writes.append(rig.submit(.write, v, at: at, bytes: pattern(2000 + writes.count, 4096)))
      later.insert(at)
      rig.turn()
      _ = rig.completeOne()
    }
    rig.settle()
    #expect(writes.count > 3 && writes.allSatisfy { rig.outcome($0) == nil })
    let page = try #require(answer.result).get()
    let found = Set(
      page.ranges.flatMap { stride(from: $0.offset, to: $0.end, by: 4096) })
    #expect(found.isSuperset(of: changed), "seed \(seed)")
    #expect(found.subtracting(changed).isSubset(of: later), "seed \(seed)")
  }
}
