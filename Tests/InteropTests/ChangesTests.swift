import Foundation
import ServerHarness
import Testing

extension InteropTests {
  /// Changed blocks on the command line and in the control API, of a running server and without
  /// one.
  @Suite struct ChangesTests {
    struct Changes: Decodable {
      struct Range: Decodable, Hashable {
        var offsetBytes: UInt64
        var lengthBytes: UInt64
        var kind: String
      }
      var ranges: [Range]
      var dataBytes: UInt64
      var holeBytes: UInt64
      var visitedNodes: Int
    }

    static func changes(_ server: LaminaServer, _ arguments: [String]) throws -> Changes {
      let text = try server.command(arguments + ["--json"])
      return try JSONDecoder().decode(Changes.self, from: Data(text.utf8))
    }

    private static func range(
      _ offset: UInt64, _ length: UInt64, _ kind: String
    ) -> Changes.Range {
      Changes.Range(offsetBytes: offset, lengthBytes: length, kind: kind)
    }

    @Test func whatChangedIsShownAndEnoughToMakeOneFromTheOther() throws {
      let server = try LaminaServer()
      let pool = server.pool
      try server.createVolume("disk", "10T")
      let disk = try server.connect("disk")
      for i in 0..<40 as Range<UInt64> {
        try disk.write(i << 37, StampedBytes.random(256 << 10, seed: i))
      }
      try server.command(["snapshot", "create", "\(pool)/disk@a"])
      try disk.write(3 << 37 + 4096, StampedBytes.random(8192, seed: 100))
      try disk.write(7 << 37 + 65536, StampedBytes.random(4096, seed: 101))
      try disk.trim(9 << 37 + 32768, 65536)
      try disk.write(1 << 42, StampedBytes.random(4096, seed: 102))
      try server.command(["snapshot", "create", "\(pool)/disk@b"])
      let expected = [
        Self.range(3 << 37 + 4096, 8192, "data"), Self.range(7 << 37 + 65536, 4096, "data"),
        Self.range(9 << 37 + 32768, 65536, "hole"), Self.range(1 << 42, 4096, "data"),
      ].sorted { $0.offsetBytes < $1.offsetBytes }
      let diff = ["snapshot", "diff", "\(pool)/disk@a", "\(pool)/disk@b"]
      let found = try Self.changes(server, diff)
      #expect(found.ranges == expected)
      #expect(found.dataBytes == 16384 && found.holeBytes == 65536)
      #expect(found.visitedNodes < 40)
      let all = try Self.changes(server, ["snapshot", "ranges", "\(pool)/disk@a"])
      #expect(all.ranges.count == 40 && all.dataBytes == 40 * 256 << 10)

      // The base and the ranges give the target, byte for byte.
      let a = try server.connect("disk@a")
      let b = try server.connect("disk@b")
      for i in 0..<40 as Range<UInt64> {
        var bytes = try a.read(i << 37, 256 << 10)
        for range in found.ranges {
          guard range.offsetBytes >> 37 == i else { continue }
          let at = Int(range.offsetBytes - i << 37)
          guard at < bytes.count else { continue }
          let new = try b.read(range.offsetBytes, Int(range.lengthBytes))
          bytes.replaceSubrange(at..<at + new.count, with: new)
        }
        #expect(try b.read(i << 37, 256 << 10) == bytes)
      }

      // Of the volume as it is now, and without a server.
      try disk.write(0, StampedBytes.random(512, seed: 103))
      let now = ["snapshot", "diff", "\(pool)/disk@b", "\(pool)/disk"]
      #expect(try Self.changes(server, now).ranges == [Self.range(0, 4096, "data")])
      try server.stop()
      #expect(try Self.changes(server, now).ranges == [Self.range(0, 4096, "data")])
      #expect(try Self.changes(server, diff).ranges == expected)
      let text = try server.command(diff)
      #expect(text.contains("4 ranges changed: 16 KiB of data, 64 KiB of holes"))
      let check = try server.attempt(["pool", "check", pool])
      #expect(check.status == 0, "\(check)")
    }

    @Test func volumesWithoutACommonHistoryAreRefusedByName() throws {
      let server = try LaminaServer()
      let pool = server.pool
      try server.createVolume("disk", "1G")
      try server.createVolume("other", "1G")
      try server.command(["snapshot", "create", "\(pool)/disk@a"])
      try server.command(["volume", "clone", "\(pool)/disk@a", "\(pool)/copy"])
      try server.connect("copy").write(65536, StampedBytes.random(4096, seed: 1))
      try server.connect("disk").write(0, StampedBytes.random(4096, seed: 2))
      let refusal = try server.attempt(
        ["snapshot", "diff", "\(pool)/other", "\(pool)/disk@a"])
      #expect(refusal.status == 1)
      #expect(refusal.errors.contains("'other' and 'disk@a' share no history"))
      let missing = try server.attempt(
        ["snapshot", "diff", "\(pool)/disk@b", "\(pool)/disk"])
      #expect(missing.errors.contains("snapshot-not-found"))
      // Clone and volume: what either changed.
      let both = try Self.changes(
        server, ["snapshot", "diff", "\(pool)/copy", "\(pool)/disk"])
      #expect(
        both.ranges == [Self.range(0, 4096, "data"), Self.range(65536, 4096, "hole")])
      try server.command(["volume", "rollback", "\(pool)/disk@a"])
      let back = try Self.changes(
        server, ["snapshot", "diff", "\(pool)/disk@a", "\(pool)/disk"])
      #expect(back.ranges.isEmpty)
    }
  }
}
