import BlockExport
import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import Testing

@testable import VolumeEngine

@Suite struct ClearTests {
  private func filled(_ size: Int) -> (EngineRig, VolumeID, [UInt8]) {
    let rig = EngineRig()
    let v = rig.createVolume(size: UInt64(size))
    let data = pattern(1, size)
    var offset = 0
    while offset < size {
      let count = min(1 << 20, size - offset)
      #expect(rig.write(v, at: UInt64(offset), Array(data[offset..<offset + count])) == nil)
      offset += count
    }
    return (rig, v, data)
  }

  @Test(arguments: [(0, 4096), (512, 8192), (5000 / 512 * 512, 200 * 1024), (0, 512)])
  func aDiscardClearsWholeBlocksAndLeavesParts(place: (offset: Int, count: Int)) {
    let (rig, v, data) = filled(512 << 10)
    #expect(
      rig.run(.discard, v, at: UInt64(place.offset), length: UInt64(place.count)) == nil)
    var expected = data
    let first = (place.offset + 4095) / 4096 * 4096
    let end = (place.offset + place.count) / 4096 * 4096
    if first < end {
      expected.replaceSubrange(first..<end, with: [UInt8](repeating: 0, count: end - first))
    }
    expectSame(rig.read(v, at: 0, expected.count), expected)
  }

  @Test(arguments: [
    (0, 4096), (512, 512), (512, 8192), (4608, 200 * 1024), (65536 - 512, 1024),
    (100 * 512, 300 * 1024 + 512),
  ])
  func writeZeroesZeroesExactlyItsRange(place: (offset: Int, count: Int)) {
    for noHole in [false, true] {
      let (rig, v, data) = filled(512 << 10)
      #expect(
        rig.run(
          .writeZeroes, v, at: UInt64(place.offset), length: UInt64(place.count),
          flags: noHole ? .noHole : []) == nil)
      var expected = data
      expected.replaceSubrange(
        place.offset..<place.offset + place.count,
        with: [UInt8](repeating: 0, count: place.count))
      expectSame(rig.read(v, at: 0, expected.count), expected)
    }
  }

  @Test func fastZeroIsRefusedWhereAnEdgeMustBeWritten() {
    let (rig, v, data) = filled(256 << 10)
    #expect(
      rig.run(.writeZeroes, v, at: 512, length: 8192, flags: .fastZero) == .notSupported)
    expectSame(rig.read(v, at: 0, data.count), data)
    #expect(rig.run(.writeZeroes, v, at: 4096, length: 8192, flags: .fastZero) == nil)
  }

  @Test func provisioningHoldsSpaceThatReadsAsZeros() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 4 << 20)
    #expect(rig.run(.writeZeroes, v, at: 0, length: 1 << 20, flags: .noHole) == nil)
    #expect(rig.record(v).allocatedExtents == 16)
    #expect(rig.record(v).mappedBlocks == 0)
    #expect(
      rig.status(v, at: 0, 4 << 20) == [
        BlockStatusExtent(length: 1 << 20, isHole: false, readsAsZeros: true),
        BlockStatusExtent(length: 3 << 20, isHole: true, readsAsZeros: true),
      ])
    expectZeros(rig.read(v, at: 0, 1 << 20))
    #expect(rig.dataReads == 0)
    // A discard gives it back.
    #expect(rig.run(.discard, v, at: 0, length: 1 << 20) == nil)
    #expect(rig.record(v).allocatedExtents == 0)
  }

  @Test func blockStatusTellsHolesZerosAndData() {
    let rig = EngineRig()
    let v = rig.createVolume(size: (4 << 20) + 512)
    #expect(rig.write(v, at: 8192, pattern(1, 4096)) == nil)
    #expect(rig.write(v, at: 64 << 10, pattern(1, 128 << 10)) == nil)
    func hole(_ n: UInt64) -> BlockStatusExtent {
      BlockStatusExtent(length: n, isHole: true, readsAsZeros: true)
    }
    func data(_ n: UInt64) -> BlockStatusExtent {
      BlockStatusExtent(length: n, isHole: false, readsAsZeros: false)
    }
    let end: UInt64 = (4 << 20) + 512
    #expect(
      rig.status(v, at: 0, end) == [
        hole(8192), data(4096), hole((64 << 10) - 12288), data(128 << 10),
        hole(end - (192 << 10)),
      ])
    #expect(rig.status(v, at: 8192 + 512, 1024) == [data(1024)])
    #expect(rig.status(v, at: 0, end, flags: .oneExtent) == [hole(8192)])
    #expect(rig.status(v, at: 1 << 20, 512) == [hole(512)])
  }

  @Test func aHugeDiscardDoesNotHoldUpReads() {
    var options = RigOptions()
    options.configuration.extentsPerStep = 4
    options.configuration.stepsPerTurn = 2
    let rig = EngineRig(options)
    let v = rig.createVolume(size: 1 << 40)
    for i in 0..<40 { #expect(rig.write(v, at: UInt64(i) << 24, pattern(i, 4096)) == nil) }
    let discard = rig.submit(.discard, v, at: 0, length: 1 << 40)
    #expect(!rig.isAnswered(discard))
    let read = rig.submit(.read, v, at: 39 << 24, length: 4096)
    rig.turn()
    rig.completeAll(.read)
    #expect(rig.isAnswered(read))
    #expect(!rig.isAnswered(discard))
    rig.settle()
    #expect(rig.outcome(discard) == nil)
    #expect(rig.record(v).allocatedExtents == 0)
  }
}
