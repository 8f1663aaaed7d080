import BlockExport
import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import Testing

@testable import VolumeEngine

/// Discards for which there is no space for nodes: they are owed, read as zeros, survive, go where
/// something is written, and are done when space comes back.
@Suite struct OwedTests {
  /// A pool in which no node is left for discards: a volume with an extent in each of many leaves,
  /// and snapshots that share them, so that each discard copies a leaf.
  private final class FullRig {
    let rig: EngineRig
    let v: VolumeID
    /// One that shares nothing: what is written there goes in place.
    let own: VolumeID
    let filler: VolumeID
    private(set) var snapshots: [VolumeID] = []
    /// The byte where the discard that is owed begins, and what is there.
    private(set) var owedAt: UInt64 = 0
    static let leaves = 30
    static let leafBytes: UInt64 = 168 << 16

    init() throws {
      var options = RigOptions()
      options.segments = [24]
      options.shift = 6
      rig = EngineRig(options)
      v = rig.createVolume(size: UInt64(Self.leaves) * Self.leafBytes)
      own = rig.createVolume("own", size: 1 << 30)
      #expect(rig.write(own, at: 0, Self.content(99)) == nil)
      filler = rig.createVolume("filler", size: 1 << 30)
      for leaf in 0..<Self.leaves {
        #expect(rig.write(v, at: Self.start(leaf), Self.content(leaf)) == nil)
      }
      var at: UInt64 = 0
      while rig.write(filler, at: at, pattern(7, 64 << 10)) == nil { at += 64 << 10 }
      for block in 0..<14 where !rig.pool.hasOwed {
        snapshots.append(try #require(snapshot("s\(block)")))
        for leaf in 0..<Self.leaves where !rig.pool.hasOwed {
          owedAt = Self.start(leaf) + UInt64(block * 4096)
          #expect(rig.run(.discard, v, at: owedAt, length: 4096) == nil)
        }
      }
      try #require(rig.pool.hasOwed)
    }

    static func start(_ leaf: Int) -> UInt64 { UInt64(leaf) * leafBytes }
    static func content(_ leaf: Int) -> [UInt8] { pattern(1000 + leaf, 64 << 10) }

    /// What was written where the owed block is, and behind it.
    func old(_ count: Int, after skip: Int = 0) -> [UInt8] {
      let start = Int(owedAt % Self.leafBytes) + skip
      return Array(Self.content(Int(owedAt / Self.leafBytes))[start..<start + count])
    }

    func takeSnapshot(_ name: String) -> ManagementResult? {
      rig.manage { engine, token in
        engine.createSnapshots(
          [
            SnapshotOrder(
              source: v, name: name, uuid: StorageUUID(high: 3, low: token), createdAt: 0)
          ],
          token: token)
      }
    }

    func snapshot(_ name: String) -> VolumeID? {
      guard case .branched(let ids) = takeSnapshot(name) else { return nil }
      return ids.first
    }

    /// Gives the space of the filler back.
    func makeSpace() {
      #expect(rig.manage { $0.deleteVolume(filler, token: $1) } == .done)
      for _ in 0..<20 {
        rig.clock.advance(milliseconds: 1000)
        rig.settle()
      }
    }
  }

  @Test func aDiscardWithoutSpaceForNodesIsOwedAndReadsAsZeros() throws {
    let full = try FullRig()
    let rig = full.rig
    #expect(rig.engine.statistics.owedDiscards == 1)
    #expect(rig.pool.owedBytes == 4096)
    expectZeros(rig.read(full.v, at: full.owedAt, 4096))
    expectSame(rig.read(full.v, at: full.owedAt + 4096, 4096), full.old(4096, after: 4096))
    let status = rig.status(full.v, at: full.owedAt, 8192)
    #expect(status.map(\.length) == [4096, 4096])
    #expect(status.map(\.isHole) == [true, false])
    // A second one beside it is owed as well: one range.
    #expect(
      rig.run(.discard, full.v, at: full.owedAt + 4096, length: 4096, flags: .forceUnitAccess)
        == nil)
    #expect(rig.pool.owedRanges.map(\.blockCount) == [2])
    #expect(!rig.engine.isReadOnly)
  }

