import BlockExport
import DiskFormat
public import DiskSimulation
import PoolCore
public import StorageUnits
import VolumeEngine

/// The administrator makes a bookmark of a snapshot.
public struct BookmarkOperation: HostOperation {
  public var snapshot: VolumeID

  public init(of snapshot: VolumeID) { self.snapshot = snapshot }

  public static let weight = 3
  /// Random histories keep at most so many bookmarks of a volume.
  private static let mostBookmarks = 3

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> BookmarkOperation? {
    guard let snapshot = SectorRange.snapshot(&random, in: session),
      let volume = session.expectation.origins[snapshot],
      session.expectation.facts[volume]?.latest.bookmarks.count ?? 0 < mostBookmarks
    else { return nil }
    return BookmarkOperation(of: snapshot)
  }

  public func isPossible(in session: HostSession) -> Bool {
    session.expectation.isCertainSnapshot(snapshot)
  }

  public func issue(in session: HostSession) {
    guard let volume = session.expectation.origins[snapshot] else { return }
    let name = session.freshName().name
    let contents = session.expectation.model.recoverable(snapshot, after: .processDeath)
    session.expectation.bookmarkBases[volume, default: [:]][name] = BookmarkBase(
      versions: Dictionary(uniqueKeysWithValues: contents.map { ($0.sector, $0.versions) }))
    session.change(volume, "bookmark") {
      $0.bookmarks.insert(name)
    } issue: {
      $0.createBookmark(of: snapshot, named: name, createdAt: 1, token: $1)
    }
  }

  public var description: String { "bookmark \(snapshot.number)" }
}

/// The administrator deletes a bookmark of a volume: the first one by its name.
public struct DeleteBookmarkOperation: VolumeOperation {
  public var volume: VolumeID

  public init(of volume: VolumeID) { self.volume = volume }

  public static let weight = 1

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> DeleteBookmarkOperation? {
    let marked = session.expectation.certainVolumes.map { DeleteBookmarkOperation(of: $0) }
    return SectorRange.one(of: marked.filter { $0.isPossible(in: session) }, &random)
  }

  public func isPossible(in session: HostSession) -> Bool {
    session.expectation.isServed(volume)
      && session.expectation.facts[volume]?.certainBookmarks.isEmpty == false
  }

  public func issue(in session: HostSession) {
    guard let name = session.expectation.facts[volume]?.certainBookmarks.min() else { return }
    session.change(volume, "deletion of a bookmark") {
      $0.bookmarks.remove(name)
    } issue: {
      $0.deleteBookmark(named: name, of: volume, token: $1)
    }
  }

  public var description: String { "delete a bookmark of \(volume.number)" }
}

/// A backup asks what has changed since the bookmarks of a volume, while hosts write.
public struct ChangesOperation: VolumeOperation {
  public var volume: VolumeID

  public init(of volume: VolumeID) { self.volume = volume }

  public static let weight = 3

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> ChangesOperation? {
    let marked = session.expectation.certainVolumes.map { ChangesOperation(of: $0) }
    return SectorRange.one(of: marked.filter { $0.isPossible(in: session) }, &random)
  }

  public func isPossible(in session: HostSession) -> Bool {
    session.expectation.isServed(volume)
      && session.expectation.facts[volume]?.certainBookmarks.isEmpty == false
  }

  public func issue(in session: HostSession) {
    for name in session.expectation.facts[volume]?.certainBookmarks.sorted() ?? [] {
      guard let found = session.server.pool.bookmark(named: name, of: volume) else {
        return session.note(problem: "bookmark \(name) is lost")
      }
      let issued = session.expectation.model.issueRead()
      let query = ChangeQuery(target: volume, base: .bookmark(found.id))
      session.server.engine.begin(
        ChangeScan(query) { [volume] in session.took($0, of: volume, since: name, issued) })
    }
  }

  public var description: String { "changes of \(volume.number)" }
}

extension HostSession {
  /// What was changed before the question is in the answer; what is changed meanwhile may be.
  fileprivate func took(
    _ answer: Result<ChangePage, ExportError>, of volume: VolumeID, since name: String,
    _ issued: UInt64
  ) {
    defer { expectation.model.readEnded(issued: issued) }
    // A scan fails with a device, with its volume, with the server, and where nothing is known.
    guard case .success(let page) = answer, page.nextByte == nil,
      let base = expectation.bookmarkBases[volume]?[name]
    else { return }
    for (sector, versions) in expectation.model.readable(volume, issued: issued)
    where sector < expectation.smallestSize(of: volume) / 512 {
      let isChanged = versions.allSatisfy { base.differs(sector, $0) }
      let byte = sector * 512
      if isChanged, !page.ranges.contains(where: { $0.offset <= byte && byte < $0.end }) {
        return note(
          problem: "read: volume \(volume.number) sector \(sector): bookmark \(name) misses it")
      }
    }
  }
}
