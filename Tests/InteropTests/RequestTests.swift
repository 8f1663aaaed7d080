import Foundation
import ServerHarness
import Testing

extension InteropTests {
  /// Lengths and places that real clients use and that are easy to get wrong.
  @Suite struct RequestTests {
    @Test(arguments: [512, 1536, 528 << 10, (1 << 20) + 512, (10 << 30) + 7 * 512])
    func theSizeIsExactAndNothingBehindItShows(size: UInt64) throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "\(size)")
      #expect(try server.volume("disk").sizeBytes == size)
      let client = try server.connect("disk")
      #expect(client.size == size)
      let last = StampedBytes.random(512, seed: size)
      try client.write(size - 512, last)
      #expect(try client.read(size - 512, 512) == last)
      if size >= 4096 {
        let tail = try client.read(size - 4096, 4096)
        #expect(tail == [UInt8](repeating: 0, count: 3584) + last)
      }
      for (offset, length) in [(size, 512), (size - 512, 1024), (size + (1 << 40), 512)] {
        #expect(throws: NBDRefusal(code: NBDMessage.Errors.invalid)) {
          try client.read(offset, length)
        }
        #expect(throws: NBDRefusal.self) {
          try client.write(offset, [UInt8](repeating: 1, count: length))
        }
        #expect(throws: NBDRefusal.self) { try client.trim(offset, UInt32(length)) }
      }
      #expect(try client.read(size - 512, 512) == last, "the connection goes on")
      try server.killAndRestart()
      #expect(try server.connect("disk").read(size - 512, 512) == last)
    }

    @Test func aSizeThatIsNoMultipleOfTheSectorIsRefused() throws {
      let server = try LaminaServer()
      let result = try server.attempt(["volume", "create", "tank/disk", "1000"])
      #expect(!result.succeeded)
      #expect(result.errors.contains("1000"), "\(result)")
    }

    @Test func fiftyMebibytesInOneRequest() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let client = try server.connect("disk", deadlineSeconds: 60)
      let bytes = StampedBytes.random(50 << 20, seed: 8)
      try client.write(12_345 * 512, bytes)
      #expect(try client.read(12_345 * 512, bytes.count) == bytes)
      try client.flush()
      try server.killAndRestart()
      let again = try server.connect("disk", deadlineSeconds: 60)
      #expect(try again.read(12_345 * 512, bytes.count) == bytes)
    }

    @Test func aDiscardOfTwoGibibytesGivesEverythingBack() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "10G")
      let client = try server.connect("disk", deadlineSeconds: 60)
      for index in 0..<64 {
        try client.write(UInt64(index) << 25, StampedBytes.random(65536, seed: UInt64(index)))
      }
      #expect(try server.volume("disk").allocatedBytes == 64 * 65536)
      try client.trim(0, 2 << 30)
      #expect(try client.read(0, 65536) == [UInt8](repeating: 0, count: 65536))
      #expect(try client.read(63 << 25, 4096) == [UInt8](repeating: 0, count: 4096))
      let figures = try server.volume("disk")
      #expect(figures.allocatedBytes == 0 && figures.mappedBytes == 0)
      try client.flush()
      try server.killAndRestart()
      #expect(try server.volume("disk").allocatedBytes == 0)
    }

    @Test func unmappedReadsTouchNoDevice() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1T")
      let client = try server.connect("disk")
      let before = try server.status().dataReads
      for index in 0..<200 {
        let zeros = try client.read(UInt64(index) * 5_000_000_512 / 512 * 512, 128 << 10)
        #expect(zeros.allSatisfy { $0 == 0 })
      }
      #expect(try server.status().dataReads == before)
      #expect(try server.volume("disk").allocatedBytes == 0, "and allocates nothing")
    }

    @Test func zerosWrittenToUnmappedSpaceAllocateNothing() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let client = try server.connect("disk")
      try client.write(0, [UInt8](repeating: 0, count: 1 << 20))
      #expect(try server.volume("disk").allocatedBytes == 0)
      try client.write(8192, StampedBytes.random(4096, seed: 9))
      try client.write(8192, [UInt8](repeating: 0, count: 4096))
      #expect(try client.read(8192, 4096) == [UInt8](repeating: 0, count: 4096))
    }

    @Test func writeZeroesWithoutAHoleProvisions() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let client = try server.connect("disk")
      try client.writeZeroes(1 << 20, 1 << 20, flags: .noHole)
      #expect(try server.volume("disk").allocatedBytes == 1 << 20)
      #expect(try client.read(1 << 20, 4096) == [UInt8](repeating: 0, count: 4096))
      let provisioned = try client.blockStatus(1 << 20, 1 << 20)
      #expect(provisioned.first?.isHole == false && provisioned.first?.readsAsZeros == true)
      try client.flush()
      try server.killAndRestart()
      #expect(try server.volume("disk").allocatedBytes == 1 << 20)
      let again = try server.connect("disk")
      try again.writeZeroes(1 << 20, 1 << 20)
      #expect(try server.volume("disk").allocatedBytes == 0)
    }

    @Test func aBlockIsCompletedWithZerosWhereASectorWasWritten() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let client = try server.connect("disk")
      // The extent first holds other data, so that only the mask can tell what is valid.
      try client.write(0, StampedBytes.random(65536, seed: 10))
      try client.trim(0, 65536)
      try client.flush()
      let sector = StampedBytes.random(512, seed: 11)
      try client.write(4096 + 1024, sector)
      var expected = [UInt8](repeating: 0, count: 65536)
      expected.replaceSubrange(5120..<5632, with: sector)
      #expect(try client.read(0, 65536) == expected)
    }

    @Test func aVolumeWithLargeSectorsRefusesSmallOnes() throws {
      let server = try LaminaServer()
      #expect(
        try !server.attempt(["volume", "create", "tank/odd", "1536", "--block-size", "4096"])
          .succeeded)
      try server.createVolume("disk", "1G", ["--block-size", "4096"])
      let client = try server.connect("disk")
      try client.write(4096, StampedBytes.random(4096, seed: 12))
      for (offset, length) in [(512, 4096), (0, 512), (4096, 6144)] {
        #expect(throws: NBDRefusal(code: NBDMessage.Errors.invalid)) {
          try client.read(UInt64(offset), length)
        }
        #expect(throws: NBDRefusal(code: NBDMessage.Errors.invalid)) {
          try client.write(UInt64(offset), [UInt8](repeating: 1, count: length))
        }
      }
      #expect(try client.read(4096, 4096) == StampedBytes.random(4096, seed: 12))
    }

    @Test func randomRequestsAgreeWithAnArrayThroughRestarts() throws {
      let server = try LaminaServer()
      var model = SectorModel(sectors: 8 << 11)
      try server.createVolume("disk", "\(model.bytes.count)")
      var generator = SeededGenerator(seed: 13)
      for round in 0..<4 {
        let client = try server.connect("disk")
        for _ in 0..<400 { try model.step(client, using: &generator) }
        try model.check(client, 0..<model.bytes.count)
        try round % 2 == 0 ? server.killAndRestart() : server.stopAndRestart()
        try model.check(server.connect("disk"), 0..<model.bytes.count)
      }
    }

    @Test func overlappingRequestsOnOneConnectionAllGetTheirAnswer() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let client = try server.connect("disk")
      var open: Set<UInt64> = []
      for index in 0..<512 {
        let block = StampedBytes.block(index: UInt64(index % 16), generation: UInt64(index + 1))
        open.insert(
          try client.submit(
            .write, offset: UInt64(index % 16) * 4096, length: 4096, payload: block))
        if open.count == 64 {
          let answer = try client.nextAnswer()
          #expect(answer.error == 0 && open.remove(answer.cookie) != nil)
        }
      }
      while !open.isEmpty {
        let answer = try client.nextAnswer()
        #expect(answer.error == 0 && open.remove(answer.cookie) != nil)
      }
      for index in 0..<16 {
        let block = try client.read(UInt64(index) * 4096, 4096)
        let generation = StampedBytes.generation(of: block, index: UInt64(index))
        #expect((generation ?? 0) > 0, "a block is one write or another, never a mixture")
      }
    }

    @Test func hostileBytesDisturbNobodyElse() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let good = try server.connect("disk")
      try good.write(0, StampedBytes.random(4096, seed: 14))
      for seed in 0..<20 {
        let bad = try server.connect("disk")
        try? bad.submit(bytes: StampedBytes.random(64 << seed % 8, seed: UInt64(seed)))
        bad.abort()
        // A length that nobody could hold.
        let worse = try server.connect("disk")
        _ = try? worse.submit(.write, offset: 0, length: .max)
        worse.abort()
        let half = try server.connect("disk")
        _ = try? half.submit(
          .write, offset: 65536, length: 1 << 20, payload: StampedBytes.random(9999, seed: 1))
        half.abort()
      }
      #expect(try good.read(0, 4096) == StampedBytes.random(4096, seed: 14))
      try good.flush()
      try server.stop()
    }
  }
}
