import ServerHarness
import Testing

/// The claims of the patent that Lamina goes back to (US 6,857,059), each shown on a running server
/// by a client that sees only what a host sees, and by the counters that an administrator sees.
/// Claims 3 and 14 were cancelled. `Docs/Claims.md` says where the code does it.
@Suite(.serialized) struct ClaimTests {
  private let server: LaminaServer
  private let host: NBDConnection

  init() throws {
    server = try LaminaServer()
    try server.createVolume("disk", "1T")
    host = try server.connect("disk")
  }

  private static let extent: UInt64 = 64 << 10
  /// A virtual address far beyond the physical space of the pool (768 MiB).
  private static let address: UInt64 = 700 << 30
  private let data = StampedBytes.random(4096, seed: 1)
  private let newer = StampedBytes.random(4096, seed: 2)

  private func isMapped(_ address: UInt64, _ length: UInt32 = 4096) throws -> Bool {
    try host.blockStatus(address, length).allSatisfy { !$0.isHole }
  }

  /// Claim 1: a write is completed where space is allocated, and where none is, space is allocated
  /// by itself, an entry of the mapping table links the address to it, and the write is completed.
  @Test func claim01AWriteAllocatesWhereNothingIsAllocated() throws {
    #expect(try !isMapped(Self.address))
    #expect(try server.volume("disk").allocatedBytes == 0)
    try host.write(Self.address, data)
    #expect(try server.volume("disk").allocatedBytes == Self.extent)
    #expect(try isMapped(Self.address))
    #expect(try host.read(Self.address, 4096) == data)
    // The second write finds the space and takes no more.
    try host.write(Self.address, newer)
    #expect(try server.volume("disk").allocatedBytes == Self.extent)
    #expect(try host.read(Self.address, 4096) == newer)
    // The entry is in a table that is kept, not in this process.
    try host.flush()
    try server.killAndRestart()
    #expect(try server.connect("disk").read(Self.address, 4096) == newer)
  }

  /// Claim 2: it is determined by whether the mapping table links the virtual address to physical
  /// ones: the same address is unlinked, linked, and unlinked again.
  @Test func claim02TheMappingTableDecides() throws {
    for _ in 0..<3 {
      #expect(try !isMapped(Self.address))
      try host.write(Self.address, data)
      #expect(try isMapped(Self.address))
      #expect(try !isMapped(Self.address + 1 << 30), "a link holds for its own address")
      try host.trim(Self.address, 4096)
    }
    #expect(try server.volume("disk").allocatedBytes == 0)
  }

  /// Claim 4: the system determines how many blocks to allocate. What a host sees of its volume
  /// depends on the pool's decision, not on the length of its request.
  @Test func claim04TheServerDecidesHowManyBlocks() throws {
    for (index, length) in [512, 4096, 8192, 65536].enumerated() {
      let place = UInt64(index) << 30
      try host.write(place, StampedBytes.random(length, seed: 3))
      #expect(try server.volume("disk").allocatedBytes == Self.extent * UInt64(index + 1))
    }
  }

  /// Claim 5: more blocks are allocated than the request holds.
  @Test func claim05MoreIsAllocatedThanWasWritten() throws {
    try host.write(Self.address, data)
    #expect(try server.volume("disk").allocatedBytes == 16 * 4096)
    #expect(try server.volume("disk").mappedBytes == 4096)
    // The neighbours find their space allocated.
    for block in 1..<16 {
      try host.write(Self.address + UInt64(block) * 4096, data)
    }
    #expect(try server.volume("disk").allocatedBytes == 16 * 4096)
    #expect(try server.volume("disk").mappedBytes == 16 * 4096)
  }

  /// Claim 6: the storage system has several devices; one virtual disk lies on all of them.
  @Test func claim06OneVolumeLiesOnSeveralDevices() throws {
    try spreadOverDevices()
  }

  private func spreadOverDevices() throws {
    #expect(try server.status().devices.count == 2)
    let chunk = StampedBytes.random(1 << 20, seed: 4)
    for index in 0..<128 { try host.write(Self.address + UInt64(index) << 20, chunk) }
    let written = try server.status().devices.map(\.dataWrites)
    #expect(written.allSatisfy { $0 > 0 }, "\(written)")
    for index in 0..<128 {
      try #require(try host.read(Self.address + UInt64(index) << 20, 1 << 20) == chunk)
    }
    let read = try server.status().devices.map(\.dataReads)
    #expect(read.allSatisfy { $0 > 0 }, "\(read)")
  }

  /// Claim 7: any operation on an address without space allocates and is then completed; here the
  /// operation provisions a range without data.
  @Test func claim07AnotherOperationAllocatesToo() throws {
    try host.writeZeroes(Self.address, 1 << 20, flags: .noHole)
    #expect(try server.volume("disk").allocatedBytes == 1 << 20)
    #expect(try isMapped(Self.address, 1 << 20))
    #expect(try host.read(Self.address, 4096) == [UInt8](repeating: 0, count: 4096))
    // On space that is allocated it completes there.
    try host.writeZeroes(Self.address, 1 << 20, flags: .noHole)
    #expect(try server.volume("disk").allocatedBytes == 1 << 20)
    try host.write(Self.address, data)
    #expect(try server.volume("disk").allocatedBytes == 1 << 20)
    #expect(try host.read(Self.address, 4096) == data)
  }

