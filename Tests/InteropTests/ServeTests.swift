import Foundation
import ServerHarness
import Testing

extension InteropTests {
  /// How a server begins and ends: for the life of a command, while somebody is connected, and at
  /// sockets that it is given.
  @Suite struct ServeTests {
    /// A pool with a volume of 1 GiB that nobody serves.
    private static func stopped() throws -> LaminaServer {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      try server.stop()
      return server
    }

    @Test func aPoolIsServedForTheLifeOfACommand() throws {
      let server = try Self.stopped()
      let result = try server.attempt([
        "serve", "tank", "--run",
        "nbdinfo --size \"$uri\" && test -S \"$socket\" && test -S \"$LAMINA_CONTROL\" && exit 7",
      ])
      #expect(result.status == 7, "\(result)")
      #expect(result.output == "1073741824\n", "\(result)")
      // The writes of one command are there for the next.
      let wrote = try server.attempt([
        "serve", "tank", "--default-export", "disk", "--run",
        "qemu-io -f raw -c 'write -P 5 1M 64k' \"$uri\" >/dev/null",
      ])
      #expect(wrote.status == 0, "\(wrote)")
      let read = try server.attempt([
        "serve", "tank", "--run", "qemu-io -f raw -c 'read -P 5 1M 64k' \"$uri\"",
      ])
      #expect(read.status == 0 && read.output.contains("65536/65536"), "\(read)")
      let killed = try server.attempt(["serve", "tank", "--run", "kill -9 $$"])
      #expect(killed.status == 128 + 9, "\(killed)")
      let missing = try server.attempt(["serve", "tank", "--run", "no-such-program-anywhere"])
      #expect(missing.status == 127, "\(missing)")
      // What cannot be served runs no command.
      let refused = try server.attempt([
        "serve", "tank", "--default-export", "none", "--run", "echo ran",
      ])
      #expect(refused.status == 1 && !refused.output.contains("ran"), "\(refused)")
    }

    /// The command gets to know that the server has been told to end.
    @Test func aCommandEndsWithItsServer() throws {
      let server = try Self.stopped()
      let process = try ChildProcess(
        Machine.lamina,
        [
          "serve", "tank", "--home", server.home, "--run",
          "trap 'echo told; exit 3' TERM; echo ready; while :; do sleep 0.1; done",
        ], in: server.folder.url)
      for _ in 0..<300 where !process.outputSoFar.contains("ready") { usleep(20_000) }
      process.send(signal: SIGTERM)
      let result = try process.wait(seconds: 20)
      #expect(result.status == 3 && result.output.contains("told"), "\(result)")
    }

    @Test func aServerEndsWhenNobodyIsConnectedForLongEnough() throws {
      let server = try Self.stopped()
      let address = "unix:\(server.socket)"
      let process = try ChildProcess(
        Machine.lamina,
        ["serve", "tank", "--home", server.home, "--listen", address, "--idle-exit", "2"],
        in: server.folder.url)
      for _ in 0..<300 where process.outputSoFar.isEmpty { usleep(20_000) }
      let disk = try server.connect("disk")
      usleep(3_000_000)
      #expect(process.isRunning, "somebody is connected")
      try disk.write(0, StampedBytes.random(4096, seed: 1))
      try disk.disconnect()
      let result = try process.wait(seconds: 20)
      #expect(result.status == 0, "\(result)")
      #expect(!FileManager.default.fileExists(atPath: server.socket))
      try server.start()
      #expect(try server.connect("disk").read(0, 4096) == StampedBytes.random(4096, seed: 1))
    }

    private static let activation = """
      import os, socket, sys
      s = socket.socket(socket.AF_UNIX)
      s.bind(sys.argv[1])
      s.listen(16)
      os.dup2(s.fileno(), 3)
      os.set_inheritable(3, True)
      os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=sys.argv[2], LISTEN_FDNAMES="nbd")
      os.execv(sys.argv[3], sys.argv[3:])
      """

    private static func activate(_ server: LaminaServer, count: String) throws -> ChildProcess {
      try ChildProcess(
        "/usr/bin/python3",
        [
          "-c", activation, server.socket, count, Machine.lamina, "serve", "tank", "--home",
          server.home, "--idle-exit", "2",
        ], in: server.folder.url)
    }

    /// As systemd starts a service by its socket: hosts may come before the server is there, and
    /// the socket file stays when it ends.
    @Test func aServerServesAtTheSocketsThatItIsGiven() throws {
      let server = try Self.stopped()
      let process = try Self.activate(server, count: "1")
      var connected: NBDConnection?
      for _ in 0..<300 where connected == nil {
        connected = try? server.connect("disk")
        if connected == nil { usleep(20_000) }
      }
      let disk = try #require(connected)
      try disk.write(0, StampedBytes.random(4096, seed: 2))
      try disk.disconnect()
      let result = try process.wait(seconds: 20)
      #expect(result.status == 0, "\(result)")
      #expect(result.output.contains("unix:\(server.socket)"), "\(result)")
      #expect(FileManager.default.fileExists(atPath: server.socket))
    }

    @Test func aDescriptorThatIsNoListenerIsRefusedByName() throws {
      let server = try Self.stopped()
      let result = try Self.activate(server, count: "2").wait(seconds: 20)
      #expect(result.status == 64, "\(result)")
      #expect(result.errors.contains("descriptor 4 cannot be listened with"), "\(result)")
      try FileManager.default.removeItem(atPath: server.socket)
      let none = try Self.activate(server, count: "some").wait(seconds: 20)
      #expect(none.status == 64 && none.errors.contains("LISTEN_FDS"), "\(none)")
    }
  }
}
