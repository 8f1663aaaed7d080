import ArgumentParser
import Management

struct BookmarkCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bookmark", abstract: "Create, list and delete bases for later differences.",
    subcommands: [BookmarkCreate.self, BookmarkShowList.self, BookmarkDelete.self])
}

struct BookmarkCreate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Remember a snapshot as a base for later differences.",
    discussion: """
      A bookmark holds no space, and stays when its snapshot is deleted: 'lamina snapshot diff' \
      still tells what changed since. Its name is unique among those of the volume, which is \
      written POOL/VOLUME#MARK afterwards.

      Example:
        lamina bookmark create tank/disk@monday#monday
      """)

  @Argument(
    help: ArgumentHelp("The new bookmarks.", valueName: "pool/volume@snapshot#mark"))
  var bookmarks: [String]

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let references = try bookmarks.map { (text) throws(ManagementError) in
        try NewBookmarkReference(text)
      }
      let pool = try onePool(references.map { ($0.pool, $0.bookmark.description) })
      let access = PoolAccess(state: state)
      let made = try await access.use(pool) { (service) throws(ManagementError) in
        var made: [BookmarkDescription] = []
        for reference in references {
          made.append(
            try await service.createBookmark(
              BookmarkSpecification(
                snapshot: reference.snapshot, bookmark: reference.bookmark)))
        }
        return made
      }
      return BookmarkListResult(
        output: BookmarkList(bookmarks: made),
        nextCommand: "lamina snapshot diff \(pool)/\(made[0].name)"
          + " \(pool)/\(references[0].bookmark.volume)\(shared.homeArgument)")
    }
  }
}

struct BookmarkShowList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the bookmarks of a pool or of one volume.",
    discussion: """
      Example:
        lamina bookmark list tank/disk
      """)

  @Argument(help: ArgumentHelp("The pool, or a volume of it.", valueName: "pool[/volume]"))
  var object: String

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let volume = object.contains("/") ? try VolumeReference(object) : nil
      let pool: PoolName
      if let volume { pool = volume.pool } else { pool = try PoolName(object) }
      let access = PoolAccess(state: state)
      let all = try await access.use(pool) { (service) throws(ManagementError) in
        if let volume { _ = try await service.volume(named: volume.volume) }
        return try await service.listBookmarks()
      }
      let shown =
        volume.map { volume in all.filter { $0.name.hasPrefix("\(volume.volume)#") } } ?? all
      return BookmarkListResult(output: BookmarkList(bookmarks: shown), nextCommand: nil)
    }
  }
}

struct BookmarkDelete: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "delete", abstract: "Delete bookmarks.",
    discussion: """
      Example:
        lamina bookmark delete tank/disk#monday
      """)

  @Argument(help: ArgumentHelp("The bookmarks.", valueName: "pool/volume#mark"))
  var bookmarks: [String]

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let references = try bookmarks.map { (text) throws(ManagementError) in
        try BookmarkReference(text)
      }
      let pool = try onePool(references.map { ($0.pool, $0.bookmark.description) })
      let access = PoolAccess(state: state)
      try await access.use(pool) { (service) throws(ManagementError) in
        for reference in references { try await service.deleteBookmark(reference.bookmark) }
      }
      return BookmarksDeletedResult(bookmarks: references)
    }
  }
}

/// The pool that all bookmarks are in; throws if there are several.
private func onePool(
  _ bookmarks: [(pool: PoolName, name: String)]
) throws(ManagementError) -> PoolName {
  guard let first = bookmarks.first else {
    throw ManagementError(.invalidArgument, "no bookmark is named")
  }
  if let other = bookmarks.first(where: { $0.pool != first.pool }) {
    throw ManagementError(
      .invalidArgument,
      "\(first.pool)/\(first.name) and \(other.pool)/\(other.name) are in different pools",
      correction: "Use one command for each pool.",
      objects: [ManagementObject(.bookmark, "\(other.pool)/\(other.name)")])
  }
  return first.pool
}

/// Bookmarks as a command shows them.
struct BookmarkListResult: CommandResult {
  var output: BookmarkList
  var nextCommand: String?

  var text: String? {
    guard !output.bookmarks.isEmpty else { return "no bookmarks" }
    var table = TextTable([
      ("bookmark", .left), ("of snapshot", .left), ("snapshot is", .left), ("created", .left),
    ])
    for bookmark in output.bookmarks {
      let state = bookmark.snapshotExists ? "there" : "gone"
      table.add([
        "\(bookmark.pool)/\(bookmark.name)", bookmark.snapshot,
        bookmark.usable ? state : "gone, volume rolled back", bookmark.createdAt.description,
      ])
    }
    return table.text
  }
}

/// That bookmarks are gone.
struct BookmarksDeletedResult: CommandResult {
  struct Output: Encodable, Sendable {
    var deleted: [String]
  }

  var bookmarks: [BookmarkReference]
  var output: Output { Output(deleted: bookmarks.map(\.description)) }
  var text: String? { "deleted \(output.deleted.joined(separator: ", "))" }
  var nextCommand: String? { nil }
}
