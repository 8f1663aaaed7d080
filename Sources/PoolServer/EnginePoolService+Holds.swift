import BlockIO
import DiskFormat
import Management
import PoolCore
import VolumeEngine

extension EnginePoolService {
  func listHolds() async throws(ManagementError) -> [HoldDescription] {
    try await ask { host in
      .success(
        host.pool.holds().compactMap { hold in
          host.pool.volume(hold.volume).map { slot in
            HoldDescription(
              name: host.pool.shownName(of: slot), tag: hold.tag, reason: hold.reason,
              createdAt: Timestamp(secondsSince1970: Int64(hold.createdAt)))
          }
        })
    }
  }

  func placeHold(_ hold: HoldSpecification) async throws(ManagementError) {
    try await changeHold(on: hold.name) { host, slot, token in
      host.engine.placeHold(
        on: host.pool.record(of: slot).id, tag: hold.tag.text, reason: hold.reason,
        createdAt: SystemClock.secondsSince1970(), token: token)
    }
  }

  func releaseHold(_ tag: HoldTag, on name: ContentName) async throws(ManagementError) {
    try await changeHold(on: name) { host, slot, token in
      host.engine.releaseHold(
        on: host.pool.record(of: slot).id, tag: tag.text, token: token)
    }
  }

  private func changeHold(
    on name: ContentName,
    _ begin: @escaping @Sendable (PoolHost, VolumeSlot, UInt64) -> Void
  ) async throws(ManagementError) {
    try await operate { host, done in
      guard let slot = host.pool.volume(named: name.description) else {
        switch name {
        case .volume(let volume):
          return done(.failure(.volumeNotFound(volume, pool: host.pool.name)))
        case .snapshot(let snapshot):
          return done(.failure(.snapshotNotFound(snapshot, pool: host.pool.name)))
        }
      }
      let token = host.token { host, result in
        done(result == .done ? .success(()) : .failure(Self.branchProblem(result, host)))
      }
      begin(host, slot, token)
    } as Void
  }
}
