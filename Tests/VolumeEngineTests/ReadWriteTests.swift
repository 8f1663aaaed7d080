import BlockExport
import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import Testing

@testable import VolumeEngine

@Suite struct ReadWriteTests {
  let kib: UInt64 = 1024

  @Test func whatIsWrittenIsRead() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 64 << 20)
    let data = pattern(1, 64 << 10)
    #expect(rig.write(v, at: 128 * kib, data) == nil)
    expectSame(rig.read(v, at: 128 * kib, data.count), data)
    #expect(rig.disks.changedBuffers == 0)
  }

  @Test func readingUnmappedSpaceDoesNoDataIOAndAnswersInTheSameTurn() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 64 << 20)
    let token = rig.submit(.read, v, at: 5 << 20, length: 1 << 20)
    #expect(rig.isAnswered(token))
    expectZeros(rig.bytes(token, at: 5 << 20, count: 1 << 20))
    #expect(rig.dataReads == 0)
  }

  @Test func sequentialWritesOfAMebibyteAreFewCommands() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 64 << 20)
    for i in 0..<8 { #expect(rig.write(v, at: UInt64(i) << 20, pattern(i, 1 << 20)) == nil) }
    // Runs of four extents, each contiguous.
    #expect(rig.dataWrites <= 8 * 6)
    for i in 0..<8 { expectSame(rig.read(v, at: UInt64(i) << 20, 1 << 20), pattern(i, 1 << 20)) }
    #expect(rig.dataReads <= 8 * 6)
  }

  @Test func zerosWrittenIntoNothingAllocateNothing() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 64 << 20)
    #expect(rig.write(v, at: 0, [UInt8](repeating: 0, count: 1 << 20)) == nil)
    #expect(rig.dataWrites == 0)
    #expect(rig.record(v).mappedBlocks == 0)
    #expect(rig.engine.statistics.zeroBlocks == 256)
    var mixed = [UInt8](repeating: 0, count: 64 << 10)
    mixed[5 * 4096] = 1
    #expect(rig.write(v, at: 0, mixed) == nil)
    #expect(rig.record(v).mappedBlocks == 1)
    expectSame(rig.read(v, at: 0, mixed.count), mixed)
  }

  @Test func zerosWrittenOverDataAreWritten() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 64 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 4096)) == nil)
    #expect(rig.write(v, at: 0, [UInt8](repeating: 0, count: 4096)) == nil)
    #expect(rig.dataWrites == 2)
    expectZeros(rig.read(v, at: 0, 4096))
  }

  @Test func anOverwriteInPlaceMakesNoRecord() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 64 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 8192)) == nil)
    let before = rig.pool.lastRecord
    #expect(rig.write(v, at: 4096, pattern(2, 4096)) == nil)
    #expect(rig.pool.lastRecord == before)
    expectSame(rig.read(v, at: 0, 8192), pattern(1, 8192)[..<4096] + pattern(2, 4096))
  }

  @Test(arguments: [
    (512, 512), (3584, 512), (0, 512), (100 * 512, 3 * 512), (4096 - 512, 1024),
    (1536, 3 * 4096), (65536 - 512, 1024), (65536 - 512, 65536 + 1024),
  ])
  func partsOfBlocksAreCompleted(place: (offset: Int, count: Int)) {
    for isMapped in [false, true] {
      let rig = EngineRig()
      let v = rig.createVolume(size: 1 << 20)
      var expected = [UInt8](repeating: 0, count: 256 << 10)
      if isMapped {
        expected = pattern(1, 256 << 10)
        #expect(rig.write(v, at: 0, expected) == nil)
      }
      let reads = rig.dataReads
      let data = pattern(2, place.count)
      #expect(rig.write(v, at: UInt64(place.offset), data) == nil)
      // A block whose bit is clear is completed with zeros, without a read.
      if !isMapped { #expect(rig.dataReads == reads) }
      expected.replaceSubrange(place.offset..<place.offset + place.count, with: data)
      expectSame(rig.read(v, at: 0, expected.count), expected)
    }
  }

  @Test(arguments: [512, 1024, 4096 + 512, 528 << 10, (528 << 10) + 512])
  func theTailOfAVolumeIsExact(size: Int) {
    let rig = EngineRig()
    let v = rig.createVolume(size: UInt64(size))
    let data = pattern(3, size)
    #expect(rig.write(v, at: 0, data) == nil)
    expectSame(rig.read(v, at: 0, size), data)
    #expect(rig.run(.read, v, at: UInt64(size), length: 512) == .outOfRange)
    #expect(rig.run(.read, v, at: UInt64(size) - 512, length: 1024) == .outOfRange)
    #expect(rig.run(.discard, v, at: 0, length: UInt64(size)) == nil)
    #expect(rig.record(v).allocatedExtents == 0)
    expectZeros(rig.read(v, at: 0, size))
  }

  @Test func requestsThatMakeNoSenseAreRefused() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20, blockBytes: 4096)
    #expect(rig.run(.write, v, at: 512, bytes: pattern(1, 4096)) == .invalidRequest)
    #expect(rig.run(.write, v, at: 0, bytes: pattern(1, 512)) == .invalidRequest)
    #expect(rig.run(.discard, v, at: 0, length: 0) == .invalidRequest)
    #expect(rig.run(.discard, v, at: UInt64.max - 4095, length: 8192) == .outOfRange)
    #expect(rig.run(.read, VolumeID(99), at: 0, length: 4096) == .volumeGone)
  }

  @Test func scatteredExtentsAreReadInFewCommands() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    var expected = [UInt8](repeating: 0, count: 64 << 10)
    for block in stride(from: 0, to: 16, by: 2) {
      let data = pattern(block, 4096)
      #expect(rig.write(v, at: UInt64(block * 4096), data) == nil)
      expected.replaceSubrange(block * 4096..<(block + 1) * 4096, with: data)
    }
    let before = rig.dataReads
    expectSame(rig.read(v, at: 0, 64 << 10), expected)
    #expect(rig.dataReads - before == 1)
  }

  @Test func aFailedWriteIsToldAndLeavesTheRest() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 4096)) == nil)
    let free = rig.pool.usage.freeBytes
    for device in rig.disks.devices {
      device.inject(.init(.error(errno: 5), on: .write, number: 1))
    }
    #expect(rig.write(v, at: 512 << 10, pattern(2, 4096)) == .inputOutput)
    for device in rig.disks.devices { device.clearFaults() }
    expectZeros(rig.read(v, at: 512 << 10, 4096))
    // The extent that it took was given back.
    #expect(rig.pool.usage.freeBytes == free)
    #expect(rig.write(v, at: 512 << 10, pattern(3, 4096)) == nil)
  }

  @Test func aWriteThatFindsNoSpaceUnderneathIsToldSoAndThePoolGoesOn() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 4096)) == nil)
    for device in rig.disks.devices {
      device.inject(.init(.error(errno: SimulatedErrno.noSpace), on: .write, number: 1))
    }
    #expect(rig.write(v, at: 512 << 10, pattern(2, 4096)) == .noSpace)
    for device in rig.disks.devices { device.clearFaults() }
    #expect(!rig.engine.isReadOnly)
    expectZeros(rig.read(v, at: 512 << 10, 4096))
    expectSame(rig.read(v, at: 0, 4096), pattern(1, 4096))
    #expect(rig.write(v, at: 512 << 10, pattern(3, 4096)) == nil)
    #expect(rig.run(.flush, v) == nil)
  }
}