  @Test func aWriteEndsWhatIsOwedOfItsBlocks() throws {
    let full = try FullRig()
    let rig = full.rig
    #expect(rig.run(.discard, full.own, at: 0, length: 3 * 4096) == nil)
    #expect(rig.pool.owedBytes == 4 * 4096)
    // In part, in place, without a node: the rest of the block is zero, not what was discarded.
    let written = pattern(5, 512)
    #expect(rig.write(full.own, at: 4096 + 512, written) == nil)
    #expect(rig.pool.owedBytes == 3 * 4096)
    let zeros = [UInt8](repeating: 0, count: 4096)
    let expected = zeros + zeros[..<512] + written + zeros[1024...] + zeros
    expectSame(rig.read(full.own, at: 0, 3 * 4096), expected)
    #expect(rig.run(.flush, full.own) == nil)
    let mapped = rig.record(full.own).mappedBlocks
    full.makeSpace()
    #expect(!rig.pool.hasOwed)
    expectSame(rig.read(full.own, at: 0, 3 * 4096), expected)
    #expect(rig.record(full.own).mappedBlocks == mapped - 2)
  }

  @Test func zerosWrittenOverWhatIsOwedStay() throws {
    let full = try FullRig()
    let rig = full.rig
    let zeros = [UInt8](repeating: 0, count: 2 * 4096)
    #expect(rig.run(.discard, full.own, at: 0, length: 5 * 4096) == nil)
    // Zeros alone, where nothing else could be written.
    #expect(rig.write(full.v, at: full.owedAt, Array(zeros[..<4096])) == nil)
    expectZeros(rig.read(full.v, at: full.owedAt, 4096))
    // Zeros among others: one range settles.
    let written = pattern(8, 4096) + zeros + pattern(9, 4096)
    #expect(rig.write(full.own, at: 0, written) == nil)
    #expect(rig.pool.owedBytes == 2 * 4096)
    expectSame(rig.read(full.own, at: 0, 5 * 4096), written + zeros[..<4096])
    full.makeSpace()
    #expect(!rig.pool.hasOwed)
    expectZeros(rig.read(full.v, at: full.owedAt, 4096))
    expectSame(rig.read(full.own, at: 0, 5 * 4096), written + zeros[..<4096])
  }

