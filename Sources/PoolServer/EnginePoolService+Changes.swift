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
    let found = try await scan(specification)
    guard specification.exact else { return found.list }
    guard let base = found.base, let baseSizeBytes = found.list.baseSizeBytes else {
      throw .nothingToCompare(specification.base, pool: found.list.pool)
    }
    var comparison = ChangeComparison(
      target: VolumeAccess(thread: thread, volume: found.target),
      base: VolumeAccess(thread: thread, volume: base), baseSizeBytes: baseSizeBytes)
    do throws(ExportError) {
      return try await comparison.reduce(found.list)
    } catch { throw Self.problem(error, specification, pool: found.list.pool) }
  }

  /// What the maps say, and whose bytes can be compared.
  private struct ScannedChanges: Sendable {
    var list: ChangeList
    var target: VolumeID
    var base: VolumeID?
  }

  private func scan(
    _ specification: ChangeSpecification
  ) async throws(ManagementError) -> ScannedChanges {
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
            result.map {
              ScannedChanges(list: answer.with($0), target: query.target, base: base.content)
            }
            .mapError { Self.problem($0, specification, pool: answer.pool) })
        })
    }
  }

  private static func base(
    _ specification: ChangeSpecification, of target: VolumeSlot, _ pool: Pool
  ) throws(ManagementError) -> FoundBase {
    switch specification.base {
    case nil: return FoundBase()
    case .bookmark(let mark):
      return try FoundBase(mark, of: target, named: specification.target, pool)
    case .content(let content):
      guard let slot = find(content, pool) else { throw content.notFound(pool: pool.name) }
      let record = pool.record(of: slot)
      guard record.family == pool.record(of: target).family else {
        throw .volumesNotRelated(.content(content), specification.target, pool: pool.name)
      }
      return FoundBase(record)
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
      base: specification.base?.description, baseUUID: base.identity,
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
