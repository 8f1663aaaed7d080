import Foundation
import ServerHarness
import Testing

extension InteropTests {
  /// A pool that a real server wrote, checked while it is served, after a kill, and damaged.
  @Suite struct CheckTests {
    private static let bytes = StampedBytes.random(1 << 20, seed: 60)

    @Test func aServedPoolIsNotCheckedAndAKilledOneIs() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let client = try server.connect("disk")
      try client.write(0, Self.bytes)
      try client.flush()
      let holder = try #require(server.processIdentifier)
      let refused = try server.attempt(["pool", "check", "tank"])
      #expect(refused.status == 1, "\(refused)")
      #expect(refused.errors.contains("pool-in-use") && refused.errors.contains("\(holder)"))
      try server.kill()
      let killed = try server.attempt(["pool", "check", "tank"])
      #expect(killed.status == 0, "\(killed)")
      #expect(!killed.output.contains(", 0 records to replay"))
      try server.start()
      #expect(try server.connect("disk").read(0, Self.bytes.count) == Self.bytes)
      try server.stop()
      let stopped = try server.attempt(["pool", "check", "tank"])
      #expect(stopped.output.hasPrefix("pool tank: sound"), "\(stopped)")
    }

    /// One copy of everything on the second device is lost: all is mended, and served again.
    @Test func aDeviceThatLostItsTablesIsMendedFromTheOther() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      try server.connect("disk").write(0, Self.bytes)
      try server.stop()
      let dump = try server.command(["pool", "dump", "tank", "segments"])
      // Node segment 0 lies on both devices: "class node  place 0:N  secondPlace 1:M".
      let line = try #require(dump.split(separator: "\n").first { $0.contains("class node") })
      let second = try #require(line.split(separator: " ").first { $0.hasPrefix("1:") })
      let block = try #require(UInt64(second.dropFirst(2)))
      let file = try FileHandle(forUpdating: URL(fileURLWithPath: server.folder.path("b.img")))
      try file.seek(toOffset: block << 12)
      try file.write(contentsOf: Data(StampedBytes.random(64 << 10, seed: 61)))
      try file.seek(toOffset: 64 << 10)
      try file.write(contentsOf: Data(StampedBytes.random(8192, seed: 62)))
      try file.close()
      let found = try server.attempt(["pool", "check", "tank"])
      #expect(found.status == 0 && found.output.contains("[copy-bad]"), "\(found)")
      let mended = try server.attempt(["pool", "check", "tank", "--repair", "--yes"])
      #expect(mended.output.contains("pool tank: sound"), "\(mended)")
      try server.start()
      #expect(try server.connect("disk").read(0, Self.bytes.count) == Self.bytes)
    }
  }
}
