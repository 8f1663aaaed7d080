import BlockExport
import DiskFormat
import Management
import PoolCore
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
      var base: VolumeSlot?
      if let name = specification.base {
        guard let slot = Self.find(name, pool) else {
          return done(.failure(name.notFound(pool: pool.name)))
        }
        guard pool.record(of: slot).family == pool.record(of: target).family else {
          return done(.failure(.volumesNotRelated(name, specification.target, pool: pool.name)))
        }
        base = slot
      }
      let query = ChangeQuery(
        target: pool.record(of: target).id, base: base.map { pool.record(of: $0).id },
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

  private static func find(_ name: ContentName, _ pool: Pool) -> VolumeSlot? {
    pool.volume(named: name.description)
  }

  /// The answer without its ranges.
  private static func answer(
    _ specification: ChangeSpecification, _ pool: Pool, _ target: VolumeSlot, _ base: VolumeSlot?
  ) -> ChangeList {
    let record = pool.record(of: target)
    let other = base.map { pool.record(of: $0) }
    return ChangeList(
      pool: pool.name, target: specification.target.description, targetUUID: record.uuid,
      base: specification.base?.description, baseUUID: other?.uuid,
      sizeBytes: record.sizeBytes, baseSizeBytes: other?.sizeBytes, ranges: [], visitedNodes: 0,
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
