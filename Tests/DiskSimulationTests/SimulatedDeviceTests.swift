import BlockIO
import DiskSimulation
import StorageUnits
import Testing

/// Writes `count` bytes of `byte`, at once and volatile.
private func write(_ device: SimulatedDevice, at offset: UInt64, _ byte: UInt8, count: Int = 4096)
  throws
{
  let buffer = AlignedBuffer(count: count, filledWith: byte)
  try unsafe device.write(
    at: DeviceByteOffset(offset), from: UnsafeRawBufferPointer(start: buffer.pointer, count: count))
}

/// The first byte of each sector.
private func sectors(_ device: SimulatedDevice, at offset: UInt64, count: Int = 4096) -> [UInt8] {
  let bytes = device.contents(at: DeviceByteOffset(offset), count: count)
  return stride(from: 0, to: count, by: 512).map { bytes[$0] }
}

@Suite struct SimulatedDeviceTests {
  @Test func aPowerCutLosesWhatWasNotFlushedIfNothingIsKept() throws {
    let device = SimulatedDevice(name: "a", sizeBytes: 1 << 20)
    try write(device, at: 0, 1)
    try device.flush()
    try write(device, at: 0, 2)
    #expect(sectors(device, at: 0) == [2, 2, 2, 2, 2, 2, 2, 2])
    var chooser = UniformCrash.allAbsent
    device.powerCut(choosing: &chooser)
    #expect(sectors(device, at: 0) == [1, 1, 1, 1, 1, 1, 1, 1])
  }

  @Test func aFlushedWriteSurvivesEveryCrash() throws {
    for seed in 0..<200 as Range<UInt64> {
      let device = SimulatedDevice(name: "a", sizeBytes: 1 << 20)
      try write(device, at: 4096, 7)
      try device.flush()
      try write(device, at: 8192, 9)
      var chooser = SeededCrash(seed: seed)
      device.powerCut(choosing: &chooser)
      #expect(sectors(device, at: 4096) == [7, 7, 7, 7, 7, 7, 7, 7])
    }
  }

  @Test func everySubsetOfUnflushedWritesCanBeLeft() throws {
    var outcomes: Set<[UInt8]> = []
    for bits in 0..<8 as Range<UInt64> {
      let device = SimulatedDevice(name: "a", sizeBytes: 1 << 20)
      for i in 0..<3 as Range<UInt64> { try write(device, at: i * 4096, UInt8(i) + 1) }
      var chooser = SubsetCrash(bits: bits)
      device.powerCut(choosing: &chooser)
      outcomes.insert([0, 4096, 8192].map { sectors(device, at: $0)[0] })
    }
    #expect(outcomes.count == 8)
  }

  @Test func ofTwoWritesToASectorTheLaterKeptOneStays() throws {
    let device = SimulatedDevice(name: "a", sizeBytes: 1 << 20)
    try write(device, at: 0, 1)
    try write(device, at: 0, 2)
    let state = device.snapshot()
    var seen: [UInt8] = []
    for bits in 0..<4 as Range<UInt64> {
      device.restore(state)
      var chooser = SubsetCrash(bits: bits)
      device.powerCut(choosing: &chooser)
      seen.append(sectors(device, at: 0)[0])
    }
    #expect(seen == [0, 1, 2, 2])
  }

  @Test func aWriteIsTornAtSectors() throws {
    let device = SimulatedDevice(name: "a", sizeBytes: 1 << 20)
    try write(device, at: 0, 1)
    let state = device.snapshot()
    #expect(device.unflushedWrites.map(\.atoms) == [8])
    var prefix = UniformCrash(.prefix(atoms: 3))
    device.powerCut(choosing: &prefix)
    #expect(sectors(device, at: 0) == [1, 1, 1, 0, 0, 0, 0, 0])
    device.restore(state)
    var suffix = UniformCrash(.suffix(atoms: 3))
    device.powerCut(choosing: &suffix)
    #expect(sectors(device, at: 0) == [0, 0, 0, 0, 0, 1, 1, 1])
    device.restore(state)
    var scattered = UniformCrash(.scattered(seed: 5))
    device.powerCut(choosing: &scattered)
    #expect(Set(sectors(device, at: 0)) == [0, 1])
  }

  @Test func aDeviceWithLargeSectorsTearsAtThem() throws {
    let device = SimulatedDevice(name: "a", sizeBytes: 1 << 20, logicalBlockBytes: 4096)
    try write(device, at: 0, 1, count: 8192)
    #expect(device.unflushedWrites.map(\.atoms) == [2])
    var chooser = SingledOutCrash(index: 0, fate: .prefix(atoms: 1), rest: UniformCrash.allAbsent)
    device.powerCut(choosing: &chooser)
    #expect(sectors(device, at: 0) == [1, 1, 1, 1, 1, 1, 1, 1])
    #expect(sectors(device, at: 4096) == [0, 0, 0, 0, 0, 0, 0, 0])
  }

