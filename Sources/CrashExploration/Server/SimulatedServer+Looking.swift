import BlockExport
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import VolumeEngine

/// Looking at volumes without being their host.
extension SimulatedServer {
  /// What a volume holds, also one in the trash, which nobody can read; nil if it cannot be read.
  func contents(of id: VolumeID, sectors: Range<UInt64>) -> [UInt8]? {
    guard let slot = pool.volume(id) else { return nil }
    guard pool.isInTrash(slot) else { return read(id, sectors: sectors) }
    return loadMap(of: id, sectors) ? peek(id, sectors: sectors) : nil
  }

  /// Brings the part of a map for some sectors into memory.
  func loadMap(of id: VolumeID, _ sectors: Range<UInt64>) -> Bool {
    let query = ChangeQuery(
      target: id, base: .nothing, bytes: sectors.lowerBound * 512..<sectors.upperBound * 512)
    if case .success = run(query) { return true }
    return false
  }

  /// What a volume says has changed since a bookmark of it, all of it.
  func changes(of id: VolumeID, since bookmark: String) -> Result<[ChangedRange], ExportError> {
    guard let found = pool.bookmark(named: bookmark, of: id) else { return .failure(.volumeGone) }
    return run(ChangeQuery(target: id, base: .bookmark(found.id)))
  }

  private func run(_ query: ChangeQuery) -> Result<[ChangedRange], ExportError> {
    var answer: Result<ChangePage, ExportError>?
    engine.begin(ChangeScan(query) { answer = $0 })
    settle()
    switch answer {
    case nil: return .failure(.inputOutput)
    case .failure(let error): return .failure(error)
    case .success(let page):
      precondition(page.nextByte == nil, "so small a volume is one page")
      return .success(page.ranges)
    }
  }

  /// Does one operation of the administrator.
  func manage(_ issue: (VolumeEngine, _ token: UInt64) -> Void) -> ManagementResult {
    var result: ManagementResult?
    let before = managementAnswered
    managementAnswered = { result = $0.result }
    defer { managementAnswered = before }
    issue(engine, 1)
    settle()
    return result ?? .failed(.inputOutput)
  }

  /// The volume or snapshot that was made with this identity, if it is there.
  func volume(_ uuid: StorageUUID) -> VolumeID? {
    pool.volumeIDs.first { id in
      pool.volume(id).map { pool.record(of: $0).uuid == uuid } ?? false
    }
  }
}
