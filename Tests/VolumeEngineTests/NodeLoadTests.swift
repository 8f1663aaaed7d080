import BlockExport
import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import Testing

@testable import VolumeEngine

@Suite struct NodeLoadTests {
  /// A volume with many leaves, of which only the last ones are in memory.
  private func wide() -> (EngineRig, VolumeID) {
    var options = RigOptions()
    options.bounds = PoolBounds(
      nodeCacheBytes: 64 << 12, dirtyNodeBytes: 32 << 12, countDeltaBytes: 1 << 20)
    let rig = EngineRig(options)
    let v = rig.createVolume(size: 1 << 50)
    for i in 0..<300 { #expect(rig.write(v, at: UInt64(i) << 34, pattern(i, 8192)) == nil) }
    #expect(rig.manage { $0.checkpoint(token: $1) } == .done)
    return (rig, v)
  }

  private func nodeReads(_ rig: EngineRig) -> UInt64 {
    rig.pool.devices.reduce(0) { $0 + rig.engine.statistics(of: $1).nodeReads }
  }

  @Test func aNodeThatIsNotInMemoryIsReadOnceForAllWhoNeedIt() {
    let (rig, v) = wide()
    // The way down to the leaf is known after one read of its neighbour; the leaf itself is not.
    let before = nodeReads(rig)
    let first = rig.submit(.read, v, at: 0, length: 4096)
    let second = rig.submit(.read, v, at: 4096, length: 4096)
    let third = rig.submit(.write, v, at: 0, bytes: pattern(7, 4096))
    #expect(rig.inFlight(.read) == 1)
    rig.settle()
    #expect(rig.outcome(first) == nil)
    #expect(rig.outcome(third) == nil)
    expectSame(rig.bytes(second, at: 4096, count: 4096), Array(pattern(0, 8192)[4096...]))
    #expect(nodeReads(rig) > before)
    #expect(nodeReads(rig) <= before + 4)
    let after = nodeReads(rig)
    expectSame(rig.read(v, at: 0, 4096), pattern(7, 4096))
    #expect(nodeReads(rig) == after)
  }

  @Test func aNodeThatCannotBeReadInItsFirstPlaceIsReadInTheSecond() {
    let (rig, v) = wide()
    for (i, device) in rig.disks.devices.enumerated() {
      device.inject(.init(.error(errno: 5), on: .read, number: 1))
      let before = nodeReads(rig)
      // With one device failing once, the other place of the node serves.
      let read = rig.submit(.read, v, at: UInt64(i) << 34, length: 4096)
      rig.completeAll(.read)
      device.clearFaults()
      #expect(nodeReads(rig) > before)
      #expect(rig.outcome(read) == nil)
      expectSame(
        rig.bytes(read, at: UInt64(i) << 34, count: 4096), Array(pattern(i, 8192)[..<4096]))
    }
  }

  @Test func aNodeThatIsDamagedInBothPlacesFailsTheRequestAndNothingElse() {
    let (rig, v) = wide()
    for device in rig.disks.devices {
      device.inject(.init(.error(errno: 5), on: .read, number: 1, isForGood: true))
    }
    #expect(rig.run(.read, v, at: 0, length: 4096) == .inputOutput)
    #expect(rig.run(.write, v, at: 0, bytes: pattern(1, 4096)) == .inputOutput)
    #expect(rig.run(.discard, v, at: 0, length: 65536) == .inputOutput)
    #expect(rig.run(.blockStatus, v, at: 0, length: 65536) == .inputOutput)
    for device in rig.disks.devices { device.clearFaults() }
    expectSame(rig.read(v, at: 0, 8192), pattern(0, 8192))
    #expect(!rig.engine.isReadOnly)
  }

  @Test func fileSpaceIsReservedOnceForEachSegment() {
    var options = RigOptions()
    options.configuration.growsAhead = true
    options.segments = [40]
    let rig = EngineRig(options)
    let v = rig.createVolume(size: 1 << 30)
    for i in 0..<32 { #expect(rig.write(v, at: UInt64(i) << 16, pattern(i, 64 << 10)) == nil) }
    let reservations = rig.disks.devices[0].counts.spaceReservations
    #expect(reservations >= 2)
    #expect(reservations <= 4)
  }
}
