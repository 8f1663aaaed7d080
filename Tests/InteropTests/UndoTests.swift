import ServerHarness
import Testing

extension InteropTests {
  /// What keeps things from being deleted, and what brings them back, through the command line.
  @Suite struct UndoTests {
    @Test func aHoldRefusesADeletionUntilItIsReleased() throws {
      let server = try LaminaServer()
      let pool = server.pool
      try server.createVolume("disk", "8M")
      try server.command(["snapshot", "create", "\(pool)/disk@monday"])
      let disk = try server.connect("disk")
      try server.command(
        ["hold", "\(pool)/disk@monday", "--tag", "backup", "--reason", "not copied yet"])
      try server.command(["hold", "\(pool)/disk", "--tag", "mine"])
      try server.killAndRestart()
      let refused = try server.attempt(["snapshot", "delete", "\(pool)/disk@monday"])
      #expect(refused.status == 1)
      #expect(refused.errors.contains("tag 'backup': not copied yet"))
      #expect(refused.errors.contains("[held]"))
      let again = try server.connect("disk")
      #expect(try !server.attempt(["volume", "delete", "\(pool)/disk"]).succeeded)
      #expect(try again.read(0, 512) == [UInt8](repeating: 0, count: 512))
      let list = try server.command(["holds", pool])
      #expect(list.contains("backup") && list.contains("mine"))
      try server.command(["release", "\(pool)/disk@monday", "--tag", "backup"])
      try server.command(["snapshot", "delete", "\(pool)/disk@monday"])
      try server.command(["release", "\(pool)/disk", "--tag", "mine"])
      try server.command(["volume", "delete", "\(pool)/disk"])
      disk.abort()
    }

    @Test func whatWasDeletedComesBackWithItsSnapshots() throws {
      let server = try LaminaServer()
      let pool = server.pool
      try server.createVolume("disk", "8M")
      let bytes = StampedBytes.random(65536, seed: 1)
      let disk = try server.connect("disk")
      try disk.write(0, bytes)
      try server.command(["snapshot", "create", "\(pool)/disk@monday"])
      try disk.write(0, StampedBytes.random(4096, seed: 2))
      try disk.flush()
      try server.command(["pool", "set", pool, "--trash-expiry", "7d"])
      try server.command(["volume", "delete", "\(pool)/disk"])
      #expect(throws: (any Error).self) { _ = try disk.read(0, 512) }
      #expect(throws: (any Error).self) { try server.connect("disk@monday") }
      try server.createVolume("disk", "1M")
      try server.killAndRestart()
      #expect(try server.command(["trash", "list", pool]).contains("\(pool)/disk"))
      #expect(try !server.attempt(["trash", "restore", "\(pool)/disk"]).succeeded)
      try server.command(["trash", "restore", "\(pool)/disk", "--as", "rescued"])
      #expect(try server.connect("rescued@monday").read(0, 65536) == bytes)
      let rescued = try server.connect("rescued")
      #expect(try rescued.read(0, 4096) == StampedBytes.random(4096, seed: 2))
      try server.command(["snapshot", "delete", "\(pool)/rescued@monday", "--now"])
      try server.command(["volume", "delete", "\(pool)/rescued"])
      try server.command(["trash", "empty", pool])
      #expect(try server.command(["trash", "list", pool]).contains("empty"))
      try server.stop()
      try server.command(["pool", "check", pool])
    }
  }
}