  /// Claim 8: a read of allocated space retrieves the data from it.
  @Test func claim08AReadOfAllocatedSpaceRetrievesTheData() throws {
    try host.write(Self.address, data)
    try host.flush()
    let before = try server.status().dataReads
    #expect(try host.read(Self.address, 4096) == data)
    #expect(try server.status().dataReads > before)
  }

  /// Claim 9: a read of what was never allocated returns a default page, and retrieves no data.
  @Test func claim09AReadOfUnallocatedSpaceRetrievesNothing() throws {
    try readUnallocatedSpace()
  }

  private func readUnallocatedSpace() throws {
    try host.write(0, data)
    let before = try server.status()
    for index in 1..<50 {
      let page = try host.read(Self.address + UInt64(index) << 20, 64 << 10)
      #expect(page == [UInt8](repeating: 0, count: 64 << 10))
    }
    let after = try server.status()
    #expect(after.dataReads == before.dataReads)
    #expect(try server.volume("disk").allocatedBytes == Self.extent, "reading takes no space")
  }

  /// Claim 10: the operation is a write with one or more blocks of data.
  @Test func claim10AWriteCarriesOneOrMoreBlocks() throws {
    for blocks in [1, 2, 16, 17, 300] {
      let bytes = StampedBytes.random(blocks * 4096, seed: UInt64(blocks))
      try host.write(Self.address + UInt64(blocks) << 30, bytes)
      #expect(try host.read(Self.address + UInt64(blocks) << 30, bytes.count) == bytes)
    }
  }

  /// Claim 11: for such a write the number of blocks to allocate is determined.
  @Test func claim11TheNumberOfBlocksIsDeterminedForAWrite() throws {
    // 17 blocks from the last of an extent: it and the whole next one.
    let start = Self.address + 15 * 4096
    try host.write(start, StampedBytes.random(17 * 4096, seed: 5))
    #expect(try server.volume("disk").allocatedBytes == 2 * Self.extent)
    // One sector on either side of the border of two others.
    try host.write(Self.address + 1 << 30 + Self.extent - 512, StampedBytes.random(1024, seed: 6))
    #expect(try server.volume("disk").allocatedBytes == 4 * Self.extent)
  }

  /// Claim 12: that number is greater than that of the blocks in the write; ahead of a stream it
  /// is a run of extents, which the pool holds and the volume does not yet use.
  @Test func claim12MoreBlocksAreAllocatedThanTheWriteHolds() throws {
    let before = try server.status().usedBytes
    let chunk = StampedBytes.random(64 << 10, seed: 7)
    for index in 0..<64 { try host.write(Self.address + UInt64(index) * Self.extent, chunk) }
    let used = try server.status().usedBytes - before
    #expect(used >= 64 * Self.extent)
    try host.write(Self.address + 1 << 30, data)
    #expect(try server.volume("disk").allocatedBytes > server.volume("disk").mappedBytes)
  }

  /// Claim 13: for any operation the mapping table's link decides.
  @Test func claim13TheMappingTableDecidesForReadsAndProvisioning() throws {
    let before = try server.status().dataReads
    #expect(try host.read(Self.address, 4096) == [UInt8](repeating: 0, count: 4096))
    #expect(try server.status().dataReads == before)
    try host.write(Self.address, data)
    #expect(try host.read(Self.address, 4096) == data)
    #expect(try server.status().dataReads > before)
    try host.trim(Self.address, 4096)
    let unlinked = try server.status().dataReads
    #expect(try host.read(Self.address, 4096) == [UInt8](repeating: 0, count: 4096))
    #expect(try server.status().dataReads == unlinked)
  }

  /// Claim 15: claim 7 over several devices.
  @Test func claim15AnyOperationWorksOverSeveralDevices() throws {
    try host.writeZeroes(Self.address, 128 << 20, flags: .noHole)
    try host.writeZeroes(Self.address, 128 << 20)
    try spreadOverDevices()
  }

  /// Claim 16: claim 1 with claims 4 and 5: allocation by itself, of more than was written.
  @Test func claim16AWriteAllocatesMoreThanItHolds() throws {
    try host.write(Self.address, [UInt8](data.prefix(512)))
    let volume = try server.volume("disk")
    #expect(volume.allocatedBytes == Self.extent && volume.mappedBytes == 4096)
    let expected = data.prefix(512) + [UInt8](repeating: 0, count: 3584)
    #expect(try host.read(Self.address, 4096) == Array(expected))
    try host.write(Self.address, newer)
    #expect(try server.volume("disk").allocatedBytes == Self.extent)
    #expect(try host.read(Self.address, 4096) == newer)
  }

  /// Claim 17: an operation allocates where nothing is allocated, and reads of unallocated space
  /// return the default page without retrieving data.
  @Test func claim17ReadsOfUnallocatedSpaceReturnTheDefaultPage() throws {
    try readUnallocatedSpace()
    try host.writeZeroes(Self.address, 4096, flags: .noHole)
    #expect(try server.volume("disk").allocatedBytes == 2 * Self.extent)
  }

  /// Claim 18: the operation is a write, and more is allocated than it holds.
  @Test func claim18AnOperationThatWritesAllocatesMoreThanItHolds() throws {
    for index in 0..<20 {
      try host.write(UInt64(index) * 40 << 30, data)
      let volume = try server.volume("disk")
      #expect(volume.allocatedBytes == UInt64(index + 1) * Self.extent)
      #expect(volume.mappedBytes == UInt64(index + 1) * 4096)
    }
    for index in 0..<20 { #expect(try host.read(UInt64(index) * 40 << 30, 4096) == data) }
  }
}
