import Management
import ManagementHTTP
import PoolServer

/// The way of a command to its pool: the running server if there is one, else the pool itself,
/// opened in this process.
struct PoolAccess: Sendable {
  var state: StateFolder
  var operations: any PoolOperations = Wiring.pools

  /// Lets `body` work with the pool, and closes what was opened for it. Throws `poolNotFound` if
  /// the state folder does not list the pool.
  func use<Value: Sendable>(
    _ pool: PoolName,
    _ body: (any PoolService) async throws(ManagementError) -> Value
  ) async throws(ManagementError) -> Value {
    _ = try state.record(of: pool)
    if let client = try await client(of: pool) { return try await body(client) }
    let opened: any OpenPool
    do throws(ManagementError) {
      opened = try await operations.open(pool, in: state)
    } catch {
      guard error.code == .poolInUse, let client = try await startingServer(of: pool) else {
        throw error
      }
      return try await body(client)
    }
    let value: Value
    do throws(ManagementError) {
      value = try await body(opened.service)
    } catch {
      // What the command met matters more than what the closing may meet.
      try? await opened.close()
      throw error
    }
    try await opened.close()
    return value
  }

  /// A server that holds the pool already and is about to answer at its control socket; nil if none
  /// does soon.
  private func startingServer(
    of pool: PoolName
  ) async throws(ManagementError) -> ManagementClient? {
    for _ in 0..<Self.startPauses {
      try? await Task.sleep(for: Self.startPause)
      if let client = try await client(of: pool) { return client }
    }
    return nil
  }

  private static let startPause = Duration.milliseconds(100)
  private static let startPauses = 20

  /// A client of the pool's server, nil if none runs. It is asked for its version first, so that a
  /// command which changes something is sent once only, to a server that answers.
  func client(of pool: PoolName) async throws(ManagementError) -> ManagementClient? {
    let usualPath = try state.controlSocketPath(of: pool)
    let client = ManagementClient(
      socketPath: state.holder(of: pool)?.controlSocketPath ?? usualPath)
    do throws(ManagementError) {
      let version = try await client.version()
      guard version.apiVersion == LaminaVersion.current.apiVersion else {
        throw ManagementError(
          .protocolViolation, "the server of pool '\(pool)' speaks another control API",
          cause: "It speaks version \(version.apiVersion), this program"
            + " \(LaminaVersion.current.apiVersion).",
          correction: "Use the 'lamina' of the server's own version (\(version.version)).",
          objects: [ManagementObject(.pool, pool.text)])
      }
      return client
    } catch {
      guard error.code == .serverNotRunning else { throw error }
      return nil
    }
  }
}
