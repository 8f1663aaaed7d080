import BlockExport
import DiskFormat
import Management
import PoolCore
import StorageUnits
import VolumeEngine

extension EnginePoolService {
  func changes(
    _ specification: ChangeSpecification
  ) async throws(ManagementError) -> ChangeList {
    try await operate { host, done in
      let pool = host.pool
      guard let target = Self.find(specification.target, pool) else {
        return done(.failure(specification.target.notFound(pool: pool.name)))
      }
      let base: FoundBase
      do throws(ManagementError) {
        base = try Self.base(specification, of: target, pool)
      } catch { return done(.failure(error)) }
      let query = ChangeQuery(
        target: pool.record(of: target).id, base: base.base,
        bytes: specification.offsetBytes..<UInt64.max,
        rangesAtMost: specification.rangesAtMost)
      let answer = Self.answer(specification, pool, target, base)
      host.engine.begin(
        ChangeScan(query) { result in
          done(
            result.map { answer.with($0) }
              .mapError { Self.problem($0, specification, pool: answer.pool) })
        })
    }
  }

  /// What changes are counted from, and what the answer says of it.
  private struct FoundBase {
    var base = ChangeBase.nothing
    var uuid: StorageUUID?
    var sizeBytes: UInt64?
  }

  private static func base(
    _ specification: ChangeSpecification, of target: VolumeSlot, _ pool: Pool
  ) throws(ManagementError) -> FoundBase {
    guard let name = specification.base else { return FoundBase() }
    let family = pool.record(of: target).family
    switch name {
    case .content(let content):
      guard let slot = find(content, pool) else { throw content.notFound(pool: pool.name) }
      let record = pool.record(of: slot)
      guard record.family == family else {
        throw .volumesNotRelated(name, specification.target, pool: pool.name)
      }
      return FoundBase(
        base: .volume(record.id), uuid: record.uuid, sizeBytes: record.sizeBytes)
    case .bookmark(let mark):
      guard let bookmark = find(mark, pool), let volume = pool.volume(bookmark.volume) else {
        throw .bookmarkNotFound(mark, pool: pool.name)
      }
      guard pool.record(of: volume).family == family else {
        throw .volumesNotRelated(name, specification.target, pool: pool.name)
      }
      guard pool.snapshot(of: bookmark) != nil || pool.isOnLine(bookmark, of: target) else {
        throw .bookmarkNotOnLine(mark, specification.target, pool: pool.name)
      }
      return FoundBase(
        base: .bookmark(bookmark.id), uuid: bookmark.snapshotUUID, sizeBytes: bookmark.sizeBytes)
    }
  }

  private static func find(_ name: ContentName, _ pool: Pool) -> VolumeSlot? {
    pool.volume(named: name.description)
  }

  /// The answer without its ranges.
  private static func answer(
    _ specification: ChangeSpecification, _ pool: Pool, _ target: VolumeSlot, _ base: FoundBase
  ) -> ChangeList {
    let record = pool.record(of: target)
    return ChangeList(
      pool: pool.name, target: specification.target.description, targetUUID: record.uuid,
      base: specification.base?.description, baseUUID: base.uuid,
      sizeBytes: record.sizeBytes, baseSizeBytes: base.sizeBytes, ranges: [], visitedNodes: 0,
      nextOffsetBytes: nil)
  }

  private static func problem(
    _ error: ExportError, _ specification: ChangeSpecification, pool: String
  ) -> ManagementError {
    let names = [specification.target.description, specification.base?.description]
      .compactMap { $0 }
    let objects = names.map { ManagementObject($0.contains("@") ? .snapshot : .volume, $0) }
    switch error {
    case .shuttingDown: return .serverStopping(pool: pool)
    case .invalidRequest:
      guard case .bookmark(let mark) = specification.base else { fallthrough }
      return .bookmarkNotOnLine(mark, specification.target, pool: pool)
    case .volumeGone:
      return ManagementError(
        .volumeNotFound, "\(names.joined(separator: " or ")) was deleted while it was looked at",
        objects: objects)
    default:
      return ManagementError(
        .inputOutput, "the map of \(names.joined(separator: " or ")) cannot be read",
        cause: "A table node is damaged, or its device failed.",
        correction: "Look at 'lamina pool status', and check the pool when it can be stopped.",
        objects: objects)
    }
  }
}

extension ChangeList {
  fileprivate func with(_ page: ChangePage) -> ChangeList {
    var list = self
    list.ranges = page.ranges.map {
      ChangeRange(
        offsetBytes: $0.offset, lengthBytes: $0.length, kind: $0.isHole ? .hole : .data)
    }
    list.visitedNodes = page.nodesVisited
    list.nextOffsetBytes = page.nextByte
    return list
  }
}
