import Foundation
import ServerHarness
import Testing

extension InteropTests {
  /// Pools that are found on devices, made known and forgotten.
  @Suite struct PoolTravelTests {
    private struct Scan: Decodable {
      struct Pool: Decodable {
        struct Device: Decodable {
          var path: String
          var index: Int
        }
        var name: String
        var state: String
        var isClean: Bool
        var isInUse: Bool
        var devices: [Device]
        var missingDevices: [MissingDevice]
      }
      struct MissingDevice: Decodable { var index: Int }
      var pools: [Pool]
    }

    private static func scan(_ server: LaminaServer, _ paths: [String]) throws -> Scan.Pool {
      let text = try server.command(["pool", "scan"] + paths + ["--json"])
      return try #require(
        try JSONDecoder().decode(Scan.self, from: Data(text.utf8)).pools.first)
    }

    private static func move(_ server: LaminaServer, _ from: String, _ to: String) throws {
      try FileManager.default.moveItem(
        atPath: server.folder.path(from), toPath: server.folder.path(to))
    }

    /// Written, exported, moved, and imported under another name by somebody who knows nothing.
    @Test func aPoolGoesElsewhere() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let bytes = StampedBytes.random(1 << 20, seed: 7)
      try server.connect("disk").write(5 << 20, bytes)
      let folder = server.folder.path(".")
      let served = try Self.scan(server, [folder])
      #expect(served.name == "tank" && served.state == "complete" && served.isInUse)
      let busy = try server.attempt(["pool", "export", "tank"])
      #expect(busy.errors.contains("[pool-in-use]"), "\(busy)")
      let taken = try server.attempt(["pool", "import", folder])
      #expect(taken.errors.contains("[pool-in-use]"), "\(taken)")
      let listed = try server.command(["pool", "list"])
      #expect(listed.contains("served by process"), "\(listed)")
      try server.stop()
      let exported = try server.command(["pool", "export", "tank"])
      #expect(exported.contains("a.img") && exported.contains("b.img"))
      #expect(try server.command(["pool", "list"]).contains("no pool is known"))
      let gone = try server.attempt(["pool", "status", "tank"])
      #expect(gone.errors.contains("[pool-not-found]"))

      try Self.move(server, "a.img", "first.img")
      try Self.move(server, "b.img", "second.img")
      let found = try Self.scan(server, [folder])
      #expect(found.isClean && !found.isInUse && found.devices.map(\.index) == [0, 1])
      let paths = ["second.img", "first.img"].map(server.folder.path)
      let imported = try server.command(["pool", "import"] + paths + ["--rename", "vault"])
      #expect(imported.contains("vault"), "\(imported)")
      #expect(try Self.scan(server, [folder]).name == "vault")
      #expect(try server.command(["volume", "list", "vault"]).contains("vault/disk"))
      let twice = try server.attempt(["pool", "import", folder, "--rename", "other"])
      #expect(twice.errors.contains("known here as 'vault'"), "\(twice)")

      // Back, under its old name, and what was written is there.
      try server.command(["pool", "export", "vault"])
      try server.command(["pool", "import", folder, "--rename", "tank"])
      try server.start()
      #expect(try server.connect("disk").read(5 << 20, 1 << 20) == bytes)
    }

    /// The state folder is lost with the server: everything answered is there all the same.
    @Test func aLostStateFolderIsRebuilt() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let bytes = StampedBytes.random(1 << 20, seed: 8)
      let disk = try server.connect("disk")
      try disk.write(0, bytes)
      try disk.flush()
      try server.kill()
      try FileManager.default.removeItem(atPath: server.home)
      let found = try Self.scan(server, [server.folder.path(".")])
      #expect(!found.isClean)
      try server.command(["pool", "import", server.folder.path(".")])
      try server.start()
      #expect(try server.connect("disk").read(0, 1 << 20) == bytes)
    }

    /// Its paths are corrected, not refused, when the pool is known already.
    @Test func movedDevicesAreFoundAgain() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      try server.stop()
      try Self.move(server, "a.img", "moved.img")
      #expect(try server.command(["pool", "list"]).contains("missing: "))
      let missing = try server.attempt(["pool", "status", "tank"])
      #expect(missing.errors.contains("[device-missing]"))
      try server.command(["pool", "import", server.folder.path(".")])
      #expect(try server.command(["pool", "status", "tank"]).contains("moved.img"))
    }

    @Test func whatIsNotOnePoolIsRefusedAndToldApart() throws {
      let server = try LaminaServer()
      let folder = server.folder.path(".")
      try server.stop()
      let copy = server.folder.path("copy.img")
      try server.folder.output(of: "cp", ["--sparse=always", server.folder.path("a.img"), copy])
      // The copy stays behind.
      try server.start()
      try server.createVolume("disk", "1G")
      try server.stop()
      try server.command(["pool", "export", "tank"])
      let twins = try Self.scan(server, [folder])
      #expect(twins.state == "ambiguous")
      let refused = try server.attempt(["pool", "import", folder])
      #expect(refused.errors.contains("both claim to be device 0"), "\(refused)")
      #expect(refused.errors.contains("superblock"))
      let half = try server.attempt(["pool", "import", server.folder.path("b.img")])
      #expect(half.errors.contains("[device-missing]"), "\(half)")
      #expect(try Self.scan(server, [server.folder.path("b.img")]).missingDevices.count == 1)
      let old = try server.attempt(["pool", "import", copy, server.folder.path("b.img")])
      #expect(old.errors.contains("older than the rest"), "\(old)")
      let nothing = try server.attempt(["pool", "import", server.folder.path("missing.img")])
      #expect(nothing.errors.contains("[device-missing]"), "\(nothing)")
      let foreign = try server.folder.sparseFile("foreign.img", size: 1 << 20)
      let none = try server.attempt(["pool", "import", foreign])
      #expect(none.errors.contains("no pool was found"), "\(none)")
      #expect(try server.command(["pool", "list"]).contains("no pool is known"))
      try server.command(
        ["pool", "import", server.folder.path("a.img"), server.folder.path("b.img")])
      let status = try server.command(["pool", "status", "tank"])
      #expect(status.contains("online"))
    }
  }
}
