import Foundation
import ServerHarness
import Testing

extension InteropTests {
  /// Sending and receiving through the command line, between the pools of two servers.
  @Suite struct TransferTests {
    static let size = (64 << 20) + 512

    /// A volume with data at both ends and in between, stored zeros and a discarded range, and its
    /// snapshot `monday`; written to again afterwards.
    static func source() throws -> LaminaServer {
      let server = try LaminaServer()
      try server.createVolume("disk", "\(size)")
      let disk = try server.connect("disk")
      try disk.write(0, StampedBytes.random(3 << 20, seed: 1))
      try disk.write(20 << 20, StampedBytes.random(4096, seed: 2))
      try disk.write((30 << 20) + 512, StampedBytes.random(1024, seed: 3))
      try disk.write(40 << 20, [UInt8](repeating: 0, count: 65536))
      try disk.write(UInt64(size) - 512, StampedBytes.random(512, seed: 4))
      try disk.trim(1 << 20, 96 << 10)
      try server.command(["snapshot", "create", "tank/disk@monday"])
      try disk.write(0, StampedBytes.random(8192, seed: 5))
      return server
    }

    static func shell(
      _ server: LaminaServer, _ script: String, seconds: Double = 60
    ) throws -> ProgramResult {
      try server.folder.run(
        "sh", ["-c", script], seconds: seconds, environment: ["LAMINA": Machine.lamina])
    }

    @discardableResult
    static func send(_ server: LaminaServer, _ snapshot: String) throws -> String {
      let file = server.folder.path("stream")
      let result = try shell(
        server, "\"$LAMINA\" send \(snapshot) --home \(server.home) > \(file)")
      guard result.succeeded else { throw HarnessFailure(result.description) }
      return file
    }

    static func receive(
      _ server: LaminaServer, _ volume: String, _ file: String, _ options: String = ""
    ) throws -> ProgramResult {
      try shell(
        server, "\"$LAMINA\" receive \(volume) --home \(server.home) \(options) < \(file)")
    }

    /// The whole export, as a client reads it.
    static func contents(_ server: LaminaServer, _ export: String) throws -> Data {
      let copy = server.folder.path("contents.img")
      try server.folder.output(of: "nbdcopy", [server.uri(export), copy])
      return try Data(contentsOf: URL(fileURLWithPath: copy))
    }

    struct Volumes: Decodable {
      struct Volume: Decodable {
        var name: String
        var uuid: String
        var receiving: Bool?
        var receivedFrom: String?
      }
      var volumes: [Volume]?
      var snapshots: [Volume]?
    }

    static func list(_ server: LaminaServer, _ kind: String) throws -> [Volumes.Volume] {
      let text = try server.command([kind, "list", "tank", "--json"])
      let found = try JSONDecoder().decode(Volumes.self, from: Data(text.utf8))
      return (found.volumes ?? []) + (found.snapshots ?? [])
    }

    @Test func aSnapshotArrivesByteForByteAndStaysThin() throws {
      let source = try Self.source()
      let target = try LaminaServer()
      let file = try Self.send(source, "tank/disk@monday")
      let streamBytes = try Data(contentsOf: URL(fileURLWithPath: file)).count
      #expect(streamBytes < 4 << 20, "holes and zeros take no space in a stream")
      let received = try Self.receive(target, "tank/copy", file)
      #expect(received.succeeded, "\(received)")
      let sent = try Self.contents(source, "disk@monday")
      #expect(sent.count == Self.size)
      #expect(try Self.contents(target, "copy@monday") == sent)
      #expect(try Self.contents(target, "copy") == sent)
      let before = try source.volume("disk").mappedBytes
      #expect(try target.volume("copy").mappedBytes <= before)
      #expect(try target.volume("copy").allocatedBytes < 5 << 20)
      let snapshot = try #require(try Self.list(source, "snapshot").first)
      let arrived = try #require(try Self.list(target, "snapshot").first)
      #expect(arrived.receivedFrom == snapshot.uuid)
      #expect(arrived.uuid != snapshot.uuid)
      try target.connect("copy").write(0, StampedBytes.random(4096, seed: 9))
      #expect(try Self.contents(target, "copy@monday") == sent)
      try target.killAndRestart()
      #expect(try Self.contents(target, "copy@monday") == sent)
      // What was received can be sent on, and is the same snapshot to whoever receives it.
      let second = try Self.send(target, "tank/copy@monday")
      #expect(try Self.receive(source, "tank/back", second).succeeded)
      #expect(try Self.contents(source, "back") == sent)
      let back = try Self.list(source, "snapshot").first { $0.name == "back@monday" }
      #expect(back?.receivedFrom == snapshot.uuid)
    }

