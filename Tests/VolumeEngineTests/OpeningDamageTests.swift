import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import Testing

@testable import VolumeEngine

/// Rot and loss on the devices: what has a second copy opens, what has none is refused by name.
@Suite struct OpeningDamageTests {
  private func filledPool(_ deviceCount: Int) throws -> [SimulatedDevice] {
    let devices = OpeningTestServer.newDevices(
      Array(repeating: 40 << 20, count: deviceCount))
    try OpeningTestServer.create(devices)
    let server = try OpeningTestServer(devices, nonce: 1)
    let volume = try server.createVolume("v")
    let doomed = try server.createVolume("doomed")
    for n in 0..<300 as Range<UInt64> {
      try server.write(volume, n * 50, .all)
      if n % 8 == 0 { try server.write(doomed, n * 50, .all) }
      if n % 20 == 0 { try server.flush() }
    }
    try server.flush()
    try server.checkpoint()
    try server.delete(doomed)
    try server.flush()
    try server.checkpoint()
    try server.write(volume, 1, .all)
    try server.flush()
    return devices
  }

  /// The blocks that a start and a look at everything read, by device.
  private func contents(_ devices: [SimulatedDevice]) throws -> [String: [UInt64: MapEntry]] {
    try OpeningTestServer(devices, nonce: 9).contents()
  }

  private func newest(_ devices: [SimulatedDevice]) throws -> Superblock {
    try PoolMembership(
      devices.map {
        PoolMembership.Found(
          name: $0.name, sizeBytes: $0.sizeBytes, copies: SuperblockSlots.read(from: $0))
      }
    ).newest
  }

  private func rot(_ devices: [SimulatedDevice], _ place: DevicePlace) {
    devices[Int(place.device.index)].rot(
      at: DeviceByteOffset(place.byteOffset.bytes + 100), bit: 3)
  }

  /// Every table's first places are damaged one after the other, all of one device at once.
  @Test func onTwoDevicesEitherCopyOfEveryTableIsEnough() throws {
    let devices = try filledPool(2)
    let before = devices.map { $0.snapshot() }
    let expected = try contents(devices)
    for victim in 0..<2 {
      for (device, state) in zip(devices, before) { device.restore(state) }
      // Everything that the victim holds but its superblocks is lost.
      let size = devices[victim].sizeBytes
      devices[victim].overwrite(
        at: DeviceByteOffset(1 << 20), with: Array(repeating: 0xA5, count: Int(size) - 1 << 20))
      #expect(try contents(devices) == expected, "device \(victim)")
    }
  }

  @Test func onOneDeviceDamageIsRefusedByName() throws {
    let devices = try filledPool(1)
    let before = devices[0].snapshot()
    let superblock = try newest(devices)
    let set = DeviceSet([DeviceIndex(index: 0): devices[0]])
    let reading = TableReading(devices: set, superblock: superblock)
    let segments = try reading.segments()
    func place(_ address: PoolAddress) throws -> DevicePlace {
      let entry = segments.entries[Int(address.block >> UInt64(superblock.segmentShift))]
      let offset = address.block & (1 << UInt64(superblock.segmentShift) - 1)
      return try #require(entry.place).advanced(byBlocks: offset)
    }
    let node = try #require(segments.entries.first { $0.segmentClass == .node })
    let layout = NodeSegmentLayout(segmentShift: superblock.segmentShift)
    let counts = try #require(node.place).advanced(
      byBlocks: UInt64(layout.firstBlock(ofImage: Int(node.currentImage))))
    let cases: [(TableDamage.Table, DevicePlace)] = [
      (.segmentTable, try #require(superblock.segmentTable.pointer).place),
      (.nodeCounts, counts),
      (.catalogue, try place(superblock.catalogue.pointer.address)),
      (.doomedList, try place(superblock.doomed.pointer.address)),
    ]
    for (table, place) in cases {
      devices[0].restore(before)
      rot(devices, place)
      do throws(PoolOpeningError) {
        _ = try OpeningTestServer(devices, nonce: 9)
        Issue.record("damage of the \(table) was not noticed")
      } catch {
        guard case .tableDamaged(let damage) = error else {
          Issue.record("\(error)")
          continue
        }
        #expect(damage.table == table)
        #expect(damage.place == place)
        #expect(error.description.contains(table.rawValue))
      }
    }
  }

