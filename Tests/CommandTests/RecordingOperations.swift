import Management
import PoolServer
import Synchronization

@testable import lamina

/// Operations on a canned pool that note what they were asked.
final class RecordingOperations: PoolOperations {
  private let state = Mutex<[String]>([])
  private let closeFailure: ManagementError?
  private let openFailure: ManagementError?

  init(openFailure: ManagementError? = nil, closeFailure: ManagementError? = nil) {
    self.openFailure = openFailure
    self.closeFailure = closeFailure
  }

  /// In the order in which they came.
  var calls: [String] { state.withLock { $0 } }

  private func note(_ call: String) { state.withLock { $0.append(call) } }

  func create(
    _ specification: PoolSpecification, in state: StateFolder
  ) async throws(ManagementError) -> PoolStatus {
    note("create")
    return CannedPool.status
  }

  func scan(_ paths: [String]) async throws(ManagementError) -> PoolScan {
    note("scan")
    return PoolScan(pools: [], others: [])
  }

  func importPool(
    _ order: PoolImport, in state: StateFolder
  ) async throws(ManagementError) -> PoolStatus {
    note("import")
    return CannedPool.status
  }

  func exportPool(
    _ pool: PoolName, in state: StateFolder
  ) async throws(ManagementError) -> PoolStatus {
    note("export")
    return CannedPool.status
  }

  func open(
    _ pool: PoolName, in state: StateFolder
  ) async throws(ManagementError) -> any OpenPool {
    note("open")
    if let openFailure { throw openFailure }
    return Opened(operations: self)
  }

  func serve(
    _ options: ServeOptions, in state: StateFolder,
    ready: @escaping @Sendable (ServerReady, _ stop: @escaping @Sendable () -> Void) -> Void
  ) async throws(ManagementError) {
    note("serve")
  }

  private struct Opened: OpenPool {
    let operations: RecordingOperations
    var service: any PoolService { CannedPool() }

    func close() async throws(ManagementError) {
      operations.note("close")
      if let failure = operations.closeFailure { throw failure }
    }
  }
}
