import Management

/// What a program without an engine says. It can still ask a running server.
struct UnwiredPoolOperations: PoolOperations {
  private let refusal = ManagementError(
    .notSupported, "this build of lamina has no storage engine",
    correction: "Use a build that has one, or ask a running server.")

  func create(
    _ specification: PoolSpecification, in state: StateFolder
  ) async throws(ManagementError) -> PoolStatus {
    throw refusal
  }

  func open(
    _ pool: PoolName, in state: StateFolder
  ) async throws(ManagementError) -> any OpenPool {
    throw refusal
  }

  func serve(
    _ options: ServeOptions, in state: StateFolder,
    ready: @escaping @Sendable (ServerReady) -> Void
  ) async throws(ManagementError) {
    throw refusal
  }
}
