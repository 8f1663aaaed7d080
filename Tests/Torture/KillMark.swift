import Synchronization

/// Whether the server is being killed: a connection that breaks before is a finding.
final class KillMark: Sendable {
  private let isSet = Atomic(false)

  func set() { isSet.store(true, ordering: .sequentiallyConsistent) }

  /// Why a client ended: nil if its server was killed.
  func finding(_ error: any Error, of client: String) -> TortureFinding? {
    if error is TortureFinding || !isSet.load(ordering: .sequentiallyConsistent) {
      return TortureFinding("\(client): \(error)")
    }
    return nil
  }
}
