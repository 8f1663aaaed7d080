import BlockIO
import DiskSimulation
import StorageUnits
import Testing

private func write(
  _ device: SimulatedDevice, at offset: UInt64, _ buffer: AlignedBuffer
) throws(DeviceError) {
  try unsafe device.write(
    at: DeviceByteOffset(offset),
    from: UnsafeRawBufferPointer(start: buffer.pointer, count: buffer.count))
}

/// The first byte of each sector.
private func sectors(_ device: SimulatedDevice, at offset: UInt64, count: Int = 4096) -> [UInt8] {
  let bytes = device.contents(at: DeviceByteOffset(offset), count: count)
  return stride(from: 0, to: count, by: 512).map { bytes[$0] }
}

private func command(
  _ operation: IOCommand.Operation, _ buffer: AlignedBuffer? = nil, at offset: UInt64 = 0,
  length: Int = 0, token: UInt64 = 0
) -> IOCommand {
  unsafe IOCommand(
    operation, device: DeviceIndex(index: 0), offset: DeviceByteOffset(offset),
    length: buffer?.count ?? length, buffer: buffer?.pointer, token: token)
}

private func disks(seed: UInt64 = 1) -> (SimulatedDisks, SimulatedDevice) {
  let device = SimulatedDevice(name: "d", sizeBytes: 1 << 20)
  return (SimulatedDisks(devices: [device], seed: seed), device)
}

