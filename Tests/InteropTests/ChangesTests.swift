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

    /// Backups without the old snapshot: only a bookmark of it stays, over a kill and a clean stop.
    @Test func aBookmarkTellsWhatChangedWhenItsSnapshotIsGone() throws {
      let server = try LaminaServer()
      let pool = server.pool
      try server.createVolume("disk", "1T")
      let disk = try server.connect("disk")
      for i in 0..<8 as Range<UInt64> {
        try disk.write(i << 30, StampedBytes.random(64 << 10, seed: i))
      }
      try server.command(["snapshot", "create", "\(pool)/disk@a"])
      try server.command(["bookmark", "create", "\(pool)/disk@a#m"])
      try disk.write(1 << 30, StampedBytes.random(4096, seed: 20))
      try server.command(["snapshot", "delete", "\(pool)/disk@a"])
      try server.killAndRestart()
      let list = try server.command(["bookmark", "list", "\(pool)/disk"])
      #expect(list.contains("\(pool)/disk#m") && list.contains("gone"))
      let again = try server.connect("disk")
      try again.write(2 << 30 + 8192, StampedBytes.random(4096, seed: 21))
      try again.trim(3 << 30, 64 << 10)
      try again.write(9 << 30, StampedBytes.random(4096, seed: 22))
      try again.flush()
      let diff = ["snapshot", "diff", "\(pool)/disk#m", "\(pool)/disk"]
      func expectChanges() throws {
        let found = try Self.changes(server, diff)
        for range in [
          Self.range(1 << 30, 4096, "data"), Self.range(2 << 30 + 8192, 4096, "data"),
          Self.range(3 << 30, 64 << 10, "hole"), Self.range(9 << 30, 4096, "data"),
        ] {
          let isThere = found.ranges.contains {
            $0.kind == range.kind && $0.offsetBytes <= range.offsetBytes
              && range.offsetBytes + range.lengthBytes <= $0.offsetBytes + $0.lengthBytes
          }
          #expect(isThere, "\(range) in \(found.ranges)")
        }
        // Never more than the extents that were touched.
        let extents: Set<UInt64> = [1 << 14, 2 << 14, 3 << 14, 9 << 14]
        #expect(found.ranges.allSatisfy { extents.contains($0.offsetBytes >> 16) })
      }
      try expectChanges()
      try server.killAndRestart()
      try expectChanges()
      try server.stop()
      try expectChanges()
      let check = try server.attempt(["pool", "check", pool])
      #expect(check.status == 0, "\(check)")
      try server.start()
      let taken = try server.attempt(["bookmark", "create", "\(pool)/disk@a#m"])
      #expect(taken.errors.contains("snapshot-not-found"))
      try server.command(["bookmark", "delete", "\(pool)/disk#m"])
      #expect(try server.attempt(diff).errors.contains("bookmark-not-found"))
    }

    /// Blocks that were written with what they had are no change in an exact difference, nor are
    /// zeros that became a hole; over more than one answer, and a base that is shorter.
    @Test func anExactDifferenceComparesBytes() throws {
      let server = try LaminaServer()
      let pool = server.pool
      try server.createVolume("disk", "\((600 << 20) + 512)")
      let disk = try server.connect("disk")
      let old = StampedBytes.random(1 << 20, seed: 1)
      for i in 0..<300 as Range<UInt64> { try disk.write(i << 20, old) }
      try disk.write(400 << 20, [UInt8](repeating: 0, count: 65536))
      try server.command(["snapshot", "create", "\(pool)/disk@a"])
      try server.command(["bookmark", "create", "\(pool)/disk@a#m"])
      for i in 0..<300 as Range<UInt64> { try disk.write(i << 20, old) }
      try disk.write(3 << 20 + 8192, StampedBytes.random(512, seed: 2))
      try disk.write(290 << 20 + 1024, StampedBytes.random(8192, seed: 3))
      try disk.trim(5 << 20, 8192)
      try disk.trim(400 << 20, 65536)
      try server.command(["volume", "resize", "\(pool)/disk", "700M"])
      try disk.disconnect()
      let grown = try server.connect("disk")
      try grown.write(600 << 20, StampedBytes.random(8192, seed: 4))
      try server.command(["snapshot", "create", "\(pool)/disk@b"])
      let diff = ["snapshot", "diff", "\(pool)/disk@a", "\(pool)/disk@b"]
      #expect(try Self.changes(server, diff).dataBytes > 299 << 20)
      let expected = [
        Self.range(3 << 20 + 8192, 4096, "data"), Self.range(5 << 20, 8192, "hole"),
        Self.range(290 << 20, 12288, "data"), Self.range(600 << 20, 8192, "data"),
      ]
      #expect(try Self.changes(server, diff + ["--exact"]).ranges == expected)
      let mark = ["snapshot", "diff", "\(pool)/disk#m", "\(pool)/disk@b", "--exact"]
      #expect(try Self.changes(server, mark).ranges == expected)
      // The other way round: the target is the shorter one.
      let back = ["snapshot", "diff", "\(pool)/disk@b", "\(pool)/disk@a", "--exact"]
      #expect(
        try Self.changes(server, back).ranges == [
          Self.range(3 << 20 + 8192, 4096, "data"), Self.range(5 << 20, 8192, "data"),
          Self.range(290 << 20, 12288, "data"), Self.range(600 << 20, 512, "hole"),
        ])
      try server.command(["snapshot", "delete", "\(pool)/disk@a"])
      let refused = try server.attempt(mark)
      #expect(refused.errors.contains("its snapshot was deleted"), "\(refused)")
    }

    @Test func aVolumeThatWasRolledBackIsRefusedByName() throws {
      let server = try LaminaServer()
      let pool = server.pool
      try server.createVolume("disk", "1G")
      try server.command(["snapshot", "create", "\(pool)/disk@a"])
      try server.connect("disk").write(0, StampedBytes.random(4096, seed: 1))
      try server.command(["snapshot", "create", "\(pool)/disk@b"])
      try server.command(["bookmark", "create", "\(pool)/disk@b#m"])
      try server.command(["volume", "rollback", "\(pool)/disk@a"])
      let diff = ["snapshot", "diff", "\(pool)/disk#m", "\(pool)/disk"]
      #expect(try Self.changes(server, diff).ranges == [Self.range(0, 4096, "hole")])
      try server.command(["snapshot", "delete", "\(pool)/disk@b"])
      let refusal = try server.attempt(diff)
      #expect(refusal.errors.contains("bookmark-not-on-line"), "\(refusal)")
      let again = try server.attempt(["bookmark", "create", "\(pool)/disk@a#m"])
      #expect(again.errors.contains("bookmark-exists"), "\(again)")
    }
  }
}
