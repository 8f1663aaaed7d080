import Foundation
import Logging
import Management
import ManagementHTTP
import Testing

struct ManagementServerTests {
  let disk: VolumeName

  init() throws { disk = try VolumeName("disk.1") }

  @Test func `a volume lives through the client as it does in the pool`() async throws {
    try await RunningServer.use { server in
      let client = server.client
      #expect(try await client.listVolumes().isEmpty)
      let wanted = try VolumeSpecification(
        name: disk, sizeBytes: 32 << 50, logicalBlockBytes: 4096, fullPolicy: .error)
      let created = try await client.createVolume(wanted)
      #expect(created == (try await server.pool.volume(named: disk)))
      #expect(created.sizeBytes == 32 << 50)
      #expect(try await client.volume(named: disk) == created)
      #expect(try await client.listVolumes() == [created])
      #expect(try await client.status() == (try await server.pool.status()))
      try await client.checkpoint()
      #expect(await server.pool.checkpoints == 1)
      try await client.deleteVolume(named: disk, permanently: false)
      #expect(try await client.listVolumes().isEmpty)
      #expect(try await client.version() == LaminaVersion.current)
    }
  }

  @Test func `an error reaches the client whole`() async throws {
    try await RunningServer.use { server in
      let missing = await #expect(throws: ManagementError.self) {
        try await server.client.volume(named: disk)
      }
      #expect(missing == ManagementError.volumeNotFound(disk, pool: "demo"))
      let full = ManagementError(
        .noSpace, "m", cause: "c", details: ["d", "e"], correction: "k",
        objects: [ManagementObject(.pool, "demo"), ManagementObject(.device, "/x")])
      await server.pool.fail(with: full)
      #expect(
        await #expect(throws: ManagementError.self) { try await server.client.status() } == full)
      #expect(
        await #expect(throws: ManagementError.self) { try await server.client.checkpoint() }
          == full)
    }
  }

  @Test func `many clients at once are all answered`() async throws {
    try await RunningServer.use { server in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for i in 0..<200 {
          group.addTask {
            let name = try VolumeName("v\(i)")
            _ = try await server.client.createVolume(
              VolumeSpecification(name: name, sizeBytes: 512))
            #expect(try await server.client.volume(named: name).name == "v\(i)")
          }
        }
        try await group.waitForAll()
      }
      #expect(try await server.client.listVolumes().count == 200)
    }
  }

  @Test func `the socket is its owner's only, and gone after a stop`() async throws {
    let running = try RunningServer(
      folder: "/tmp/lamina-test-\(UInt64.random(in: .min ... .max))")
    defer { try? FileManager.default.removeItem(atPath: running.folder) }
    let server = try await running.start()
    let attributes = try FileManager.default.attributesOfItem(atPath: running.socketPath)
    #expect(attributes[.posixPermissions] as? Int == 0o600)
    await server.stop()
    #expect(!FileManager.default.fileExists(atPath: running.socketPath))
    let error = await #expect(throws: ManagementError.self) { try await running.client.status() }
    #expect(error?.code == .serverNotRunning)
  }

  @Test func `a socket that a killed server left is replaced`() async throws {
    let running = try RunningServer(
      folder: "/tmp/lamina-test-\(UInt64.random(in: .min ... .max))")
    defer { try? FileManager.default.removeItem(atPath: running.folder) }
    #expect(LeftOverSocket.make(at: running.socketPath) == 0)
    let error = await #expect(throws: ManagementError.self) { try await running.client.status() }
    #expect(error?.code == .serverNotRunning)
    #expect(error?.cause == "The socket was left over by a server that was killed.")
    let server = try await running.start()
    #expect(try await running.client.status().name == "demo")
    await server.stop()
  }

  @Test func `a socket at which a server answers is not taken from it`() async throws {
    try await RunningServer.use { server in
      let error = await #expect(throws: ManagementError.self) { try await server.start() }
      #expect(error?.code == .addressInUse)
      let status = try await server.client.status()
      #expect(status.name == "demo")
    }
  }

  @Test func `a file that is no socket is left alone`() async throws {
    let running = try RunningServer(
      folder: "/tmp/lamina-test-\(UInt64.random(in: .min ... .max))")
    defer { try? FileManager.default.removeItem(atPath: running.folder) }
    try Data("precious".utf8).write(to: URL(fileURLWithPath: running.socketPath))
    let error = await #expect(throws: ManagementError.self) { try await running.start() }
    #expect(error?.code == .addressInUse)
    #expect(try String(contentsOfFile: running.socketPath, encoding: .utf8) == "precious")
  }

  @Test(arguments: ["/nonexistent-folder/x.sock", "/" + String(repeating: "x", count: 107)])
  func `a path at which no socket can be is refused`(path: String) async {
    let error = await #expect(throws: ManagementError.self) {
      try await ManagementServer.start(
        serving: MemoryPool(), socketPath: path, logger: .init(label: "test"))
    }
    #expect([.addressInvalid, .socketPathTooLong].contains(error?.code))
  }

  @Test func `a stop does not wait for a request that never ends`() async throws {
    try await RunningServer.use { server in
      await server.pool.hang()
      let client = ManagementClient(socketPath: server.socketPath, timeoutMilliseconds: 100)
      let error = await #expect(throws: ManagementError.self) { try await client.status() }
      #expect(error?.code == .timedOut)
    }
  }
}
