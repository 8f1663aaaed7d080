import Foundation
import ServerHarness
import Testing

extension InteropTests {
  /// Volumes that get another size or name while real clients use them.
  @Suite struct ResizeTests {
    private static let mebibyte: UInt64 = 1 << 20

    @Test func aVolumeGrowsAndShrinksUnderItsClients() throws {
      let server = try LaminaServer()
      let name = "\(server.pool)/disk"
      try server.createVolume("disk", "8M")
      let old = try server.connect("disk")
      let bytes = StampedBytes.random(64 << 10, seed: 1)
      for i in 0..<8 as Range<UInt64> { try old.write(i * Self.mebibyte, bytes) }
      try server.command(["volume", "resize", name, "1T"])
      #expect(try old.read(0, 64 << 10) == bytes, "an open export goes on")
      let large = try server.connect("disk")
      #expect(large.size == 1 << 40)
      try large.write((1 << 40) - 65536, bytes)
      #expect(try large.read(8 * Self.mebibyte, 65536) == [UInt8](repeating: 0, count: 65536))
      let used = try server.volume("disk").allocatedBytes

      let refused = try server.attempt(["volume", "resize", name, "1M", "--json"])
      #expect(refused.status == 1)
      #expect(refused.errors.contains("would-lose-data"))
      #expect(try server.volume("disk").allocatedBytes == used)
      try server.command(["volume", "resize", name, "\(2 * Self.mebibyte + 512)", "--shrink"])
      #expect(try server.volume("disk").allocatedBytes == 3 * 65536)
      #expect(throws: NBDRefusal(code: 28)) { try large.write(4 * Self.mebibyte, bytes) }
      #expect(throws: NBDRefusal(code: 28)) { try large.writeZeroes(4 * Self.mebibyte, 512) }
      #expect(throws: NBDRefusal(code: 22)) { _ = try large.read(4 * Self.mebibyte, 512) }
      #expect(try large.read(Self.mebibyte, 65536) == bytes, "before the end it goes on")
      try server.killAndRestart()
      let info = try server.folder.output(of: "nbdinfo", ["--size", server.uri("disk")])
      #expect(info.trimmingCharacters(in: .whitespacesAndNewlines) == "2097664")
      try server.command(["volume", "resize", name, "8M"])
      let again = try server.connect("disk")
      #expect(try again.read(2 * Self.mebibyte, 512) == Array(bytes[..<512]))
      let behind = try again.read(2 * Self.mebibyte + 512, (6 << 20) - 512)
      #expect(behind.allSatisfy { $0 == 0 })
    }

    @Test func aVolumeAndASnapshotAreRenamedInUse() throws {
      let server = try LaminaServer()
      let pool = server.pool
      try server.createVolume("disk", "8M")
      try server.createVolume("other", "8M")
      let disk = try server.connect("disk")
      let bytes = StampedBytes.random(4096, seed: 1)
      try disk.write(0, bytes)
      try server.command(["snapshot", "create", "\(pool)/disk@monday", "\(pool)/other@monday"])
      let clash = try server.attempt(["volume", "rename", "\(pool)/disk", "other", "--json"])
      #expect(clash.status == 1)
      #expect(clash.errors.contains("volume-exists"))
      #expect(clash.errors.contains("other"))
      try server.command(["volume", "rename", "\(pool)/disk", "data"])
      try server.command(["snapshot", "rename", "\(pool)/data@monday", "tuesday"])
      #expect(try disk.read(0, 4096) == bytes)
      try disk.write(4096, bytes)
      #expect(throws: (any Error).self) { try server.connect("disk") }
      #expect(throws: (any Error).self) { try server.connect("data@monday") }
      try server.killAndRestart()
      #expect(try server.connect("data").read(4096, 4096) == bytes)
      #expect(try server.connect("data@tuesday").read(0, 4096) == bytes)
      try server.createVolume("disk", "1M")
    }
  }
}
