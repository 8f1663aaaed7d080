import BlockIO
import DiskFormat
import Management
import PoolCore
import StorageUnits
import VolumeEngine

extension EnginePoolService {
  func listBookmarks() async throws(ManagementError) -> [BookmarkDescription] {
    try await ask { host in .success(host.pool.bookmarks.compactMap(host.description(of:))) }
  }

  func createBookmark(
    _ specification: BookmarkSpecification
  ) async throws(ManagementError) -> BookmarkDescription {
    let name = specification.bookmark
    return try await operate { host, done in
      guard let slot = host.pool.volume(named: specification.snapshot.description) else {
        return done(
          .failure(.snapshotNotFound(specification.snapshot, pool: host.pool.name)))
      }
      host.engine.createBookmark(
        of: host.pool.record(of: slot).id, named: name.mark,
        createdAt: SystemClock.secondsSince1970(),
        token: host.token { host, result in
          if result == .done, let found = Self.find(name, host.pool),
            let made = host.description(of: found)
          {
            done(.success(made))
          } else {
            done(.failure(Self.problem(result, name, host)))
          }
        })
    }
  }

  func deleteBookmark(_ name: BookmarkName) async throws(ManagementError) {
    try await operate { host, done in
      guard let slot = host.pool.volume(named: name.volume.text),
        Self.find(name, host.pool) != nil
      else { return done(.failure(.bookmarkNotFound(name, pool: host.pool.name))) }
      host.engine.deleteBookmark(
        named: name.mark, of: host.pool.record(of: slot).id,
        token: host.token { host, result in
          done(result == .done ? .success(()) : .failure(Self.problem(result, name, host)))
        })
    } as Void
  }

  static func find(_ name: BookmarkName, _ pool: Pool) -> Bookmark? {
    guard let slot = pool.volume(named: name.volume.text) else { return nil }
    return pool.bookmark(named: name.mark, of: pool.record(of: slot).id)
  }

  private static func problem(
    _ result: ManagementResult, _ name: BookmarkName, _ host: PoolHost
  ) -> ManagementError {
    let pool = host.pool.name
    switch result {
    case .refused(.bookmarkExists):
      return ManagementError(
        .bookmarkExists, "there is already a bookmark '\(name)' in pool '\(pool)'",
        correction: "Choose another name.",
        objects: [ManagementObject(.bookmark, "\(pool)/\(name)")])
    case .refused(.noSuchBookmark): return .bookmarkNotFound(name, pool: pool)
    default: return branchProblem(result, host)
    }
  }
}

extension PoolHost {
  func description(of bookmark: Bookmark) -> BookmarkDescription? {
    guard let slot = pool.volume(bookmark.volume), !pool.isInTrash(slot) else { return nil }
    let volume = pool.shownName(of: slot)
    let snapshot = pool.snapshot(of: bookmark)
    return BookmarkDescription(
      name: "\(volume)#\(bookmark.name)", pool: pool.name,
      snapshot: "\(volume)@\(bookmark.snapshotName)", snapshotUUID: bookmark.snapshotIdentity,
      snapshotExists: snapshot.map { !pool.isInTrash($0) } ?? false,
      usable: snapshot != nil || pool.isOnLine(bookmark, of: slot),
      sizeBytes: bookmark.sizeBytes,
      createdAt: Timestamp(secondsSince1970: Int64(bookmark.createdAt)),
      snapshotCreatedAt: Timestamp(secondsSince1970: Int64(bookmark.snapshotCreatedAt)))
  }
}
