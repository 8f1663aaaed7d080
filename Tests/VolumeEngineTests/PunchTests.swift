import BlockExport
import BlockIO
import DiskSimulation
import PoolCore
import StorageUnits
import Testing
import VolumeEngine

/// File space of freed extents goes back to the devices, and nobody gets an extent meanwhile.
@Suite struct PunchTests {
  private static let extent: UInt64 = 64 << 10

  private static func rig(segments: [Int] = [40], shift: UInt8 = 6) -> EngineRig {
    var options = RigOptions()
    options.segments = segments
    options.shift = shift
    options.allocationRun = 1
    options.configuration.punchesFreedSpace = true
    return EngineRig(options)
  }

  /// Discards and waits until the checkpoint that shows the space as free has been released.
  private static func free(_ rig: EngineRig, _ volume: VolumeID, _ range: Range<UInt64>) {
    #expect(
      rig.run(.discard, volume, at: range.lowerBound, length: UInt64(range.count)) == nil)
    #expect(rig.manage { $0.checkpoint(token: $1) } == .done)
  }

  private static func wait(_ rig: EngineRig, milliseconds: UInt64) {
    rig.clock.advance(milliseconds: milliseconds)
    rig.turn()
  }

  @Test func freedExtentsArePunchedAfterAPause() {
    let rig = Self.rig()
    let volume = rig.createVolume(size: 1 << 20)
    for i in 0..<8 as Range<UInt64> {
      #expect(rig.write(volume, at: i * Self.extent, pattern(Int(i), 4096)) == nil)
    }
    Self.free(rig, volume, 0..<2 * Self.extent)
    Self.wait(rig, milliseconds: 999)
    #expect(rig.inFlight(.punchHole) == 0)
    Self.wait(rig, milliseconds: 1)
    #expect(rig.inFlight(.punchHole) > 0)
    rig.settle()
    #expect(rig.engine.statistics.punchedBytes == 2 * Self.extent)
    #expect(rig.pool.usage.reclaimableBytes == 0)
    expectSame(rig.read(volume, at: 7 * Self.extent, 4096), pattern(7, 4096))
    expectZeros(rig.read(volume, at: 0, 4096))
  }

  @Test func nobodyGetsAnExtentWhileItsHoleIsInTheMaking() throws {
    let rig = Self.rig()
    let volume = rig.createVolume(size: 64 << 20)
    // Everything that the pool has.
    var count: UInt64 = 0
    while rig.write(volume, at: count * Self.extent, pattern(Int(count), 4096)) == nil {
      count += 1
    }
    Self.free(rig, volume, 0..<Self.extent)
    Self.wait(rig, milliseconds: 1000)
    try #require(rig.inFlight(.punchHole) == 1)
    let writes = rig.dataWrites
    let token = rig.submit(.write, volume, at: 0, bytes: pattern(1000, 4096))
    rig.turn()
    #expect(!rig.isAnswered(token), "the extent is being punched")
    #expect(rig.dataWrites == writes)
    rig.completeAll(.punchHole)
    rig.settle()
    #expect(rig.outcome(token) == nil)
    expectSame(rig.read(volume, at: 0, 4096), pattern(1000, 4096))
  }

  @Test func whatIsTakenAgainIsNotPunched() {
    let rig = Self.rig()
    let volume = rig.createVolume(size: 64 << 20)
    var count: UInt64 = 0
    while rig.write(volume, at: count * Self.extent, pattern(Int(count), 4096)) == nil {
      count += 1
    }
    Self.free(rig, volume, 0..<3 * Self.extent)
    for i in 0..<3 as Range<UInt64> {
      #expect(rig.write(volume, at: i * Self.extent, pattern(Int(i) + 500, 4096)) == nil)
    }
    Self.wait(rig, milliseconds: 5000)
    rig.settle()
    #expect(rig.engine.statistics.punchedBytes == 0)
    for i in 0..<3 as Range<UInt64> {
      expectSame(rig.read(volume, at: i * Self.extent, 4096), pattern(Int(i) + 500, 4096))
    }
  }

  /// With the reserve that was taken ahead, so that a deleted volume leaves nothing behind.
  @Test func anEmptySegmentIsPunchedWhollyAndBecomesFree() {
    let rig = Self.rig()
    let free = rig.pool.usage.freeBytes
    let volume = rig.createVolume(size: 1 << 20)
    #expect(rig.write(volume, at: 0, pattern(1, 4096)) == nil)
    #expect(rig.manage { $0.deleteVolume(volume, token: $1) } == .done)
    for _ in 0..<10 {
      Self.wait(rig, milliseconds: 1000)
      rig.settle()
    }
    #expect(rig.engine.statistics.punchedBytes == 4 * Self.extent, "a segment has 4 extents")
    #expect(rig.pool.usage.reclaimableBytes == 0)
    #expect(rig.pool.usage.freeBytes + 16 * 4096 > free)
    // The node segment that the first checkpoint took is all that is left.
    #expect(!rig.pool.hasReleasedData)
  }

  @Test func aHoleThatCannotBeMadeLosesNothing() {
    let rig = Self.rig()
    let volume = rig.createVolume(size: 1 << 20)
    for i in 0..<8 as Range<UInt64> {
      #expect(rig.write(volume, at: i * Self.extent, pattern(Int(i), 4096)) == nil)
    }
    let free = rig.pool.usage.freeBytes
    rig.disks.devices[0].inject(
      DeviceFault(.error(errno: 5), on: .punchHole, number: 1, isForGood: true))
    Self.free(rig, volume, 0..<4 * Self.extent)
    Self.wait(rig, milliseconds: 1000)
    rig.settle()
    #expect(rig.engine.statistics.punchedBytes == 0)
    #expect(!rig.engine.isReadOnly)
    #expect(rig.pool.usage.freeBytes >= free + 4 * Self.extent - 64 * 4096)
    #expect(rig.pool.usage.reclaimableBytes == 0)
  }

  @Test func aStopGivesBackWhatWasFreed() {
    let rig = Self.rig()
    let volume = rig.createVolume(size: 1 << 20)
    for i in 0..<8 as Range<UInt64> {
      #expect(rig.write(volume, at: i * Self.extent, pattern(Int(i), 4096)) == nil)
    }
    #expect(rig.run(.discard, volume, at: 0, length: 3 * Self.extent) == nil)
    #expect(rig.manage { $0.stop(token: $1) } == .done)
    #expect(rig.engine.statistics.punchedBytes == 3 * Self.extent)
    #expect(rig.disks.inFlightCount == 0)
  }

  /// As after a crash between the freeing and the hole.
  @Test func aSweepFindsWhatNobodyRemembers() {
    let rig = Self.rig(segments: [60])
    let volume = rig.createVolume(size: 64 << 20)
    for i in 0..<40 as Range<UInt64> {
      #expect(rig.write(volume, at: i * Self.extent, pattern(Int(i), 4096)) == nil)
    }
    Self.free(rig, volume, 3 * Self.extent..<20 * Self.extent)
    rig.pool.forgetPunches()
    Self.wait(rig, milliseconds: 1500)
    rig.settle()
    #expect(rig.engine.statistics.punchedBytes == 0, "nobody remembers it")
    rig.engine.sweepFreeSpace()
    var turns = 0
    while rig.pool.isSweeping || rig.pool.hasSpaceToPunch {
      // Hosts go on meanwhile.
      #expect(
        rig.write(volume, at: (100 + UInt64(turns)) * Self.extent, pattern(turns, 512)) == nil)
      Self.wait(rig, milliseconds: 500)
      rig.settle()
      turns += 1
      if turns > 200 { break }
    }
    #expect(turns < 200)
    #expect(rig.engine.statistics.punchedBytes >= 8 * Self.extent)
    for i in 0..<40 as Range<UInt64> {
      let isFree = (3..<20).contains(i)
      expectSame(
        rig.read(volume, at: i * Self.extent, 4096),
        isFree ? [UInt8](repeating: 0, count: 4096) : pattern(Int(i), 4096))
    }
    for i in 0..<turns {
      expectSame(
        rig.read(volume, at: (100 + UInt64(i)) * Self.extent, 512), pattern(i, 512))
    }
  }

  @Test func whoeverWaitsForSpaceDoesNotWaitForTheSweep() {
    let rig = Self.rig()
    let volume = rig.createVolume(size: 64 << 20)
    var count: UInt64 = 0
    while rig.write(volume, at: count * Self.extent, pattern(Int(count), 4096)) == nil {
      count += 1
    }
    Self.free(rig, volume, 0..<8 * Self.extent)
    rig.pool.forgetPunches()
    rig.engine.sweepFreeSpace()
    for i in 0..<8 as Range<UInt64> {
      #expect(rig.write(volume, at: i * Self.extent, pattern(Int(i) + 500, 4096)) == nil)
    }
    #expect(rig.manage { $0.stop(token: $1) } == .done)
  }

  @Test func readsOfNothingAreKnownToBeZeros() {
    let rig = Self.rig()
    let volume = rig.createVolume(size: 4 << 20)
    #expect(rig.write(volume, at: 3 * Self.extent, pattern(1, 4096)) == nil)
    func readsAsZeros(at offset: UInt64, length: UInt64) -> Bool? {
      let token = rig.submit(.read, volume, at: offset, length: length)
      rig.settle()
      return rig.answers[token]?.readsAsZeros
    }
    #expect(readsAsZeros(at: 0, length: 3 * Self.extent) == true)
    #expect(readsAsZeros(at: 3 * Self.extent, length: 4096) == false)
    #expect(readsAsZeros(at: 3 * Self.extent + 4096, length: 4096) == true)
    #expect(readsAsZeros(at: 0, length: 1 << 20) == false)
  }
}
