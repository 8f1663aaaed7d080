import Foundation
import ServerHarness
import Testing

extension InteropTests {
  /// Changed blocks as NBD clients see them.
  @Suite struct ChangeContextTests {
    private struct MapExtent: Decodable, Hashable {
      var offset: UInt64
      var length: UInt64
      var type: UInt32
    }

    private struct QemuExtent: Decodable {
      var start: UInt64
      var length: UInt64
      var data: Bool
    }

    private static func map(
      _ server: LaminaServer, _ export: String, _ context: String
    ) throws -> [MapExtent] {
      let text = try server.folder.output(
        of: "nbdinfo", ["--map=\(context)", "--json", server.uri(export)])
      return try JSONDecoder().decode([MapExtent].self, from: Data(text.utf8))
    }

    private static let changed = [
      MapExtent(offset: 0, length: 1 << 20, type: 0),
      MapExtent(offset: 1 << 20, length: 8192, type: 1),
      MapExtent(offset: 1 << 20 + 8192, length: 1 << 20 - 8192, type: 0),
      MapExtent(offset: 2 << 20, length: 65536, type: 1),
      MapExtent(offset: 2 << 20 + 65536, length: (64 - 2) << 20 - 65536, type: 0),
    ]

    private static func makeServer() throws -> LaminaServer {
      let server = try LaminaServer()
      try server.createVolume("disk", "64M")
      let disk = try server.connect("disk")
      try disk.write(2 << 20, StampedBytes.random(65536, seed: 1))
      try server.command(["snapshot", "create", "\(server.pool)/disk@a"])
      try disk.write(1 << 20, StampedBytes.random(8192, seed: 2))
      try disk.trim(2 << 20, 65536)
      try server.command(["snapshot", "create", "\(server.pool)/disk@b"])
      return server
    }

    @Test func nbdinfoListsAndShowsWhatChanged() throws {
      let server = try Self.makeServer()
      let pool = server.pool
      let list = try server.folder.output(of: "nbdinfo", ["--list", server.uri("")])
      for context in ["base:allocation", "lamina:diff:a", "lamina:diff:b", "qemu:dirty-bitmap:a"] {
        #expect(list.contains(context), "\(context) in \(list)")
      }
      #expect(try Self.map(server, "disk@b", "lamina:diff:a") == Self.changed)
      #expect(try Self.map(server, "disk", "lamina:diff:a") == Self.changed)
      #expect(try Self.map(server, "disk", "lamina:diff:b").allSatisfy { $0.type == 0 })
      // A bookmark outlives its snapshot.
      try server.command(["bookmark", "create", "\(pool)/disk@a#m"])
      try server.command(["snapshot", "delete", "\(pool)/disk@a"])
      #expect(try Self.map(server, "disk@b", "lamina:diff:#m") == Self.changed)
      #expect(
        try !server.folder.run(
          "nbdinfo", ["--map=lamina:diff:a", server.uri("disk@b")]
        ).succeeded)
    }

    @Test func qemuReadsADirtyBitmap() throws {
      let server = try Self.makeServer()
      let options =
        "driver=nbd,server.type=unix,server.path=\(server.socket),export=disk@b,"
        + "x-dirty-bitmap=qemu:dirty-bitmap:a"
      let text = try server.folder.output(
        of: "qemu-img", ["map", "--output=json", "--image-opts", options])
      let map = try JSONDecoder().decode([QemuExtent].self, from: Data(text.utf8))
      // QEMU shows what is dirty as what is not data.
      let dirty = map.filter { !$0.data }.map { [$0.start, $0.length] }
      #expect(dirty == [[1 << 20, 8192], [2 << 20, 65536]], "\(text)")
      #expect(map.reduce(0) { $0 + $1.length } == 64 << 20)
    }

    @Test func libnbdGetsSeveralContextsAtOnce() throws {
      let server = try Self.makeServer()
      let script = """
        import nbd
        h = nbd.NBD()
        h.add_meta_context("base:allocation")
        h.add_meta_context("lamina:diff:a")
        h.connect_uri("\(server.uri("disk"))")
        seen = {}
        def f(context, offset, entries, error):
            seen[context] = list(entries)
        h.block_status(4 << 20, 0, f)
        print(seen["lamina:diff:a"], "base:allocation" in seen)
        """
      let run = try server.folder.run("/usr/bin/python3", ["-c", script])
      #expect(
        run.output.contains(
          "[1048576, 0, 8192, 1, 1040384, 0, 65536, 1, 2031616, 0] True"), "\(run)")
    }
  }
}