  @Test func aDeadProcessKeepsItsWritesButTheyStayVolatile() throws {
    let device = SimulatedDevice(name: "a", sizeBytes: 1 << 20)
    try write(device, at: 0, 1)
    device.processDeath(.inFlightLands)
    #expect(sectors(device, at: 0)[0] == 1)
    var chooser = UniformCrash.allAbsent
    device.powerCut(choosing: &chooser)
    #expect(sectors(device, at: 0)[0] == 0)
  }

  @Test func callsBeyondTheCrashPointThrowAndTheFirstWriteIsInFlight() throws {
    let device = SimulatedDevice(name: "a", sizeBytes: 1 << 20)
    device.crashPoint.limit = 2
    try write(device, at: 0, 1)
    try device.flush()
    #expect(throws: DeviceError.self) { try write(device, at: 0, 2) }
    #expect(throws: DeviceError.self) { try write(device, at: 0, 3) }
    #expect(throws: DeviceError.self) { try device.flush() }
    #expect(device.crashPoint.events == 2)
    #expect(device.unflushedWrites.map(\.isCompleted) == [false])
    #expect(sectors(device, at: 0)[0] == 1)
    var chooser = UniformCrash(.prefix(atoms: 1))
    device.powerCut(choosing: &chooser)
    #expect(sectors(device, at: 0) == [2, 1, 1, 1, 1, 1, 1, 1])
  }

  @Test func aFailedFlushIsNotMadeGoodByALaterOne() throws {
    let device = SimulatedDevice(name: "a", sizeBytes: 1 << 20)
    device.inject(DeviceFault(.error(errno: 5), on: .flush, number: 1))
    try write(device, at: 0, 1)
    #expect(throws: DeviceError(.flush, device: "a", errno: 5)) { try device.flush() }
    try device.flush()
    try write(device, at: 4096, 2)
    try device.flush()
    var chooser = UniformCrash.allAbsent
    device.powerCut(choosing: &chooser)
    #expect(sectors(device, at: 0)[0] == 0)
    #expect(sectors(device, at: 4096)[0] == 2)
  }

  @Test func whatAFailedFlushLeftNeverReplacesALaterDurableWrite() throws {
    let device = SimulatedDevice(name: "a", sizeBytes: 1 << 20)
    device.inject(DeviceFault(.error(errno: 5), on: .flush, number: 1))
    try write(device, at: 0, 1, count: 8192)
    #expect(throws: DeviceError.self) { try device.flush() }
    try write(device, at: 0, 2)
    try device.flush()
    var chooser = UniformCrash.allWhole
    device.powerCut(choosing: &chooser)
    #expect(sectors(device, at: 0)[0] == 2)
    #expect(sectors(device, at: 4096)[0] == 1)
  }

  @Test func faultsOfEveryKindHitTheChosenOperation() throws {
    let device = SimulatedDevice(name: "a", sizeBytes: 1 << 20)
    device.inject(DeviceFault(.lostWrite, on: .write, number: 1))
    device.inject(DeviceFault(.misdirectedWrite(byBytes: 4096), on: .write, number: 2))
    device.inject(DeviceFault(.error(errno: 28), on: .write, number: 3, isForGood: true))
    device.inject(DeviceFault(.lyingFlush, on: .flush, number: 1))
    try write(device, at: 0, 1)
    try write(device, at: 0, 2)
    #expect(throws: DeviceError(.write, device: "a", errno: 28)) {
      try write(device, at: 16384, 3)
    }
    #expect(throws: DeviceError.self) { try write(device, at: 16384, 3) }
    #expect(sectors(device, at: 0)[0] == 0)
    #expect(sectors(device, at: 4096)[0] == 2)
    try device.flush()
    device.clearFaults()
    try write(device, at: 8192, 4)
    let state = device.snapshot()
    var chooser = UniformCrash.allAbsent
    device.powerCut(choosing: &chooser)
    #expect(sectors(device, at: 4096)[0] == 0)
    device.restore(state)
    try device.flush()
    device.powerCut(choosing: &chooser)
    #expect(sectors(device, at: 4096)[0] == 2)
    #expect(device.counts.writes == 5)
    #expect(device.counts.flushes == 2)
  }

  @Test func aDeviceVanishesRotsAndReturnsOld() throws {
    let device = SimulatedDevice(name: "a", sizeBytes: 1 << 20)
    try write(device, at: 0, 1)
    try device.flush()
    let old = device.snapshot()
    try write(device, at: 0, 2)
    try device.flush()
    device.inject(DeviceFault(.vanish, on: nil, number: 1))
    #expect(throws: DeviceError(.flush, device: "a", errno: 19)) { try device.flush() }
    #expect(throws: DeviceError(.write, device: "a", errno: 19)) { try write(device, at: 0, 3) }
    device.restore(old)
    device.comeBack()
    #expect(sectors(device, at: 0)[0] == 1)
    device.rot(at: DeviceByteOffset(0), bit: 1)
    #expect(sectors(device, at: 0)[0] == 3)
  }

  @Test func aRangeBeyondTheEndIsAnError() throws {
    let device = SimulatedDevice(name: "a", sizeBytes: 1 << 20)
    #expect(throws: DeviceError(.write, device: "a", errno: 5)) {
      try write(device, at: (1 << 20) - 4096, 1, count: 8192)
    }
  }
}
