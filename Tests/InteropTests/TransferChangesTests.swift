import Foundation
import ServerHarness
import Testing

extension InteropTests {
  /// What changed between two snapshots, sent to a pool that has the first one.
  @Suite struct TransferChangesTests {
    private typealias Whole = TransferTests

    private static func sendChanges(
      _ server: LaminaServer, _ snapshot: String, since base: String
    ) throws -> String {
      let file = server.folder.path("changes")
      let result = try Whole.shell(
        server,
        "\"$LAMINA\" send \(snapshot) --since \(base) --home \(server.home) > \(file)")
      guard result.succeeded else { throw HarnessFailure(result.description) }
      return file
    }

    /// A source whose `tuesday` differs from `monday` in every way, and a target that has `monday`.
    private static func pair() throws -> (source: LaminaServer, target: LaminaServer) {
      let source = try Whole.source()
      let target = try LaminaServer()
      let file = try Whole.send(source, "tank/disk@monday")
      let received = try Whole.receive(target, "tank/copy", file)
      guard received.succeeded else { throw HarnessFailure(received.description) }
      let disk = try source.connect("disk")
      // Overwritten, discarded, zeroed by bytes, new, and the last half block.
      try disk.write(4096, StampedBytes.random(12_800, seed: 31))
      try disk.trim(2 << 20, 192 << 10)
      try disk.write(20 << 20, [UInt8](repeating: 0, count: 4096))
      try disk.write(50 << 20, StampedBytes.random(300_000 / 512 * 512, seed: 32))
      try disk.write(UInt64(Whole.size) - 512, StampedBytes.random(512, seed: 33))
      try source.command(["snapshot", "create", "tank/disk@tuesday"])
      try disk.write(0, StampedBytes.random(4096, seed: 34))
      return (source, target)
    }

    @Test func whatChangedArrivesAndNothingElseIsSent() throws {
      let (source, target) = try Self.pair()
      let file = try Self.sendChanges(source, "tank/disk@tuesday", since: "monday")
      #expect(try Data(contentsOf: URL(fileURLWithPath: file)).count < 500_000)
      let monday = try Whole.contents(target, "copy@monday")
      let received = try Whole.receive(target, "tank/copy", file)
      #expect(received.succeeded, "\(received)")
      let tuesday = try Whole.contents(source, "disk@tuesday")
      #expect(try Whole.contents(target, "copy@tuesday") == tuesday)
      #expect(try Whole.contents(target, "copy") == tuesday)
      #expect(try Whole.contents(target, "copy@monday") == monday)
      #expect(try target.volume("copy").mappedBytes <= source.volume("disk").mappedBytes)
      // And back again: a base need not be the older one.
      let back = try Self.sendChanges(source, "tank/disk@monday", since: "tuesday")
      try target.command(["snapshot", "delete", "tank/copy@monday"])
      #expect(try Whole.receive(target, "tank/copy", back).succeeded)
      #expect(try Whole.contents(target, "copy") == monday)
      try target.stop()
      let check = try target.attempt(["pool", "check", "tank"])
      #expect(check.output.hasPrefix("pool tank: sound"), "\(check)")
    }

    /// A chain over three pools: the second hop knows the snapshots by what they are.
    @Test func changesAreSentOnByWhoReceivedThem() throws {
      let (source, target) = try Self.pair()
      let third = try LaminaServer()
      let first = try Whole.send(target, "tank/copy@monday")
      #expect(try Whole.receive(third, "tank/other", first).succeeded)
      // From the first pool to the third, which got the base from the second.
      let changes = try Self.sendChanges(source, "tank/disk@tuesday", since: "@monday")
      let received = try Whole.receive(third, "tank/other", changes)
      #expect(received.succeeded, "\(received)")
      #expect(
        try Whole.contents(third, "other@tuesday") == Whole.contents(source, "disk@tuesday"))
    }

