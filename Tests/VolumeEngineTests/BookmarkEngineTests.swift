import BlockExport
import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import Testing

@testable import VolumeEngine

/// Bookmarks while hosts write.
@Suite struct BookmarkEngineTests {
  /// A volume with one extent written, whose snapshot is gone and left a bookmark.
  private static func bookmarked() throws -> (EngineRig, VolumeID, Bookmark) {
    let rig = EngineRig()
    let v = rig.createVolume(size: 64 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 65536)) == nil)
    let order = SnapshotOrder(
      source: v, name: "s", uuid: StorageUUID(high: 4, low: 4), createdAt: 1)
    guard case .branched(let ids) = rig.manage({ $0.createSnapshots([order], token: $1) }) else {
      throw ExportError.invalidRequest
    }
    #expect(
      rig.manage { $0.createBookmark(of: ids[0], named: "m", createdAt: 2, token: $1) } == .done)
    #expect(
      rig.manage { $0.createBookmark(of: ids[0], named: "m", createdAt: 2, token: $1) }
        == .refused(.bookmarkExists("m")))
    #expect(rig.manage { $0.deleteVolume(ids[0], token: $1) } == .done)
    #expect(rig.manage { $0.checkpoint(token: $1) } == .done)
    rig.settle()
    #expect(rig.record(v).shareEpoch == .zero)
    return (rig, v, try #require(rig.pool.bookmarks.first))
  }

  private static func changes(
    _ rig: EngineRig, _ target: VolumeID, since bookmark: Bookmark
  ) throws -> [ChangedRange] {
    var answer: Result<ChangePage, ExportError>?
    let query = ChangeQuery(target: target, base: .bookmark(bookmark.id))
    rig.engine.begin(ChangeScan(query) { answer = $0 })
    rig.settle()
    return try #require(answer).get().ranges
  }

  // overwrite in place             round
  // raises the birth, waits
  //                                the record is durable
  // writes the data
  @Test func theRaisedBirthIsDurableBeforeTheDataIsWritten() throws {
    let (rig, v, bookmark) = try Self.bookmarked()
    #expect(try Self.changes(rig, v, since: bookmark).isEmpty)
    let writes = rig.dataWrites
    let flushes = rig.flushes
    let first = rig.submit(.write, v, at: 4096, bytes: pattern(2, 4096))
    let second = rig.submit(.write, v, at: 8192, bytes: pattern(3, 4096))
    rig.turn()
    #expect(rig.pool.records.recordCount == 0, "the round has taken it")
    while rig.dataWrites == writes {
      #expect(!rig.isAnswered(first) && !rig.isAnswered(second))
      try #require(rig.completeOne())
    }
    #expect(rig.flushes > flushes, "the journal came first")
    rig.settle()
    #expect(rig.outcome(first) == nil && rig.outcome(second) == nil)
    #expect(rig.engine.raises.isEmpty)
    expectSame(rig.read(v, at: 4096, 4096), pattern(2, 4096))
    #expect(
      try Self.changes(rig, v, since: bookmark) == [
        ChangedRange(offset: 0, length: 65536, isHole: false)
      ])
    // Later ones are what overwrites always are.
    let number = rig.pool.lastRecord
    let before = rig.flushes
    #expect(rig.write(v, at: 4096, pattern(4, 4096)) == nil)
    #expect(rig.pool.lastRecord == number)
    #expect(rig.flushes == before)
    #expect(rig.manage { $0.deleteBookmark(named: "m", of: v, token: $1) } == .done)
    #expect(
      rig.manage { $0.deleteBookmark(named: "m", of: v, token: $1) }
        == .refused(.noSuchBookmark("m")))
    #expect(throws: ExportError.volumeGone) { try Self.changes(rig, v, since: bookmark) }
  }

  // delete the bookmark            overwrite in place
  // applied, its round begins
  //                                must still raise: a power cut brings the bookmark back
  // durable
  //                                writes the data
  @Test func aDeletedBookmarkCountsUntilItsEndIsDurable() throws {
    let (rig, v, _) = try Self.bookmarked()
    let writes = rig.dataWrites
    let token = rig.beginManagement { $0.deleteBookmark(named: "m", of: v, token: $1) }
    rig.turn()
    #expect(rig.pool.bookmarks.isEmpty)
    let write = rig.submit(.write, v, at: 4096, bytes: pattern(2, 4096))
    rig.turn()
    while rig.managementAnswers[token] == nil {
      #expect(rig.dataWrites == writes)
      try #require(rig.completeOne())
    }
    rig.settle()
    #expect(rig.outcome(write) == nil)
    #expect(rig.engine.fallenBookmarks.isEmpty && rig.engine.raises.isEmpty)
    // Now nobody asks any more.
    let number = rig.pool.lastRecord
    #expect(rig.write(v, at: 8192, pattern(3, 4096)) == nil)
    #expect(rig.pool.lastRecord == number)
  }

  @Test func firstWritesAndDiscardsAreReportedAndNeedNoRound() throws {
    let (rig, v, bookmark) = try Self.bookmarked()
    let flushes = rig.flushes
    #expect(rig.write(v, at: 1 << 20, pattern(2, 8192)) == nil)
    #expect(rig.run(.discard, v, at: 0, length: 65536) == nil)
    #expect(rig.flushes == flushes)
    #expect(
      try Self.changes(rig, v, since: bookmark) == [
        ChangedRange(offset: 0, length: 65536, isHole: true),
        ChangedRange(offset: 1 << 20, length: 8192, isHole: false),
      ])
  }

  @Test func whatAVolumeThatWasRolledBackChangedIsNotKnown() throws {
    let rig = EngineRig()
    let v = rig.createVolume(size: 64 << 20)
    var ids: [VolumeID] = []
    for name in ["a", "b"] {
      let order = SnapshotOrder(
        source: v, name: name, uuid: StorageUUID(high: 4, low: UInt64(ids.count)), createdAt: 1)
      guard case .branched(let made) = rig.manage({ $0.createSnapshots([order], token: $1) })
      else { throw ExportError.invalidRequest }
      ids += made
      #expect(rig.write(v, at: 0, pattern(ids.count, 4096)) == nil)
    }
    #expect(
      rig.manage { $0.createBookmark(of: ids[1], named: "m", createdAt: 2, token: $1) } == .done)
    let bookmark = try #require(rig.pool.bookmarks.first)
    #expect(rig.manage { $0.rollBack(v, to: ids[0], token: $1) } == .done)
    // As long as the snapshot is there it is compared itself.
    #expect(
      try Self.changes(rig, v, since: bookmark) == [
        ChangedRange(offset: 0, length: 4096, isHole: true)
      ])
    #expect(rig.manage { $0.deleteVolume(ids[1], token: $1) } == .done)
    #expect(throws: ExportError.invalidRequest) { try Self.changes(rig, v, since: bookmark) }
  }
}
