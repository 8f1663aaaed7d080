import Management
import PoolCore
import VolumeEngine

extension EnginePoolService {
  func pinImage() async throws(ManagementError) -> ImagePin {
    try await operate { host, done in
      host.engine.pinImage(
        token: host.token { host, result in
          if result == .done, let image = host.engine.pinnedImage {
            done(.success(ImagePin(id: image.id, superblockSequence: image.superblockSequence)))
          } else {
            done(.failure(Self.branchProblem(result, host)))
          }
        })
    }
  }

  func renewImagePin(_ id: UInt64, thaw: Bool) async throws(ManagementError) {
    try await ask { host in
      host.engine.renewImagePin(id, thaws: thaw)
        ? .success(()) : .failure(.imagePinLost(pool: host.pool.name))
    } as Void
  }

  func releaseImagePin(_ id: UInt64) async throws(ManagementError) {
    try await ask { host in
      host.engine.releaseImagePin(id)
        ? .success(()) : .failure(.imagePinLost(pool: host.pool.name))
    } as Void
  }
}
