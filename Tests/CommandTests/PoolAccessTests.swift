import Foundation
import Logging
import Management
import ManagementHTTP
import PoolServer
import StorageUnits
import Testing

@testable import lamina

struct PoolAccessTests {
  let pool: PoolName
  let disk: VolumeName
  let folder: String
  let state: StateFolder

  init() throws {
    pool = try PoolName("tank")
    disk = try VolumeName("disk")
    folder = "/tmp/lamina-test-\(UInt64.random(in: .min ... .max))"
    state = try StateFolder(option: folder, environment: .current)
    try state.add(
      PoolRecord(name: pool, uuid: CannedPool.uuid, cacheMode: .direct, devices: []))
  }

  private func withFolder(_ body: () async throws -> Void) async throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try await body()
  }

  private func status(_ operations: RecordingOperations) async throws(ManagementError) -> PoolStatus
  {
    let access = PoolAccess(state: state, operations: operations)
    return try await access.use(pool) { (service) throws(ManagementError) in
      try await service.status()
    }
  }

  @Test func `without a server the pool is opened, used and closed`() async throws {
    try await withFolder {
      let operations = RecordingOperations()
      let seen = try await status(operations)
      #expect(seen == CannedPool.status)
      #expect(operations.calls == ["open", "close"])
    }
  }

  @Test func `with a server the pool is not opened here`() async throws {
    try await withFolder {
      let server = try await ManagementServer.start(
        serving: CannedPool(), socketPath: try state.controlSocketPath(of: pool),
        logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
      let operations = RecordingOperations()
      let seen = try await status(operations)
      #expect(seen == CannedPool.status)
      #expect(operations.calls.isEmpty)
      await server.stop()
      _ = try await status(operations)
      #expect(operations.calls == ["open", "close"])
    }
  }

  /// Its hosts are answered before its control socket is: a script that starts a server and goes on
  /// at once is not told that the pool is in use.
  @Test func `a server that is just starting is waited for`() async throws {
    try await withFolder {
      let held = RecordingOperations(openFailure: .poolInUse(pool, holder: nil))
      async let seen = status(held)
      try await Task.sleep(for: .milliseconds(300))
      let server = try await ManagementServer.start(
        serving: CannedPool(), socketPath: try state.controlSocketPath(of: pool),
        logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
      #expect(try await seen == CannedPool.status)
      #expect(held.calls == ["open"])
      await server.stop()
    }
  }

  @Test func `the server is found where the holder says it answers`() async throws {
    try await withFolder {
      let path = folder + "/elsewhere"
      let server = try await ManagementServer.start(
        serving: CannedPool(), socketPath: path,
        logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
      try state.setHolder(
        PoolHolder(
          host: "h", processID: 1, process: "p", since: Timestamp(secondsSince1970: 0),
          controlSocketPath: path), of: pool)
      let operations = RecordingOperations()
      let seen = try await status(operations)
      #expect(seen == CannedPool.status)
      #expect(operations.calls.isEmpty)
      await server.stop()
    }
  }

  @Test func `a pool is closed after a command that failed, and its own error counts`()
    async throws
  {
    try await withFolder {
      let operations = RecordingOperations(
        closeFailure: ManagementError(.inputOutput, "closing failed"))
      let missing = try VolumeName("missing")
      let error = await #expect(throws: ManagementError.self) {
        try await PoolAccess(state: state, operations: operations).use(pool) {
          (service) throws(ManagementError) in
          try await service.deleteVolume(named: missing, permanently: false)
        }
      }
      #expect(error?.code == .volumeNotFound)
      #expect(operations.calls == ["open", "close"])
    }
  }

  @Test func `a failure to close is a failure of the command`() async throws {
    try await withFolder {
      let failure = ManagementError(.inputOutput, "closing failed")
      let error = await #expect(throws: ManagementError.self) {
        try await status(RecordingOperations(closeFailure: failure))
      }
      #expect(error == failure)
    }
  }

  @Test func `who holds the pool is told`() async throws {
    try await withFolder {
      let held = ManagementError.poolInUse(pool, holder: nil)
      let error = await #expect(throws: ManagementError.self) {
        try await status(RecordingOperations(openFailure: held))
      }
      #expect(error == held)
    }
  }

  @Test func `a pool that is not listed is not looked for on devices`() async throws {
    try await withFolder {
      let operations = RecordingOperations()
      let other = try PoolName("other")
      let error = await #expect(throws: ManagementError.self) {
        try await PoolAccess(state: state, operations: operations).use(other) {
          (service) throws(ManagementError) in
          try await service.status()
        }
      }
      #expect(error?.code == .poolNotFound)
      #expect(operations.calls.isEmpty)
    }
  }
}
