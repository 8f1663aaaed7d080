import Foundation
import ServerHarness
import Testing

extension InteropTests {
  @Suite struct PoolTests {
    // MARK: Space that comes back

    /// What a discard and a deleted volume free goes back to the file system that holds the pool.
    @Test func freedSpaceGoesBackToTheFilesUnderneath() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let empty = try heldBytes(server)
      let disk = try server.connect("disk")
      let bytes = StampedBytes.random(8 << 20, seed: 44)
      for i in 0..<6 as Range<UInt64> { try disk.write(i << 23, bytes) }
      try disk.flush()
      let full = try heldBytes(server)
      #expect(full >= empty + 48 << 20)
      try disk.trim(0, 24 << 20)
      try wait(for: server, toHoldAtMost: full - 20 << 20)
      #expect(try disk.read(24 << 20, 8 << 20) == bytes)
      try server.command(["volume", "delete", "\(server.pool)/disk"])
      try wait(for: server, toHoldAtMost: empty + 4 << 20)
    }

    /// Killed between the discard and the holes.
    @Test func whatAKilledServerHadFreedGoesBackAfterTheNextStart() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let disk = try server.connect("disk")
      let bytes = StampedBytes.random(8 << 20, seed: 45)
      for i in 0..<6 as Range<UInt64> { try disk.write(i << 23, bytes) }
      try disk.flush()
      let full = try heldBytes(server)
      try disk.trim(0, 24 << 20)
      try disk.flush()
      try server.killAndRestart()
      try wait(for: server, toHoldAtMost: full - 20 << 20)
      let again = try server.connect("disk")
      #expect(try again.read(24 << 20, 8 << 20) == bytes)
      #expect(try again.read(0, 1 << 20).allSatisfy { $0 == 0 })
    }

    @Test func whoWaitsIsToldWhenTheSpaceIsBack() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let disk = try server.connect("disk")
      for i in 0..<40 as Range<UInt64> {
        try disk.write(i << 23, StampedBytes.random(4 << 20, seed: i))
      }
      try disk.disconnect()
      try server.command(["volume", "delete", "tank/disk"])
      let text = try server.command(["wait", "tank", "--timeout", "60", "--json"])
      struct Status: Decodable {
        var pendingDropCount: Int
        var reclaimableBytes: UInt64
        var usedBytes: UInt64
      }
      let status = try JSONDecoder().decode(Status.self, from: Data(text.utf8))
      #expect(status.pendingDropCount == 0 && status.reclaimableBytes == 0)
      #expect(status.usedBytes < 32 << 20, "\(status.usedBytes)")
      #expect(try server.attempt(["wait", "tank", "drop"]).status == 0)
      #expect(try server.attempt(["wait", "tank", "nothing"]).status == 64)
    }

    /// A volume whose writes wait is told to let them fail, and the other way round.
    @Test func thePolicyForAFullPoolIsChangedInUse() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "4G")
      let set = try server.command(["volume", "set", "tank/disk", "--full", "error", "--json"])
      #expect(set.contains("\"mode\" : \"error\""), "\(set)")
      let disk = try server.connect("disk")
      let bytes = StampedBytes.random(8 << 20, seed: 3)
      #expect(throws: (any Error).self) {
        for i in 0..<200 as Range<UInt64> { try disk.write(i << 23, bytes) }
      }
      try server.command(["volume", "set", "tank/disk", "--full", "wait:300"])
      try server.killAndRestart()
      #expect(
        try server.command(["volume", "show", "tank/disk", "--json"]).contains(
          "\"waitSeconds\" : 300"))
      let wrong = try server.attempt(["volume", "set", "tank/disk", "--full", "maybe"])
      #expect(wrong.status == 64, "\(wrong)")
      try server.command(["snapshot", "create", "tank/disk@a"])
      let snapshot = try server.attempt(["volume", "set", "tank/disk@a", "--full", "error"])
      #expect(snapshot.status != 0, "\(snapshot)")
    }

    /// Bytes of the file system that the pool's files take.
    private func heldBytes(_ server: LaminaServer) throws -> UInt64 {
      try ["a.img", "b.img"].reduce(0) { sum, name in
        var status = stat()
        guard unsafe stat(server.folder.path(name), &status) == 0 else {
          throw CocoaError(.fileReadNoSuchFile)
        }
        return sum + UInt64(status.st_blocks) * 512
      }
    }

    private func wait(for server: LaminaServer, toHoldAtMost most: UInt64) throws {
      let deadline = Date(timeIntervalSinceNow: 60)
      while try heldBytes(server) > most, Date() < deadline { usleep(100_000) }
      #expect(try heldBytes(server) <= most)
    }

    // MARK: Starts that are refused

    @Test func aSecondServerIsToldWhoHoldsThePool() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let holder = try #require(server.processIdentifier)
      let refusal = try server.refusedStart()
      #expect(refusal.errors.contains("\(holder)"), "\(refusal)")
      try server.connect("disk").flush()
    }

    @Test func aMissingDeviceIsNamed() throws {
      let server = try LaminaServer()
      try server.stop()
      let device = server.folder.path("b.img")
      try FileManager.default.moveItem(atPath: device, toPath: device + ".away")
      let refusal = try server.refusedStart()
      #expect(refusal.errors.contains(device), "\(refusal)")
      try FileManager.default.moveItem(atPath: device + ".away", toPath: device)
      try server.start()
    }

    @Test func aForeignDeviceIsNamed() throws {
      let server = try LaminaServer()
      let other = try LaminaServer()
      try server.createVolume("disk", "1G")
      try server.connect("disk").write(0, StampedBytes.random(4096, seed: 40))
      try server.stop()
      try other.stop()
      let ours = server.folder.path("b.img")
      try FileManager.default.moveItem(atPath: ours, toPath: ours + ".away")
      try FileManager.default.copyItem(atPath: other.folder.path("b.img"), toPath: ours)
      let refusal = try server.refusedStart()
      #expect(refusal.errors.contains(ours), "\(refusal)")
      try FileManager.default.removeItem(atPath: ours)
      try FileManager.default.moveItem(atPath: ours + ".away", toPath: ours)
      try server.start()
      #expect(try server.connect("disk").read(0, 4096) == StampedBytes.random(4096, seed: 40))
    }

    /// Each slot has two copies (Docs/OnDiskFormat.md): one of each may go, on every device.
    @Test(arguments: [[64, 128], [192, 256], [64, 256], [128, 192]])
    func aDamagedCopyOfASuperblockIsMadeUpForByTheOther(kibibytes: [Int]) throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      try server.connect("disk").write(4096, StampedBytes.random(4096, seed: 41))
      try server.stop()
      for name in ["a.img", "b.img"] {
        try overwrite(server.folder.path(name), atKibibytes: kibibytes)
      }
      try server.start()
      #expect(try server.connect("disk").read(4096, 4096) == StampedBytes.random(4096, seed: 41))
    }

    @Test func aDeviceWithoutAnyGoodSuperblockIsRefused() throws {
      let server = try LaminaServer()
      try server.stop()
      let device = server.folder.path("b.img")
      try overwrite(device, atKibibytes: [64, 128, 192, 256])
      let refusal = try server.refusedStart()
      #expect(refusal.errors.contains(device), "\(refusal)")
    }

    private func overwrite(_ path: String, atKibibytes places: [Int]) throws {
      let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
      for place in places {
        try file.seek(toOffset: UInt64(place) << 10)
        try file.write(contentsOf: StampedBytes.random(4096, seed: UInt64(place)))
      }
      try file.close()
    }

    @Test func aPoolIsNotCreatedOverFilesOfAnother() throws {
      let server = try LaminaServer()
      try server.stop()
      let result = try server.attempt(["pool", "create", "other"] + server.deviceArguments)
      #expect(!result.succeeded)
      let same = try server.attempt(["pool", "create", "tank"] + server.deviceArguments)
      #expect(!same.succeeded)
      try server.start()
    }

    // MARK: A full pool

    /// Writes 1 MiB at a time until one is refused; gives how many went in.
    private func fill(_ client: NBDConnection, limit: Int) throws -> Int {
      for index in 0..<limit {
        do {
          let bytes = StampedBytes.random(1 << 20, seed: 50)
          try client.write(UInt64(index) << 20, bytes)
        } catch let refusal as NBDRefusal {
          #expect(refusal.code == NBDMessage.Errors.noSpace)
          return index
        }
      }
      throw HarnessFailure("the pool took \(limit) MiB and is not full")
    }

    private static let smallPool: [LaminaServer.Device] = [
      .file("a.img", size: "96M"), .file("b.img", size: "64M"),
    ]

    @Test func aFullPoolAnswersNoSpaceAndBreaksNothing() throws {
      let server = try LaminaServer(devices: Self.smallPool)
      try server.createVolume("disk", "10G", ["--full", "error"])
      let client = try server.connect("disk", deadlineSeconds: 60)
      let written = try fill(client, limit: 200)
      #expect(written > 60, "most of 160 MiB must be usable, not \(written)")
      // Reads, overwrites in place and flushes go on.
      let overwrite = StampedBytes.random(1 << 20, seed: 51)
      try client.write(0, overwrite)
      #expect(try client.read(0, 1 << 20) == overwrite)
      #expect(try client.read(UInt64(written - 1) << 20, 1 << 20).first != 0)
      try client.flush()
      // What a discard frees can be written again.
      try client.trim(10 << 20, 20 << 20)
      try client.flush()
      let deadline = ContinuousClock.now + .seconds(20)
      while true {
        do {
          try client.write(5 << 30, StampedBytes.random(1 << 20, seed: 52))
          break
        } catch let refusal as NBDRefusal where ContinuousClock.now < deadline {
          #expect(refusal.code == NBDMessage.Errors.noSpace)
          usleep(50_000)
        }
      }
      try server.killAndRestart()
      let again = try server.connect("disk", deadlineSeconds: 60)
      #expect(try again.read(0, 1 << 20) == overwrite)
      #expect(try again.read(5 << 30, 1 << 20) == StampedBytes.random(1 << 20, seed: 52))
      #expect(try again.read(10 << 20, 4096) == [UInt8](repeating: 0, count: 4096))
    }

    @Test func aWriteThatWaitsForSpaceGoesOnAfterADiscard() throws {
      let server = try LaminaServer(devices: Self.smallPool)
      try server.createVolume("filler", "10G", ["--full", "error"])
      try server.createVolume("disk", "10G", ["--full", "wait:60"])
      let filler = try server.connect("filler", deadlineSeconds: 60)
      _ = try fill(filler, limit: 200)
      let waiting = try server.connect("disk", deadlineSeconds: 60)
      let bytes = StampedBytes.random(4 << 20, seed: 53)
      try waiting.submit(.write, offset: 0, length: UInt32(bytes.count), payload: bytes)
      // Others are served while it waits.
      #expect(try filler.read(0, 4096).first != 0)
      let other = try server.connect("disk")
      #expect(try other.read(1 << 30, 4096) == [UInt8](repeating: 0, count: 4096))
      try filler.trim(0, 32 << 20)
      #expect(try waiting.nextAnswer().error == 0)
      #expect(try waiting.read(0, bytes.count) == bytes)
    }

    @Test func aWriteThatWaitedLongEnoughIsToldThereIsNoSpace() throws {
      let server = try LaminaServer(devices: Self.smallPool)
      try server.createVolume("filler", "10G", ["--full", "error"])
      try server.createVolume("disk", "10G", ["--full", "wait:1"])
      _ = try fill(server.connect("filler", deadlineSeconds: 60), limit: 200)
      let waiting = try server.connect("disk", deadlineSeconds: 60)
      #expect(throws: NBDRefusal(code: NBDMessage.Errors.noSpace)) {
        try waiting.write(0, StampedBytes.random(4 << 20, seed: 54))
      }
    }

    // MARK: Many and large volumes

    @Test func deletingALargeVolumeAnswersAtOnceAndGivesItsSpaceBack() throws {
      let server = try LaminaServer()
      try server.createVolume("keep", "1G")
      let before = try server.status().usedBytes
      try server.createVolume("disk", "16P")
      let client = try server.connect("disk", deadlineSeconds: 60)
      for index in 0..<400 {
        let place = UInt64(index) * 41_943_040_000_000 / 4096 * 4096
        try client.write(place, StampedBytes.random(128 << 10, seed: 55))
      }
      try client.flush()
      #expect(try server.status().usedBytes >= before + 50 << 20)
      let start = ContinuousClock.now
      try server.command(["volume", "delete", "tank/disk"])
      #expect(ContinuousClock.now - start < .seconds(3))
      let keep = try server.connect("keep")
      let deadline = ContinuousClock.now + .seconds(60)
      var used = try server.status().usedBytes
      while used > before + 20 << 20, ContinuousClock.now < deadline {
        let asked = ContinuousClock.now
        try keep.write(0, StampedBytes.random(4096, seed: 56))
        #expect(ContinuousClock.now - asked < .seconds(2), "hosts come first")
        usleep(50_000)
        used = try server.status().usedBytes
      }
      #expect(used <= before + 20 << 20)
      #expect(throws: (any Error).self) { try server.connect("disk") }
    }

    @Test func tenThousandVolumesAreThereAfterARestart() throws {
      let server = try LaminaServer()
      let script = """
        import concurrent.futures, http.client, json, socket
        class Connection(http.client.HTTPConnection):
            def connect(self):
                self.sock = socket.socket(socket.AF_UNIX)
                self.sock.connect("\(server.home)/tank.control")
        def create(worker):
            connection = Connection("localhost")
            for number in range(worker, 10000, 20):
                body = json.dumps({"name": f"v{number}", "sizeBytes": 1 << 30})
                header = {"Content-Type": "application/json"}
                connection.request("POST", "/v1/volumes", body, header)
                answer = connection.getresponse()
                text = answer.read()
                assert answer.status == 201, text
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            list(pool.map(create, range(20)))
        """
      let file = try server.folder.file("create.py", holding: Array(script.utf8))
      try server.folder.output(of: "/usr/bin/python3", [file], seconds: 120)
      try server.connect("v1777").write(0, StampedBytes.random(4096, seed: 57))
      try server.killAndRestart()
      let list = try server.command(["volume", "list", "tank", "--json"])
      for number in [0, 4999, 9999] { #expect(list.contains("\"v\(number)\"")) }
      #expect(try server.connect("v1777").read(0, 4096) == StampedBytes.random(4096, seed: 57))
      #expect(try server.connect("v1776").read(0, 4096) == [UInt8](repeating: 0, count: 4096))
      try server.stopAndRestart()
      #expect(try server.status().volumeCount == 10_000)
    }

    // MARK: Devices

    @Test func aStreamIsSpreadOverAllDevices() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1T")
      let client = try server.connect("disk", deadlineSeconds: 60)
      for index in 0..<128 {
        try client.write(UInt64(index) << 20, StampedBytes.random(1 << 20, seed: 58))
      }
      try client.flush()
      for device in try server.status().devices {
        #expect(device.dataWrites > 0, "\(device.path) got nothing")
        #expect(device.usedBytes <= device.sizeBytes)
      }
    }

    @Test func theHostsCacheIsAChoiceWithTheSameDurability() throws {
      let server = try LaminaServer(poolOptions: ["--cache", "buffered"])
      try server.createVolume("disk", "1G")
      let client = try server.connect("disk")
      try client.write(512, StampedBytes.random(100_000 / 512 * 512, seed: 59))
      let flushes = try server.status().devices.reduce(0) { $0 + $1.flushes }
      try client.flush()
      #expect(try server.status().devices.reduce(0) { $0 + $1.flushes } > flushes)
      try server.killAndRestart()
      #expect(
        try server.connect("disk").read(512, 4096) == StampedBytes.random(4096, seed: 59))
    }

    @Test func aCleanStopGivesRunTailsBack() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1T")
      let client = try server.connect("disk")
      // A stream: what is taken ahead of it is used space as long as the server runs.
      for index in 0..<4 as Range<UInt64> {
        try client.write(index * 65536, StampedBytes.random(65536, seed: 60))
      }
      try client.flush()
      let running = try server.status().usedBytes
      try server.stopAndRestart()
      #expect(try server.status().usedBytes + 512 << 10 < running)
      #expect(try server.volume("disk").allocatedBytes == 4 * 65536)
    }

    // MARK: Listeners

    @Test func tcpAndUnixListenersServeTheSameVolumes() throws {
      let server = try LaminaServer(serveOptions: ["--listen", "127.0.0.1:10817"])
      try server.createVolume("disk", "1G")
      try server.connect("disk").write(0, StampedBytes.random(4096, seed: 61))
      let file = server.folder.path("out")
      try server.folder.output(of: "nbdcopy", ["nbd://127.0.0.1:10817/disk", file])
      let bytes = try Data(contentsOf: URL(fileURLWithPath: file), options: .alwaysMapped)
      #expect(Array(bytes.prefix(4096)) == StampedBytes.random(4096, seed: 61))
    }

    @Test func manyConnectionsFlushForEachOther() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let clients = try (0..<16).map { _ in try server.connect("disk") }
      for (index, client) in clients.enumerated() {
        try client.write(
          UInt64(index) * 4096, StampedBytes.block(index: UInt64(index), generation: 1))
      }
      try clients[0].flush()
      try server.killAndRestart()
      let again = try server.connect("disk")
      for index in 0..<16 {
        let block = try again.read(UInt64(index) * 4096, 4096)
        #expect(StampedBytes.generation(of: block, index: UInt64(index)) == 1)
      }
    }
  }
}