    @Test func aPipeBetweenTwoPoolsNeedsNoServer() throws {
      let source = try Self.source()
      let target = try LaminaServer()
      let sent = try Self.contents(source, "disk@monday")
      try source.stop()
      try target.stop()
      let result = try Self.shell(
        source,
        "\"$LAMINA\" send tank/disk@monday --home \(source.home)"
          + " | \"$LAMINA\" receive tank/copy --home \(target.home) --json")
      #expect(result.succeeded, "\(result)")
      #expect(result.output.contains("\"receivedFrom\""))
      try target.start()
      #expect(try Self.contents(target, "copy") == sent)
    }

    @Test func whatIsThereAlreadyIsNotTouched() throws {
      let source = try Self.source()
      let file = try Self.send(source, "tank/disk@monday")
      let before = try Self.contents(source, "disk")
      let refused = try Self.receive(source, "tank/disk", file)
      #expect(refused.status == 1 && refused.errors.contains("[volume-exists]"), "\(refused)")
      #expect(try Self.contents(source, "disk") == before)
      let missing = try Self.shell(
        source, "\"$LAMINA\" send tank/disk@never --home \(source.home)")
      #expect(missing.errors.contains("[snapshot-not-found]"))
      #expect(missing.output.isEmpty)
    }

    /// A flipped bit anywhere, a cut anywhere, and something behind the end.
    @Test func aDamagedStreamLeavesNothingBehind() throws {
      let source = try Self.source()
      let target = try LaminaServer()
      let file = try Self.send(source, "tank/disk@monday")
      let whole = try Data(contentsOf: URL(fileURLWithPath: file))
      let used = try target.status().usedBytes
      var random = SystemRandomNumberGenerator()
      var damaged: [(String, Data)] = [
        ("one byte more", whole + [0]), ("nothing", Data()),
        ("one byte less", whole.dropLast()),
      ]
      for at in [0, 70, 1024, 1030, whole.count - 40, whole.count - 1]
        + (0..<8).map({ _ in Int.random(in: 0..<whole.count, using: &random) })
      {
        var bad = whole
        bad[at] ^= 0x10
        damaged.append(("byte \(at)", bad))
        damaged.append(("cut at \(at)", whole.prefix(at)))
      }
      let place = target.folder.path("bad")
      for (what, bytes) in damaged {
        try bytes.write(to: URL(fileURLWithPath: place))
        let result = try Self.receive(target, "tank/copy", place)
        #expect(result.status == 1, "\(what): \(result)")
        #expect(
          result.errors.contains("[stream-damaged]")
            || result.errors.contains("[format-not-supported]"), "\(what): \(result)")
        #expect(try Self.list(target, "volume").isEmpty, "\(what)")
      }
      try target.stop()
      let check = try target.attempt(["pool", "check", "tank"])
      #expect(check.status == 0 && check.output.hasPrefix("pool tank: sound"), "\(check)")
      try target.start()
      // The space of what was begun is back, but for a table that has grown.
      #expect(try target.status().usedBytes < used + (2 << 20))
      #expect(try Self.receive(target, "tank/copy", file).succeeded)
    }

    /// A receive that stands still in the middle of its stream.
    final class HalfReceived {
      let client: ChildProcess
      private let feeder: ChildProcess

      /// Returns when `byteCount` bytes of the stream were handed in and the volume shows it.
      init(_ target: LaminaServer, _ volume: String, _ file: String, byteCount: Int) throws {
        let pipe = target.folder.path("pipe-\(UUID().uuidString.prefix(8))")
        try target.folder.output(of: "mkfifo", [pipe])
        feeder = try ChildProcess(
          "sh", ["-c", "(head -c \(byteCount) \(file); exec sleep 100) > \(pipe)"],
          in: target.folder.url)
        client = try ChildProcess(
          "sh",
          ["-c", "exec \"$LAMINA\" receive tank/\(volume) --home \(target.home) < \(pipe)"],
          in: target.folder.url, environment: ["LAMINA": Machine.lamina])
        for _ in 0..<1000 {
          let volumes = try list(target, "volume")
          if volumes.contains(where: { $0.name == volume && $0.receiving == true }) { return }
          usleep(10_000)
        }
        throw HarnessFailure("nothing is being received: \(client.errorsSoFar)")
      }