  @Test func whatIsOwedIsDoneWhenSpaceComesBack() throws {
    let full = try FullRig()
    let rig = full.rig
    // The rest of the volume, in one request.
    let end = UInt64(FullRig.leaves) * FullRig.leafBytes
    #expect(
      rig.run(.discard, full.v, at: full.owedAt, length: end - full.owedAt) == nil)
    let mapped = rig.record(full.v).mappedBlocks
    full.makeSpace()
    #expect(!rig.pool.hasOwed)
    #expect(rig.record(full.v).mappedBlocks < mapped)
    expectZeros(rig.read(full.v, at: full.owedAt, 64 << 10))
    // The snapshots have everything.
    let slot = try #require(full.snapshots.first)
    for leaf in 0..<FullRig.leaves {
      expectSame(rig.read(slot, at: FullRig.start(leaf), 64 << 10), FullRig.content(leaf))
    }
  }

  @Test func ofWhatOwesASnapshotIsRefusedAndMadeWhenSpaceComesBack() throws {
    let full = try FullRig()
    let rig = full.rig
    #expect(full.takeSnapshot("late") == .refused(.owesDiscards("v")))
    full.makeSpace()
    #expect(!rig.pool.hasOwed)
    let late = try #require(full.snapshot("late"))
    expectZeros(rig.read(late, at: full.owedAt, 4096))
    expectSame(rig.read(late, at: full.owedAt + 4096, 4096), full.old(4096, after: 4096))
    // While there is space and something is owed still, it waits.
    let start = FullRig.start(1)
    rig.pool.applyOwe(OwedRange(volume: full.v, firstBlock: start >> 12, blockCount: 1 << 12))
    let waiting = try #require(full.snapshot("waiting"))
    #expect(!rig.pool.hasOwed)
    expectZeros(rig.read(waiting, at: start, 64 << 10))
    expectSame(
      rig.read(late, at: start + 15 * 4096, 4096), Array(FullRig.content(1)[(15 * 4096)...]))
  }

  @Test func rollbackForgetsWhatIsOwed() throws {
    let full = try FullRig()
    let rig = full.rig
    let snapshot = try #require(full.snapshots.last)
    // A rollback is a branch: it needs a little space.
    full.rig.pool.applyOwe(
      OwedRange(volume: full.v, firstBlock: full.owedAt >> 12, blockCount: 9))
    let first = try #require(full.snapshots.first)
    #expect(rig.manage { $0.deleteVolume(first, token: $1) } == .done)
    let result = rig.manage { $0.rollBack(full.v, to: snapshot, token: $1) }
    if result == .done {
      #expect(rig.pool.volume(full.v).map(rig.pool.owes) == false)
      expectSame(rig.read(full.v, at: full.owedAt, 4096), full.old(4096))
    } else {
      #expect(result == .refused(.noSpace(.nodeSpace)))
    }
  }

  @Test func writeZeroesIsNeverOwed() throws {
    let full = try FullRig()
    let rig = full.rig
    let before = rig.pool.owedBytes
    var refused = 0
    for leaf in 0..<FullRig.leaves {
      let at = FullRig.start(leaf) + 15 * 4096
      let error = rig.run(.writeZeroes, full.v, at: at, length: 4096)
      if error == .noSpace {
        refused += 1
        expectSame(rig.read(full.v, at: at, 4096), Array(FullRig.content(leaf)[(15 * 4096)...]))
      } else {
        #expect(error == nil)
        expectZeros(rig.read(full.v, at: at, 4096))
      }
    }
    #expect(refused > 0)
    #expect(rig.pool.owedBytes == before)
  }

  @Test func beyondTheBoundADiscardFails() throws {
    let full = try FullRig()
    let rig = full.rig
    let end = FullRig.start(FullRig.leaves) >> 12
    let bound = rig.pool.owedCapacity / 2
    var block = (full.owedAt >> 12) + 16
    while rig.pool.owedRanges.count < bound, block + 2 < end {
      rig.pool.applyOwe(OwedRange(volume: full.v, firstBlock: block, blockCount: 1))
      block += 2
    }
    #expect(rig.pool.owedRanges.count == bound)
    // A leaf that the volume shares still: its discard needs a copy.
    let last = FullRig.start(FullRig.leaves - 1) + 15 * 4096
    #expect(rig.run(.discard, full.v, at: last, length: 4096) == .noSpace)
    expectSame(
      rig.read(full.v, at: last, 4096),
      Array(FullRig.content(FullRig.leaves - 1)[(15 * 4096)...]))
    #expect(rig.pool.owedRanges.count == bound)
  }

  // write W, in place                discard D
  // admitted, data in flight
  //                                  owed, answered
  // data is there, answered
  //   (D came later: it stands)
  @Test func aDiscardThatIsOwedDuringAWriteStands() throws {
    let full = try FullRig()
    let rig = full.rig
    let write = rig.submit(.write, full.own, at: 0, bytes: pattern(6, 8192))
    #expect(rig.inFlight(.write) > 0)
    #expect(rig.run(.discard, full.own, at: 4096, length: 4096) == nil)
    #expect(rig.outcome(write) == nil)
    #expect(rig.pool.owedBytes == 2 * 4096)
    expectSame(rig.read(full.own, at: 0, 4096), Array(pattern(6, 8192)[..<4096]))
    expectZeros(rig.read(full.own, at: 4096, 4096))
    full.makeSpace()
    expectSame(rig.read(full.own, at: 0, 4096), Array(pattern(6, 8192)[..<4096]))
    expectZeros(rig.read(full.own, at: 4096, 4096))
  }

  @Test func aSmallerVolumeOwesLess() throws {
    let full = try FullRig()
    let rig = full.rig
    rig.pool.applyOwe(OwedRange(volume: full.v, firstBlock: 8, blockCount: 100))
    let size: UInt64 = 65536 + 4096
    let result = rig.manage {
      $0.resizeVolume(full.v, to: size, allowsShrink: true, token: $1)
    }
    guard result == .done else {
      #expect(result == .refused(.noSpace(.nodeSpace)))
      return
    }
    #expect(rig.pool.owedRanges.allSatisfy { $0.endBlock <= 17 })
    expectZeros(rig.read(full.v, at: 8 * 4096, 9 * 4096))
  }
}
