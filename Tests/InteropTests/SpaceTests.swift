import Foundation
import ServerHarness
import Testing

extension InteropTests {
  /// Who holds the space of a pool, as its users are told.
  @Suite struct SpaceTests {
    private struct Shown: Decodable {
      var allocatedBytes, exclusiveBytes, sharedBytes: UInt64
      var sharedWith: [String]
    }
    private struct Estimate: Decodable { var freedBytes, freedDataBytes, sharedBytes: UInt64 }
    private struct Usage: Decodable {
      struct Holder: Decodable { var name: String, exclusiveBytes, referencedBytes: UInt64 }
      var usedBytes, exclusiveBytes, sharedBytes, aheadBytes, reclaimableBytes: UInt64
      var metadataBytes: UInt64
      var holders: [Holder]

      var parts: UInt64 {
        exclusiveBytes + sharedBytes + aheadBytes + reclaimableBytes + metadataBytes
      }
    }
    private static let megabyte: UInt64 = 1 << 20

    private func json<Value: Decodable>(
      _ type: Value.Type, _ server: LaminaServer, _ arguments: [String]
    ) throws -> Value {
      let answer = try server.command(arguments + ["--json"])
      return try JSONDecoder().decode(type, from: Data(answer.utf8))
    }

    @Test func whoHoldsWhatIsToldAndDeletingFreesIt() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let client = try server.connect("disk")
      for i in 0..<8 {
        try client.write(UInt64(i) << 20, StampedBytes.random(1 << 20, seed: UInt64(i)))
      }
      try client.flush()
      let alone = try json(Shown.self, server, ["volume", "show", "tank/disk"])
      #expect(alone.exclusiveBytes == 8 * Self.megabyte && alone.sharedBytes == 0, "\(alone)")
      try server.command(["snapshot", "create", "tank/disk@a"])
      // Three of eight are written anew: the snapshot alone holds the old ones.
      for i in 0..<3 {
        try client.write(UInt64(i) << 20, StampedBytes.random(1 << 20, seed: UInt64(100 + i)))
      }
      try client.flush()
      try server.command(["snapshot", "create", "tank/disk@b"])
      try client.write(3 << 20, StampedBytes.random(1 << 20, seed: 200))
      try client.flush()
      let disk = try json(Shown.self, server, ["volume", "show", "tank/disk"])
      #expect(disk.exclusiveBytes == Self.megabyte && disk.sharedBytes == 7 * Self.megabyte)
      #expect(disk.sharedWith == ["disk@a", "disk@b"])
      let text = try server.command(["volume", "show", "tank/disk"])
      #expect(text.contains("7 MiB of its data stays with disk@a and disk@b"), "\(text)")
      // Megabyte 3 is held by both snapshots: only deleting them together frees it.
      let dry = { try self.json(Estimate.self, server, ["snapshot", "delete", "--dry-run"] + $0) }
      #expect(try dry(["tank/disk@a"]).freedDataBytes == 3 * Self.megabyte)
      #expect(try dry(["tank/disk@b"]).freedDataBytes == 0)
      let together = try dry(["tank/disk@a", "tank/disk@b"])
      #expect(together.freedDataBytes == 4 * Self.megabyte, "\(together)")
      #expect(try server.command(["snapshot", "list", "tank"]).contains("disk@a"))
      let before = try json(Usage.self, server, ["pool", "usage", "tank"])
      #expect(before.parts == before.usedBytes, "\(before)")
      #expect(before.holders.map(\.name) == ["disk", "disk@a", "disk@b"])
      #expect(before.holders.map(\.exclusiveBytes) == [1, 3, 0].map { $0 * Self.megabyte })
      #expect(before.exclusiveBytes + before.sharedBytes == 12 * Self.megabyte, "\(before)")
      try server.command(["snapshot", "delete", "tank/disk@a", "tank/disk@b"])
      let after = try eventually {
        let usage = try json(Usage.self, server, ["pool", "usage", "tank"])
        return usage.exclusiveBytes == 8 * Self.megabyte && usage.sharedBytes == 0 ? usage : nil
      }
      #expect(after.parts == after.usedBytes, "\(after)")
      try server.stop()
      #expect(try server.command(["pool", "check", "tank"]).hasPrefix("pool tank: sound"))
    }

    /// What comes in the background is waited for, for some seconds.
    private func eventually<Value>(_ body: () throws -> Value?) throws -> Value {
      for _ in 0..<100 {
        if let value = try body() { return value }
        Thread.sleep(forTimeInterval: 0.1)
      }
      return try #require(try body())
    }

    @Test func anEstimateOfWhatIsNotThereIsRefused() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let answer = try server.attempt(["volume", "delete", "tank/disk", "--dry-run"])
      #expect(answer.status == 0 && answer.output.contains("nothing was changed"), "\(answer)")
      #expect(try server.command(["volume", "list", "tank"]).contains("tank/disk"))
      let missing = try server.attempt(["volume", "delete", "tank/nope", "--dry-run"])
      #expect(missing.status == 1 && missing.errors.contains("volume-not-found"), "\(missing)")
      let gone = try server.attempt(["snapshot", "delete", "tank/disk@nope", "--dry-run"])
      #expect(gone.status == 1 && gone.errors.contains("snapshot-not-found"), "\(gone)")
    }
  }
}
