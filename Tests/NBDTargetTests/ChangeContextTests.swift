import BlockExport
import StorageUnits
import Testing

@testable import NBDTarget

/// Contexts that say what changed since a snapshot or a bookmark.
@Suite struct ChangeContextTests {
  private static let bases = [
    NamedExportBase(name: "b", base: .snapshot(VolumeID(12))),
    NamedExportBase(name: "#m", base: .bookmark(77)),
    NamedExportBase(name: "a", base: .snapshot(VolumeID(11))),
  ]

  private static func harness() -> SessionHarness {
    SessionHarness([ListedExports.volume(1, "v", bytes: 1 << 20)], bases: bases)
  }

  /// The names in the replies to an option, in order, with their identifiers.
  private static func contexts(
    _ harness: SessionHarness, _ option: UInt32, _ queries: [String]
  ) throws -> [(UInt32, String)] {
    let i = try #require(harness.connect())
    harness.send(i, Wire.fixedNoZeroes + Wire.option(8))
    _ = harness.take(i)
    harness.send(i, Wire.option(option, Wire.metaContext("v", queries)))
    var reader = BigEndianReader(harness.take(i))
    var found: [(UInt32, String)] = []
    while reader.remaining > 0 {
      _ = reader.integer(UInt64.self)
      let answered = reader.integer(UInt32.self)
      #expect(answered == option)
      guard let type = reader.integer(UInt32.self), let length = reader.integer(UInt32.self),
        let data = reader.take(length)
      else {
        Issue.record("a reply is cut off")
        break
      }
      guard type == 4 else {
        #expect(type == (queries.count > 16 ? 0x8000_0009 : 1))
        #expect(reader.remaining == 0)
        break
      }
      var part = BigEndianReader(data)
      let id = part.integer(UInt32.self)
      found.append((id ?? .max, String(decoding: data.dropFirst(4), as: UTF8.self)))
    }
    return found
  }

  @Test func listsNameThemAll() throws {
    let harness = Self.harness()
    let differences = ["lamina:diff:b", "lamina:diff:#m", "lamina:diff:a"]
    let bitmaps = ["qemu:dirty-bitmap:b", "qemu:dirty-bitmap:#m", "qemu:dirty-bitmap:a"]
    let table: [([String], [String])] = [
      ([], ["base:allocation"] + differences + bitmaps), (["base:"], ["base:allocation"]),
      (["lamina:"], differences), (["lamina:diff:"], differences), (["qemu:"], bitmaps),
      (["qemu:dirty-bitmap:"], bitmaps), (["lamina:diff:a"], ["lamina:diff:a"]),
      (["lamina:diff:#m", "lamina:"], ["lamina:diff:#m", "lamina:diff:b", "lamina:diff:a"]),
      (["lamina:diff:c", "qemu:dirty-bitmap", "lamina", "x:"], []),
    ]
    for (queries, expected) in table {
      let found = try Self.contexts(harness, 9, queries)
      #expect(found.map(\.1) == expected, "\(queries)")
      #expect(found.allSatisfy { $0.0 == 0 })
    }
  }

  @Test func onlyFullNamesSelect() throws {
    let harness = Self.harness()
    let found = try Self.contexts(
      harness, 10,
      ["lamina:", "qemu:dirty-bitmap:", "lamina:diff:#m", "base:allocation", "lamina:diff:c"])
    #expect(found.map(\.1) == ["lamina:diff:#m", "base:allocation"])
    #expect(found.map(\.0) == [1, 2])
  }

  @Test func longListsComeInPieces() throws {
    let many = (0..<500).map {
      NamedExportBase(
        name: String(repeating: "s", count: 100) + "\($0)", base: .snapshot(VolumeID(9)))
    }
    let harness = SessionHarness([ListedExports.volume(1, "v", bytes: 1 << 20)], bases: many)
    let found = try Self.contexts(harness, 9, ["lamina:"])
    #expect(found.map(\.1) == many.prefix(256).map { "lamina:diff:" + $0.name })
  }

  /// Each context is asked of the engine in turn, and has a chunk of its own in one reply.
  @Test func aStatusIsAnsweredForEveryContext() throws {
    let harness = Self.harness()
    harness.engine.extents = [
      BlockStatusExtent(length: 4096, isHole: true, readsAsZeros: true),
      BlockStatusExtent(length: 8192, isHole: false, readsAsZeros: false, isChanged: true),
      BlockStatusExtent(length: 4096, isHole: false, readsAsZeros: false),
    ]
    let i = try harness.open(
      "v", structured: true, status: true,
      contexts: ["qemu:dirty-bitmap:a", "base:allocation", "lamina:diff:#m"])
    harness.pick = nil
    harness.send(i, Wire.request(7, cookie: 5, offset: 4096, length: 16384))
    var asked: [ExportBase?] = []
    while let request = harness.engine.pending.first {
      #expect(request.length == 16384 && request.offset == 4096)
      #expect(harness.take(i).isEmpty, "nothing before all of it")
      asked.append(request.base)
      harness.answer(0)
    }
    #expect(asked == [.snapshot(VolumeID(11)), nil, .bookmark(77)])
    func chunk(_ id: UInt8, done: Bool, _ descriptors: [(UInt32, UInt32)]) -> [UInt8] {
      Wire.chunk(
        5, type: 5, done: done,
        [0, 0, 0, id] + descriptors.flatMap { Wire.bigEndian($0.0) + Wire.bigEndian($0.1) })
    }
    let changes: [(UInt32, UInt32)] = [(4096, 0), (8192, 1), (4096, 0)]
    #expect(
      harness.take(i) == chunk(1, done: false, changes)
        + chunk(2, done: false, [(4096, 3), (12288, 0)]) + chunk(3, done: true, changes))
    #expect(harness.endsEmpty())
  }

  @Test func aContextThatFailsFailsTheRequest() throws {
    let harness = Self.harness()
    harness.engine.failures[4096] = .volumeGone
    let i = try harness.open(
      "v", structured: true, status: true, contexts: ["lamina:diff:a", "lamina:diff:b"])
    harness.send(i, Wire.request(7, cookie: 6, offset: 4096, length: 4096))
    #expect(harness.take(i) == Wire.errorChunk(6, 5))
    #expect(harness.endsEmpty())
  }

  @Test func sixteenContextsShareTheReplyAndMoreAreRefused() throws {
    let many = (0..<17).map { NamedExportBase(name: "s\($0)", base: .snapshot(VolumeID($0 + 2))) }
    let harness = SessionHarness([ListedExports.volume(1, "v", bytes: 8 << 20)], bases: many)
    harness.engine.extents = (0..<2048).map {
      BlockStatusExtent(length: 4096, isHole: false, readsAsZeros: false, isChanged: $0 % 2 == 0)
    }
    let names = many.map { "lamina:diff:" + $0.name }
    let i = try harness.open(
      "v", structured: true, status: true, contexts: Array(names.prefix(16)))
    harness.send(i, Wire.request(7, cookie: 7, offset: 0, length: 8 << 20))
    let bytes = harness.take(i)
    // 8192 / 16 bytes for each: a header of 20, the identifier, and whole descriptors.
    #expect(bytes.count == 16 * (20 + 4 + 8 * ((512 - 24) / 8)))
    #expect(harness.endsEmpty())
    let other = SessionHarness([ListedExports.volume(1, "v", bytes: 8 << 20)], bases: many)
    #expect(try Self.contexts(other, 10, names).isEmpty)
  }
}