    @Test func aBaseOfTheSameNameIsNotTheBase() throws {
      let (source, target) = try Self.pair()
      let file = try Self.sendChanges(source, "tank/disk@tuesday", since: "monday")
      try target.createVolume("new", "\(Whole.size)")
      try target.command(["snapshot", "create", "tank/new@monday"])
      let before = try Whole.contents(target, "new")
      let refused = try Whole.receive(target, "tank/new", file, "--rollback")
      #expect(refused.errors.contains("[base-not-found]"), "\(refused)")
      #expect(refused.errors.contains("of that name"), "\(refused)")
      #expect(try Whole.contents(target, "new") == before)
      let missing = try Whole.receive(target, "tank/never", file)
      #expect(missing.errors.contains("[volume-not-found]"), "\(missing)")
      // A clone of the base's volume has no snapshots, and so no base.
      try target.command(["volume", "clone", "tank/copy@monday", "tank/clone"])
      #expect(
        try Whole.receive(target, "tank/clone", file).errors.contains("[base-not-found]"))
    }

    @Test func aVolumeThatChangedIsOnlyRolledBackWhenThatIsSaid() throws {
      let (source, target) = try Self.pair()
      let file = try Self.sendChanges(source, "tank/disk@tuesday", since: "monday")
      let copy = try target.connect("copy")
      let busy = try Whole.receive(target, "tank/copy", file)
      #expect(busy.errors.contains("[volume-in-use]"), "\(busy)")
      try copy.write(0, StampedBytes.random(512, seed: 70))
      try copy.disconnect()
      let changed = try Whole.contents(target, "copy")
      let refused = try Whole.receive(target, "tank/copy", file)
      #expect(refused.errors.contains("[volume-changed]"), "\(refused)")
      #expect(try Whole.contents(target, "copy") == changed)
      let received = try Whole.receive(target, "tank/copy", file, "--rollback")
      #expect(received.succeeded, "\(received)")
      #expect(
        try Whole.contents(target, "copy") == Whole.contents(source, "disk@tuesday"))
      let again = try Whole.receive(target, "tank/copy", file, "--rollback")
      #expect(again.errors.contains("[snapshot-exists]"), "\(again)")
    }

    @Test func damagedChangesLeaveTheBase() throws {
      let (source, target) = try Self.pair()
      let file = try Self.sendChanges(source, "tank/disk@tuesday", since: "monday")
      let whole = try Data(contentsOf: URL(fileURLWithPath: file))
      let before = try Whole.contents(target, "copy")
      let place = target.folder.path("bad")
      for at in [0, 90, 1030, whole.count / 2, whole.count - 45, whole.count - 1] {
        var bad = whole
        bad[at] ^= 1
        for bytes in [bad, whole.prefix(at)] {
          try bytes.write(to: URL(fileURLWithPath: place))
          let result = try Whole.receive(target, "tank/copy", place)
          #expect(result.status == 1, "byte \(at): \(result)")
          #expect(try Whole.contents(target, "copy") == before)
          #expect(try Whole.list(target, "snapshot").map(\.name) == ["copy@monday"])
        }
      }
      try target.stop()
      let check = try target.attempt(["pool", "check", "tank"])
      #expect(check.output.hasPrefix("pool tank: sound"), "\(check)")
      try target.start()
      #expect(try Whole.receive(target, "tank/copy", file).succeeded)
    }

    /// The backup of a machine that keeps no old snapshot: a bookmark of it is enough.
    @Test func changesSinceABookmarkWhoseSnapshotIsGone() throws {
      let (source, target) = try Self.pair()
      try source.command(["bookmark", "create", "tank/disk@monday#sent"])
      try source.command(["snapshot", "delete", "tank/disk@monday"])
      let file = try Self.sendChanges(source, "tank/disk@tuesday", since: "'#sent'")
      #expect(try Data(contentsOf: URL(fileURLWithPath: file)).count < 4 << 20)
      let received = try Whole.receive(target, "tank/copy", file)
      #expect(received.succeeded, "\(received)")
      let tuesday = try Whole.contents(source, "disk@tuesday")
      #expect(try Whole.contents(target, "copy@tuesday") == tuesday)
      // Of a snapshot that was received, and is gone: the bookmark knows what it was.
      try target.command(["bookmark", "create", "tank/copy@tuesday#sent"])
      let third = try LaminaServer()
      let whole = try Whole.send(target, "tank/copy@tuesday")
      #expect(try Whole.receive(third, "tank/other", whole).succeeded)
      try target.command(["snapshot", "delete", "tank/copy@tuesday"])
      try target.connect("copy").write(8 << 20, StampedBytes.random(4096, seed: 90))
      try target.command(["snapshot", "create", "tank/copy@friday"])
      let next = try Self.sendChanges(target, "tank/copy@friday", since: "'#sent'")
      let sentOn = try Whole.receive(third, "tank/other", next)
      #expect(sentOn.succeeded, "\(sentOn)")
      #expect(
        try Whole.contents(third, "other@friday") == Whole.contents(target, "copy@friday"))
      let missing = try Whole.shell(
        source, "\"$LAMINA\" send tank/disk@tuesday --since '#no' --home \(source.home) | wc -c")
      #expect(missing.errors.contains("[bookmark-not-found]"), "\(missing)")
      for server in [target, third] {
        try server.stop()
        let check = try server.attempt(["pool", "check", "tank"])
        #expect(check.output.hasPrefix("pool tank: sound"), "\(check)")
      }
    }

    /// The volume was made larger, or smaller, between the two snapshots.
    @Test(arguments: [(96 << 20) + 4096, (21 << 20) + 512] as [UInt64])
    func theVolumeGetsTheSizeThatItHasInTheStream(size: UInt64) throws {
      let (source, target) = try Self.pair()
      try source.command(["volume", "resize", "tank/disk", "\(size)", "--shrink"])
      try source.connect("disk").write(size - 512, StampedBytes.random(512, seed: 95))
      try source.command(["snapshot", "create", "tank/disk@friday"])
      let file = try Self.sendChanges(source, "tank/disk@friday", since: "monday")
      let monday = try Whole.contents(target, "copy@monday")
      // One that ends early gives the size back too.
      let half = try Data(contentsOf: URL(fileURLWithPath: file)).dropLast(50)
      let place = target.folder.path("half")
      try half.write(to: URL(fileURLWithPath: place))
      #expect(try Whole.receive(target, "tank/copy", place).status == 1)
      #expect(try Whole.contents(target, "copy") == monday)
      let received = try Whole.receive(target, "tank/copy", file)
      #expect(received.succeeded, "\(received)")
      let friday = try Whole.contents(source, "disk@friday")
      #expect(friday.count == Int(size))
      #expect(try Whole.contents(target, "copy") == friday)
      #expect(try Whole.contents(target, "copy@friday") == friday)
      #expect(try Whole.contents(target, "copy@monday") == monday)
      try target.killAndRestart()
      #expect(try Whole.contents(target, "copy") == friday)
      try target.stop()
      let check = try target.attempt(["pool", "check", "tank"])
      #expect(check.output.hasPrefix("pool tank: sound"), "\(check)")
    }

    /// Half of the changes are written when the client, or the server, is killed.
    @Test(arguments: [false, true])
    func aKillInTheMiddleLeavesTheBase(killsServer: Bool) throws {
      let (source, target) = try Self.pair()
      let file = try Self.sendChanges(source, "tank/disk@tuesday", since: "monday")
      let before = try Whole.contents(target, "copy")
      let half = try Whole.HalfReceived(target, "copy", file, byteCount: 200_000)
      #expect(throws: (any Error).self) { try target.connect("copy") }
      #expect(try Whole.contents(target, "copy@monday") == before)
      for refused in [
        ["snapshot", "delete", "tank/copy@monday"], ["volume", "rollback", "tank/copy@monday"],
      ] {
        let result = try target.attempt(refused)
        #expect(result.errors.contains("[volume-receiving]"), "\(result)")
      }
      if killsServer {
        try target.kill()
        #expect(try half.client.wait(seconds: 30).status != 0)
        let found = try target.attempt(["pool", "check", "tank"])
        #expect(found.status == 0, "\(found)")
        try target.start()
      } else {
        try half.killClient()
        for _ in 0..<1000 where try Whole.list(target, "volume").first?.receiving == true {
          usleep(10_000)
        }
      }
      #expect(try Whole.list(target, "volume").first?.receiving == nil)
      #expect(try Whole.contents(target, "copy") == before)
      let received = try Whole.receive(target, "tank/copy", file)
      #expect(received.succeeded, "\(received)")
    }
  }
}
