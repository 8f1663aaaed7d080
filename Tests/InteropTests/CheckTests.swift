import Foundation
import ServerHarness
import Testing

extension InteropTests {
  /// A pool that a real server wrote, checked while it is served, after a kill, and damaged.
  @Suite struct CheckTests {
    private static let bytes = StampedBytes.random(1 << 20, seed: 60)

    @Test func aPoolIsCheckedWhileItIsServedAndAfterAKill() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let client = try server.connect("disk")
      try client.write(0, Self.bytes)
      try client.flush()
      let served = try server.attempt(["pool", "check", "tank"])
      #expect(served.status == 0, "\(served)")
      #expect(served.output.hasPrefix("pool tank: sound; 1 volumes"), "\(served)")
      #expect(served.output.contains("of its server, whose journal was not looked at"))
      // A repair needs the pool for itself.
      let holder = try #require(server.processIdentifier)
      let refused = try server.attempt(["pool", "check", "tank", "--repair", "--yes"])
      #expect(refused.status == 1, "\(refused)")
      #expect(refused.errors.contains("pool-in-use") && refused.errors.contains("\(holder)"))
      try client.write(8 << 20, Self.bytes)
      try client.flush()
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

    /// Checks follow one another while a host writes, discards, and checkpoints come and go; none
    /// finds anything, and the host sees no error.
    @Test func aBusyPoolIsSoundInEveryCheck() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let client = try server.connect("disk")
      var report: [CheckOutput] = []
      for round in 0..<6 {
        for i in 0..<64 {
          try client.write(
            UInt64((round * 37 + i * 11) % 1000) << 20, Array(Self.bytes.prefix(16384)))
        }
        try client.flush()
        let check = try server.attempt(["pool", "check", "tank", "--json"])
        #expect(check.status == 0, "\(check)")
        report.append(try JSONDecoder().decode(CheckOutput.self, from: Data(check.output.utf8)))
      }
      #expect(report.allSatisfy { $0.served && $0.result == "sound" }, "\(report)")
      try server.stop()
      let stopped = try server.attempt(["pool", "check", "tank", "--json"])
      let last = try JSONDecoder().decode(CheckOutput.self, from: Data(stopped.output.utf8))
      #expect(!last.served && last.result == "sound", "\(last)")
      #expect(last.totals.usedExtents > 100)
    }

    private struct CheckOutput: Decodable {
      struct Totals: Decodable { var usedExtents: UInt64 }
      var served: Bool
      var result: String
      var totals: Totals
    }

    /// Damage in both places of a node that the server has read is found beside it.
    @Test func damageIsFoundWhileThePoolIsServed() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      try server.connect("disk").write(0, Self.bytes)
      try server.stop()
      try server.start()
      let dump = try server.attempt(["pool", "check", "tank", "--json"])
      #expect(dump.status == 0, "\(dump)")
      // Every node block of segment 0 on both devices but for what cannot be told apart: the map's
      // leaf is among them.
      for name in ["a.img", "b.img"] {
        let path = server.folder.path(name)
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
        var offset: UInt64 = 1 << 20
        while let block = try read(file, offset) {
          // A leaf of a map: magic, type 1, level 0.
          if block.starts(with: Data("LAMN".utf8) + [1, 1, 0]) {
            try file.seek(toOffset: offset + 100)
            try file.write(contentsOf: Data([0xAA, 0x55]))
          }
          offset += 4096
        }
        try file.close()
      }
      let found = try server.attempt(["pool", "check", "tank"])
      #expect(found.status == 3, "\(found)")
      #expect(found.output.contains("disk"), "\(found)")
    }

    /// The block there, nil behind the last one that a pool of the tests uses.
    private func read(_ file: FileHandle, _ offset: UInt64) throws -> Data? {
      guard offset < 512 << 20 else { return nil }
      try file.seek(toOffset: offset)
      let block = try file.read(upToCount: 4096)
      return block?.count == 4096 ? block : nil
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
