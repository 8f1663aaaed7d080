import BlockIO
import DiskSimulation
import StorageUnits
import Testing

@Suite struct SimulatedDisksTests {
  private func disks(seed: UInt64 = 1, count: Int = 1) -> SimulatedDisks {
    SimulatedDisks(
      devices: (0..<count).map { SimulatedDevice(name: "d\($0)", sizeBytes: 1 << 20) }, seed: seed)
  }

  private func command(
    _ operation: IOCommand.Operation, _ buffer: AlignedBuffer? = nil, at offset: UInt64 = 0,
    length: Int = 0, device: UInt16 = 0, token: UInt64 = 0
  ) -> IOCommand {
    unsafe IOCommand(
      operation, device: DeviceIndex(index: device), offset: DeviceByteOffset(offset),
      length: buffer?.count ?? length, buffer: buffer?.pointer, token: token)
  }

  /// Time →
  /// flush: submitted ........................ completed
  /// write:            submitted … completed
  @Test func aFlushDoesNotCoverAWriteThatCompletesAfterItsSubmission() {
    let disks = disks()
    let buffer = AlignedBuffer(count: 4096, filledWith: 1)
    disks.submit(command(.flush, token: 1))
    disks.submit(command(.write, buffer, token: 2))
    #expect(disks.complete(at: 1)?.token == 2)
    #expect(disks.complete(at: 0)?.token == 1)
    #expect(disks.unflushedWrites.count == 1)
    disks.submit(command(.flush, token: 3))
    #expect(disks.complete(at: 0)?.errno == 0)
    #expect(disks.unflushedWrites.isEmpty)
  }

  /// Time →
  /// write: submitted ........................ completed
  /// flush:            submitted … completed
  @Test func aFlushDoesNotCoverAWriteInFlight() {
    let disks = disks()
    let buffer = AlignedBuffer(count: 4096, filledWith: 1)
    disks.submit(command(.write, buffer, token: 1))
    disks.submit(command(.flush, token: 2))
    _ = disks.complete(at: 1)
    _ = disks.complete(at: 0)
    var chooser = UniformCrash.allAbsent
    disks.powerCut(choosing: &chooser)
    #expect(disks.devices[0].contents(at: DeviceByteOffset(0), count: 1) == [0])
  }

  @Test func aReadBesideAWriteInFlightGivesEachSectorOldOrNew() {
    var seen: Set<[UInt8]> = []
    for seed in 0..<50 as Range<UInt64> {
      let disks = disks(seed: seed)
      let written = AlignedBuffer(count: 4096, filledWith: 1)
      let read = AlignedBuffer(count: 4096)
      disks.submit(command(.write, written))
      disks.submit(command(.read, read))
      #expect(read.bytes.allSatisfy { $0 == 0xDB })
      _ = disks.complete(at: 1)
      let sectors = stride(from: 0, to: 4096, by: 512).map { read.bytes[$0] }
      #expect(Set(sectors).isSubset(of: [0, 1]))
      seen.insert(sectors)
      _ = disks.complete(at: 0)
      disks.submit(command(.read, read))
      _ = disks.complete(at: 0)
      #expect(read.bytes.allSatisfy { $0 == 1 })
    }
    #expect(seen.contains([0, 0, 0, 0, 0, 0, 0, 0]))
    #expect(seen.contains([1, 1, 1, 1, 1, 1, 1, 1]))
    #expect(seen.count > 4)
  }

  @Test func theSameSeedGivesTheSameHistory() {
    func history(seed: UInt64) -> [IOEvent] {
      let disks = disks(seed: seed, count: 2)
      disks.keepsLog = true
      let buffers = (0..<16).map { AlignedBuffer(count: 4096, filledWith: UInt8($0)) }
      for (i, buffer) in buffers.enumerated() {
        disks.submit(command(.write, buffer, at: UInt64(i) * 4096, device: UInt16(i % 2)))
        if i % 3 == 0 { _ = disks.completeOne() }
      }
      while disks.completeOne() != nil {}
      return disks.log
    }
    #expect(history(seed: 4) == history(seed: 4))
    #expect(history(seed: 4) != history(seed: 5))
    #expect(history(seed: 4).count == 32)
  }

