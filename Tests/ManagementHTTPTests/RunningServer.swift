import Foundation
import Logging
import Management
import ManagementHTTP

/// A server of a pool in memory on a socket of its own, stopped by `use`.
struct RunningServer: Sendable {
  let folder: String
  let pool = MemoryPool()
  var socketPath: String { folder + "/control.sock" }
  var client: ManagementClient { ManagementClient(socketPath: socketPath) }

  static func use(_ body: (RunningServer) async throws -> Void) async throws {
    let running = try RunningServer(
      folder: "/tmp/lamina-test-\(UInt64.random(in: .min ... .max))")
    defer { try? FileManager.default.removeItem(atPath: running.folder) }
    let server = try await running.start()
    do {
      try await body(running)
    } catch {
      await server.stop()
      throw error
    }
    await server.stop()
  }

  init(folder: String) throws {
    self.folder = folder
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
  }

  func start() async throws -> ManagementServer {
    try await ManagementServer.start(
      serving: pool, socketPath: socketPath,
      logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
  }
}