@Suite struct FaultTests {
  @Test func aShortWriteLandsItsFirstBytesAndFails() throws {
    let (disks, device) = disks()
    device.inject(DeviceFault(.short(bytes: 1024, errno: 5), on: .write, number: 1))
    let buffer = AlignedBuffer(count: 4096, filledWith: 7)
    defer { withExtendedLifetime(buffer) {} }
    disks.submit(command(.write, buffer))
    #expect(disks.completeOne()?.errno == 5)
    #expect(sectors(device, at: 0) == [7, 7, 0, 0, 0, 0, 0, 0])
    device.inject(DeviceFault(.short(bytes: 512, errno: 5), on: .write, number: 1))
    #expect(throws: DeviceError(.write, device: "d", errno: 5)) {
      try write(device, at: 4096, buffer)
    }
    #expect(sectors(device, at: 4096) == [7, 0, 0, 0, 0, 0, 0, 0])
    #expect(device.faultCounts.shortTransfers == 2)
  }

  @Test func aShortReadFillsItsFirstBytesAndFails() throws {
    let (disks, device) = disks()
    try write(device, at: 0, AlignedBuffer(count: 4096, filledWith: 7))
    device.inject(DeviceFault(.short(bytes: 512, errno: 5), on: .read, number: 1))
    let buffer = AlignedBuffer(count: 4096, filledWith: 0)
    defer { withExtendedLifetime(buffer) {} }
    disks.submit(command(.read, buffer))
    #expect(disks.completeOne()?.errno == 5)
    #expect(unsafe buffer.pointer.load(fromByteOffset: 511, as: UInt8.self) == 7)
    #expect(unsafe buffer.pointer.load(fromByteOffset: 512, as: UInt8.self) == 0xDB)
  }

  /// Time →
  /// write:  first half … second half … completed
  /// flush:                 submitted and completed between covers the first half alone
  @Test func aWriteInTwoPiecesIsDurableByHalves() throws {
    let (disks, device) = disks()
    device.inject(DeviceFault(.inTwoPieces(firstBytes: 4096), on: .write, number: 1))
    let buffer = AlignedBuffer(count: 8192, filledWith: 7)
    defer { withExtendedLifetime(buffer) {} }
    disks.submit(command(.write, buffer, token: 1))
    disks.submit(command(.flush, token: 2))
    // The flush was submitted before anything had completed.
    #expect(disks.complete(at: 0)?.token == 2)
    #expect(sectors(device, at: 0)[0] == 7)
    #expect(sectors(device, at: 4096)[0] == 0)
    disks.submit(command(.flush, token: 3))
    #expect(disks.complete(at: 1)?.token == 3)
    let between = device.snapshot()
    #expect(disks.complete(at: 0)?.token == 1)
    #expect(sectors(device, at: 4096)[0] == 7)
    device.restore(between)
    var chooser = UniformCrash.allAbsent
    device.powerCut(choosing: &chooser)
    #expect(sectors(device, at: 0)[0] == 7)
    #expect(sectors(device, at: 4096)[0] == 0)
  }

  @Test func aReadInTwoPiecesFillsItsWholeBuffer() throws {
    let (disks, device) = disks()
    try write(device, at: 0, AlignedBuffer(count: 8192, filledWith: 7))
    device.inject(DeviceFault(.inTwoPieces(firstBytes: 4096), on: .read, number: 1))
    let buffer = AlignedBuffer(count: 8192, filledWith: 0)
    defer { withExtendedLifetime(buffer) {} }
    disks.submit(command(.read, buffer, token: 1))
    #expect(disks.completeOne()?.token == 1)
    #expect(disks.completeOne() == nil)
    #expect(unsafe buffer.pointer.load(fromByteOffset: 0, as: UInt8.self) == 7)
    #expect(unsafe buffer.pointer.load(fromByteOffset: 8191, as: UInt8.self) == 7)
  }

  @Test func aSlowCommandIsOvertaken() {
    for seed in 0..<20 as Range<UInt64> {
      let (disks, device) = disks(seed: seed)
      device.inject(DeviceFault(.slow(completions: 5), on: .read, number: 1))
      let buffers = (0..<6).map { _ in AlignedBuffer(count: 4096, filledWith: 0) }
      defer { withExtendedLifetime(buffers) {} }
      for (i, buffer) in buffers.enumerated() {
        disks.submit(command(.read, buffer, token: UInt64(i)))
      }
      var order: [UInt64] = []
      while let completion = disks.completeOne() { order.append(completion.token) }
      #expect(order.last == 0)
      #expect(order.count == 6)
    }
  }

  @Test func aSlowCommandAloneCompletes() {
    let (disks, device) = disks()
    device.inject(DeviceFault(.slow(completions: 50), on: .flush, number: 1))
    disks.submit(command(.flush, token: 9))
    #expect(disks.completeOne()?.token == 9)
  }

  @Test func spaceUnderneathRunsOutAndComesBack() throws {
    let (disks, device) = disks()
    device.limitSpace(freeBytes: 8192, backedBelow: 4096)
    let buffer = AlignedBuffer(count: 4096, filledWith: 1)
    try write(device, at: 0, buffer)
    try write(device, at: 8192, buffer)
    try write(device, at: 8192, buffer)
    try write(device, at: 12288, buffer)
    #expect(throws: DeviceError(.write, device: "d", errno: 28)) {
      try write(device, at: 16384, buffer)
    }
    #expect(sectors(device, at: 16384)[0] == 0)
    disks.submit(command(.reserveSpace, at: 16384, length: 4096, token: 1))
    #expect(disks.completeOne()?.errno == 28)
    disks.submit(command(.punchHole, at: 8192, length: 4096, token: 2))
    #expect(disks.completeOne()?.errno == 0)
    disks.submit(command(.reserveSpace, at: 16384, length: 4096, token: 3))
    #expect(disks.completeOne()?.errno == 0)
    try write(device, at: 16384, buffer)
    device.addSpace(bytes: 4096)
    try write(device, at: 8192, buffer)
    #expect(device.faultCounts.refusedForSpace == 2)
    #expect(disks.failures.spaceReservations == 1)
  }

  @Test func faultsCanBeAimedAtAPlaceAndAtTables() throws {
    let (_, device) = disks()
    let tables = AlignedBuffer(count: 4096, filledWith: 1)
    let zeros = AlignedBuffer(count: 4096, filledWith: 0)
    let data = AlignedBuffer(count: 4096, filledWith: 0)
    unsafe StampedSector(volume: VolumeID(1), sector: 3, version: 4).write(
      into: UnsafeMutableRawBufferPointer(start: data.pointer + 1024, count: 512))
    device.inject(DeviceFault(.lostWrite, on: .write, number: 2, payload: .tables))
    try write(device, at: 0, tables)
    try write(device, at: 4096, data)
    try write(device, at: 8192, zeros)
    try write(device, at: 12288, tables)
    #expect(sectors(device, at: 0)[0] == 1)
    #expect(sectors(device, at: 4096)[2] == UInt8(ascii: "L"))
    #expect(sectors(device, at: 12288)[0] == 0)
    device.inject(
      DeviceFault(.error(errno: 5), on: .read, number: 1, isForGood: true, within: 4096..<8192))
    let buffer = AlignedBuffer(count: 8192, filledWith: 0)
    let memory = unsafe UnsafeMutableRawBufferPointer(start: buffer.pointer, count: 4096)
    try unsafe device.read(at: DeviceByteOffset(0 as UInt64), into: memory)
    try unsafe device.read(at: DeviceByteOffset(8192 as UInt64), into: memory)
    for _ in 0..<2 {
      #expect(throws: DeviceError(.read, device: "d", errno: 5)) {
        try unsafe device.read(
          at: DeviceByteOffset(0 as UInt64),
          into: UnsafeMutableRawBufferPointer(start: buffer.pointer, count: 8192))
      }
    }
  }

  @Test func oneSeedIsOneHistoryToTheByte() {
    func digest(seed: UInt64) -> UInt64 {
      let (disks, device) = disks(seed: seed)
      disks.keepsDigest = true
      device.inject(DeviceFault(.error(errno: 5), on: .write, number: 3))
      let buffers = (0..<8).map { AlignedBuffer(count: 4096, filledWith: UInt8($0)) }
      defer { withExtendedLifetime(buffers) {} }
      for (i, buffer) in buffers.enumerated() {
        let operation: IOCommand.Operation = i % 3 == 0 ? .read : .write
        disks.submit(command(operation, buffer, at: UInt64(i % 2) * 4096))
      }
      while disks.completeOne() != nil {}
      return disks.digest
    }
    #expect(digest(seed: 4) == digest(seed: 4))
    #expect(digest(seed: 4) != digest(seed: 5))
  }
}