  @Test func whatIsInFlightInAPowerCutIsAbsentWholeOrTorn() {
    var seen: Set<[UInt8]> = []
    for seed in 0..<100 as Range<UInt64> {
      let disks = disks()
      let buffer = AlignedBuffer(count: 4096, filledWith: 1)
      disks.submit(command(.write, buffer))
      var chooser = SeededCrash(seed: seed)
      disks.powerCut(choosing: &chooser)
      #expect(disks.inFlightCount == 0)
      let bytes = disks.devices[0].contents(at: DeviceByteOffset(0), count: 4096)
      seen.insert(stride(from: 0, to: 4096, by: 512).map { bytes[$0] })
    }
    #expect(seen.contains([0, 0, 0, 0, 0, 0, 0, 0]))
    #expect(seen.contains([1, 1, 1, 1, 1, 1, 1, 1]))
    #expect(seen.contains { $0.first == 1 && $0.last == 0 })
    #expect(seen.contains { $0.first == 0 && $0.last == 1 })
  }

  @Test func writesOfADeadProcessLandLate() {
    let disks = disks()
    let buffer = AlignedBuffer(count: 4096, filledWith: 1)
    disks.submit(command(.write, buffer))
    disks.processDeath(.inFlightLandsLate)
    let device = disks.devices[0]
    #expect(device.contents(at: DeviceByteOffset(0), count: 1) == [0])
    #expect(device.hasLateWrites)
    device.landLateWrites()
    #expect(device.contents(at: DeviceByteOffset(0), count: 1) == [1])
    #expect(!device.hasLateWrites)
  }

  @Test func nothingHappensBeyondTheCrashPoint() {
    let disks = disks()
    let buffer = AlignedBuffer(count: 4096, filledWith: 1)
    disks.crashPoint.limit = 2
    disks.submit(command(.write, buffer))
    disks.submit(command(.flush))
    disks.submit(command(.write, buffer, at: 4096))
    #expect(disks.inFlightCount == 2)
    #expect(disks.completeOne() == nil)
    #expect(disks.crashPoint.isReached)
  }

  @Test func overlappingWritesAndChangedBuffersAreNoticed() {
    let disks = disks()
    let buffer = AlignedBuffer(count: 8192, filledWith: 1)
    disks.submit(command(.write, buffer))
    disks.submit(command(.write, AlignedBuffer(count: 4096), at: 8192))
    #expect(disks.overlappingWrites == 0)
    disks.submit(command(.punchHole, at: 4096, length: 4096))
    #expect(disks.overlappingWrites == 1)
    buffer.fill(2)
    _ = disks.complete(at: 0)
    #expect(disks.changedBuffers == 1)
  }

  @Test func aPunchedHoleReadsAsZerosAndIsVolatile() {
    let disks = disks()
    let buffer = AlignedBuffer(count: 8192, filledWith: 1)
    for command in [command(.write, buffer), command(.flush)] {
      disks.submit(command)
      _ = disks.completeOne()
    }
    disks.submit(command(.punchHole, at: 4096, length: 4096))
    _ = disks.completeOne()
    let device = disks.devices[0]
    #expect(device.contents(at: DeviceByteOffset(4095), count: 2) == [1, 0])
    #expect(disks.unflushedWrites.map(\.isPunch) == [true])
    var chooser = UniformCrash.allAbsent
    disks.powerCut(choosing: &chooser)
    #expect(device.contents(at: DeviceByteOffset(4096), count: 1) == [1])
  }

  @Test func faultsReachCompletionsWithTheirErrno() {
    let disks = disks()
    let device = disks.devices[0]
    let buffer = AlignedBuffer(count: 4096, filledWith: 1)
    device.inject(DeviceFault(.error(errno: 28), on: .reserveSpace, number: 1))
    device.inject(DeviceFault(.error(errno: 5), on: .read, number: 2))
    var errnos: [Int32] = []
    for command in [
      command(.reserveSpace, length: 65536), command(.read, buffer), command(.read, buffer),
      command(.read, buffer, at: 1 << 20),
    ] {
      disks.submit(command)
      if let completion = disks.completeOne() { errnos.append(completion.errno) }
    }
    #expect(errnos == [28, 0, 5, 5])
    disks.submit(command(.write, buffer))
    device.vanish()
    #expect(disks.completeOne()?.errno == 19)
  }
}