  @Test func aLostDurableJournalBlockIsRefused() throws {
    let devices = try filledPool(1)
    let server = try OpeningTestServer(devices, nonce: 2)
    let volume = try #require(server.pool.volume(named: "v"))
    try server.write(volume, 2, .all)
    try server.flush()
    try server.write(volume, 3, .all)
    try server.flush()
    rot(devices, server.journal.place)
    #expect(
      throws: PoolOpeningError.journal(.durableBlockLost(sequence: 1, saidDurableBy: 2))
    ) { try OpeningTestServer(devices, nonce: 3) }
  }

  /// A sector that cannot be read is not an end of the log: the last flush may lie there.
  @Test(arguments: [1, 2]) func anUnreadableLastJournalBlockIsRefusedUnlessAnotherPlaceHasIt(
    deviceCount: Int
  ) throws {
    let devices = try filledPool(deviceCount)
    let server = try OpeningTestServer(devices, nonce: 2)
    let volume = try #require(server.pool.volume(named: "v"))
    try server.write(volume, 2, .all)
    try server.flush()
    let start = server.journal.place.byteOffset.bytes
    devices[Int(server.journal.place.device.index)].inject(
      DeviceFault(
        .error(errno: 5), on: .read, number: 1, isForGood: true, within: start..<start + 4096))
    if deviceCount == 1 {
      #expect(throws: PoolOpeningError.journal(.blockUnreadable(sequence: 1))) {
        try OpeningTestServer(devices, nonce: 3)
      }
    } else {
      let again = try OpeningTestServer(devices, nonce: 3)
      #expect(again.report.journalRecords > 0)
    }
  }

  @Test func anOldSuperblockIsNotUsedOnceTheJournalNamesANewerOne() throws {
    let devices = try filledPool(1)
    let server = try OpeningTestServer(devices, nonce: 2)
    let volume = try #require(server.pool.volume(named: "v"))
    try server.write(volume, 2, .all)
    try server.flush()
    let sequence = try newest(devices).sequence
    for offset in SuperblockSlots.offsets(sequence: sequence) {
      devices[0].rot(at: DeviceByteOffset(offset + 50), bit: 1)
    }
    #expect(
      throws: PoolOpeningError.journal(
        .superblockOlderThanJournal(superblock: sequence - 1, named: sequence))
    ) { try OpeningTestServer(devices, nonce: 3) }
  }

  @Test func aWriterWithLargerBoundsIsRefusedOnlyWhereMemoryIsShort() throws {
    let devices = try filledPool(1)
    do throws(PoolOpeningError) {
      _ = try unsafe PoolOpening.open(
        devices,
        settings: PoolOpening.Settings(
          bounds: OpeningTestServer.bounds, memoryLimitBytes: 1 << 20, logNonce: 1,
          opening: Opening(host: "h", process: 1, at: 1), bootID: nil))
      Issue.record("it opened")
    } catch {
      guard case .needsMoreMemory(_, limit: 1 << 20) = error else {
        Issue.record("\(error)")
        return
      }
    }
  }

  @Test func aFailedBarrierStopsTheStart() throws {
    let devices = try filledPool(1)
    devices[0].inject(DeviceFault(.error(errno: 5), on: .flush, number: 1))
    #expect(
      throws: PoolOpeningError.device(DeviceError(.flush, device: "disk0", errno: 5))
    ) { try OpeningTestServer(devices, nonce: 9) }
  }
}