      deinit {
        client.send(signal: SIGKILL)
        feeder.send(signal: SIGKILL)
      }

      func killClient() throws {
        client.send(signal: SIGKILL)
        _ = try client.wait()
      }
    }

    private static func halfReceived(
      _ target: LaminaServer, from source: LaminaServer
    ) throws -> HalfReceived {
      try HalfReceived(
        target, "copy", try send(source, "tank/disk@monday"), byteCount: 2_000_000)
    }

    @Test func aVolumeThatIsBeingReceivedIsShownAndNotServed() throws {
      let source = try Self.source()
      let target = try LaminaServer()
      let half = try Self.halfReceived(target, from: source)
      let text = try target.command(["volume", "show", "tank/copy"])
      #expect(text.contains("being received"), "\(text)")
      #expect(throws: (any Error).self) { try target.connect("copy") }
      #expect(
        try !target.folder.output(of: "nbdinfo", ["--list", target.uri("")]).contains("copy"))
      for refused in [
        ["volume", "delete", "tank/copy"], ["snapshot", "create", "tank/copy@x"],
      ] {
        let result = try target.attempt(refused)
        #expect(result.errors.contains("[volume-receiving]"), "\(result)")
      }
      try half.killClient()
      // The client is gone; the server notices and takes back what it had.
      for _ in 0..<1000 where try !Self.list(target, "volume").isEmpty { usleep(10_000) }
      #expect(try Self.list(target, "volume").isEmpty)
      try target.stop()
      let check = try target.attempt(["pool", "check", "tank"])
      #expect(check.output.hasPrefix("pool tank: sound"), "\(check)")
    }

    @Test func aKilledServerLeavesNothingToItsNextStart() throws {
      let source = try Self.source()
      let target = try LaminaServer()
      let half = try Self.halfReceived(target, from: source)
      try target.kill()
      #expect(try half.client.wait(seconds: 30).status != 0)
      let found = try target.attempt(["pool", "check", "tank", "--json"])
      #expect(found.status == 0, "\(found)")
      try target.start()
      #expect(try Self.list(target, "volume").isEmpty)
      try target.stop()
      let check = try target.attempt(["pool", "check", "tank"])
      #expect(check.status == 0 && check.output.hasPrefix("pool tank: sound"), "\(check)")
    }

    @Test func aStoppedServerLeavesNothingToItsNextStart() throws {
      let source = try Self.source()
      let target = try LaminaServer()
      let half = try Self.halfReceived(target, from: source)
      try target.stop()
      #expect(try half.client.wait(seconds: 30).status != 0)
      let found = try target.attempt(["pool", "check", "tank"])
      #expect(found.status == 0, "\(found)")
      try target.start()
      #expect(try Self.list(target, "volume").isEmpty)
    }

    @Test func aPoolThatIsTooSmallRefusesAndLosesNothing() throws {
      let source = try LaminaServer()
      try source.createVolume("disk", "200M")
      let disk = try source.connect("disk")
      for part in 0..<100 {
        try disk.write(UInt64(part) << 20, StampedBytes.random(1 << 20, seed: UInt64(part)))
      }
      try source.command(["snapshot", "create", "tank/disk@monday"])
      let file = try Self.send(source, "tank/disk@monday")
      let target = try LaminaServer(devices: [.file("a.img", size: "64M")])
      try target.createVolume("other", "8M")
      try target.connect("other").write(0, StampedBytes.random(1 << 20, seed: 500))
      let result = try Self.receive(target, "tank/copy", file, "--full error")
      #expect(result.errors.contains("[no-space]"), "\(result)")
      #expect(try Self.list(target, "volume").map(\.name) == ["other"])
      #expect(
        try target.connect("other").read(0, 1 << 20) == StampedBytes.random(1 << 20, seed: 500))
    }
  }
}
