import ArgumentParser
import Foundation
import Management
import PoolInspection
import ServerHarness
import StorageUnits
import Testing

@testable import lamina

/// `lamina pool check` and `lamina pool dump`: their arguments, and the program on real files.
struct PoolCheckTests {
  private func parse<Command: ParsableCommand>(
    _ type: Command.Type, _ line: String
  ) throws -> Command {
    let command = try Lamina.parseAsRoot(line.split(separator: " ").map(String.init))
    return try #require(command as? Command)
  }

  // MARK: Arguments

  @Test(arguments: [
    "pool check tank", "pool check --device /a", "pool check tank --repair --dry-run",
    "pool check tank --repair --yes", "pool check --device /a --device /b --repair",
  ])
  func `a check takes a pool or devices`(line: String) throws {
    try parse(PoolCheck.self, line).checkOptions()
  }

  @Test(arguments: [
    "pool check", "pool check tank --device /a", "pool check tank --dry-run",
    "pool check tank --yes",
  ])
  func `a check of nothing, of both, or with half a repair is refused`(line: String) throws {
    let command = try parse(PoolCheck.self, line)
    let error = #expect(throws: ManagementError.self) { try command.checkOptions() }
    #expect(error?.code.exitCode == 64)
    #expect(error?.correction != nil)
  }

  @Test(arguments: [
    ("superblock", PoolDump.Structure.superblock), ("members", .members),
    ("segments", .segments), ("catalogue", .catalogue), ("journal", .journal),
    ("doomed", .doomed), ("volume disk", .volume("disk")),
    ("node 17", .node(PoolAddress(block: 17))), ("node 0x11", .node(PoolAddress(block: 17))),
    ("counts 3", .counts(SegmentIndex(index: 3))),
  ])
  func `a dump takes each structure`(words: String, structure: PoolDump.Structure) throws {
    let named = try parse(PoolDumpCommand.self, "pool dump tank \(words)").request()
    #expect(named.pool == "tank" && named.structure == structure)
    let devices = try parse(PoolDumpCommand.self, "pool dump --device /a \(words)").request()
    #expect(devices.pool == nil && devices.structure == structure)
  }

  @Test(arguments: [
    "tank", "tank nothing", "tank superblock 1", "tank volume", "tank node x", "tank counts -",
    "tank counts 4294967296", "tank volume a b",
  ])
  func `a dump of what does not exist is refused`(words: String) throws {
    let command = try parse(PoolDumpCommand.self, "pool dump \(words)")
    let error = #expect(throws: ManagementError.self) { try command.request() }
    #expect(error?.code.exitCode == 64)
  }

  @Test func `progress is shown with what is left`() {
    #expect(
      ProgressBar.line("checking", done: 50, total: 100, elapsedSeconds: 4)
        == "checking [###############...............] 50 %, about 4 s left  ")
    #expect(
      ProgressBar.line("checking", done: 0, total: 0, elapsedSeconds: 0).contains(" 0 %"))
  }

  // MARK: The program on real files

  /// A pool of two files in a folder of its own, with a volume.
  private struct RealPool {
    let folder: TemporaryFolder

    init() throws {
      folder = try TemporaryFolder()
      _ = try run(
        "pool create tank --device \(folder.path("a.img")):48M"
          + " --device \(folder.path("b.img")):40M --cache buffered")
      _ = try run("volume create tank/disk 1G")
    }

    func run(_ line: String) throws -> ProgramResult {
      try folder.run(
        Machine.lamina,
        line.split(separator: " ").map(String.init) + ["--home", folder.path("home")])
    }

    func json(_ line: String) throws -> [String: Any] {
      let result = try run(line + " --json")
      let value = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
      return try #require(value as? [String: Any], "\(result)")
    }

    func contents() throws -> [Data] {
      try ["a.img", "b.img"].map { try Data(contentsOf: URL(fileURLWithPath: folder.path($0))) }
    }

    /// As `dd conv=notrunc` does.
    func overwrite(_ name: String, at offset: UInt64, _ bytes: [UInt8]) throws {
      let file = try FileHandle(forUpdating: URL(fileURLWithPath: folder.path(name)))
      try file.seek(toOffset: offset)
      try file.write(contentsOf: Data(bytes))
      try file.close()
    }
  }

  private func codes(_ result: [String: Any]) -> [String] {
    (result["findings"] as? [[String: Any]] ?? []).compactMap { $0["code"] as? String }
  }

  @Test func `a sound pool is said to be sound, and nothing is written`() throws {
    let pool = try RealPool()
    let before = try pool.contents()
    let result = try pool.run("pool check tank")
    #expect(result.status == 0, "\(result)")
    #expect(result.output.hasPrefix("pool tank: sound; 1 volumes"))
    #expect(result.errors.isEmpty)
    let json = try pool.json("pool check tank")
    #expect(json["result"] as? String == "sound")
    #expect(json["outputVersion"] as? Int == 1)
    #expect((json["totals"] as? [String: Any])?["volumes"] as? Int == 1)
    let devices = "--device \(pool.folder.path("b.img")) --device \(pool.folder.path("a.img"))"
    #expect(try pool.run("pool check \(devices)").status == 0)
    #expect(try pool.run("pool check tank --repair --yes").status == 0)
    #expect(try pool.contents() == before)
  }

  @Test func `a damaged copy is noticed, and a repair writes it anew`() throws {
    let pool = try RealPool()
    let before = try pool.contents()
    try pool.overwrite("a.img", at: 192 << 10, [UInt8](repeating: 0x55, count: 512))
    try pool.overwrite("b.img", at: 128 << 10 + 96, [9])
    let damaged = try pool.contents()
    let result = try pool.run("pool check tank")
    #expect(result.status == 0, "\(result)")
    #expect(result.output.contains("notice: superblock copy 1 of slot 0 on "))
    #expect(result.output.contains("[copy-bad]"))
    #expect(result.output.contains("  On \(pool.folder.path("a.img")) at byte 196608."))
    let plan = try pool.run("pool check tank --repair --dry-run")
    #expect(plan.output.contains("The repair will do this:"))
    let refused = try pool.run("pool check tank --repair")
    #expect(refused.status == 64 && refused.errors.contains("--yes"))
    #expect(try pool.contents() == damaged)
    let repaired = try pool.run("pool check tank --repair --yes")
    #expect(repaired.status == 0, "\(repaired)")
    #expect(repaired.errors.contains("The repair will do this:"))
    #expect(repaired.output.contains("pool tank: sound"))
    #expect(try pool.contents() == before)
  }

  @Test func `damage without a good copy ends with 3 and changes nothing`() throws {
    let pool = try RealPool()
    let dump = try pool.json("pool dump tank superblock")
    let superblocks = try #require(dump["superblocks"] as? [[String: Any]])
    let newest = try #require(
      superblocks.max { ($0["sequence"] as? Int ?? 0) < ($1["sequence"] as? Int ?? 0) })
    let root = try #require(newest["catalogue"] as? [String: Any])
    let address = try #require(root["address"] as? Int)
    let node = try pool.json("pool dump tank node \(address)")
    let copies = try #require(node["copies"] as? [[String: Any]])
    #expect(copies.count == 2)
    for copy in copies {
      let device = try #require(copy["device"] as? String)
      let place = try #require((copy["place"] as? String)?.split(separator: ":").last)
      let block = try #require(UInt64(place))
      try pool.overwrite(
        URL(fileURLWithPath: device).lastPathComponent, at: block << 12 + 100, [0xFF, 0xFE])
    }
    let before = try pool.contents()
    let result = try pool.json("pool check tank --repair --yes")
    #expect(result["result"] as? String == "damage")
    #expect(codes(result).contains("invalid"))
    #expect((result["repair"] as? [String: Any])?["isDone"] as? Bool == false)
    #expect(try pool.run("pool check tank").status == 3)
    #expect(try pool.contents() == before)
    let shown = try pool.run("pool dump tank node \(address)")
    #expect(shown.output.contains("the checksum of the table node is wrong"))
    let volume = try pool.run("pool dump tank volume disk")
    #expect(volume.status == 1 && volume.errors.contains("[pool-damaged]"), "\(volume)")
  }

  @Test func `what cannot be checked ends with 4, a missing device with 3`() throws {
    let pool = try RealPool()
    let away = pool.folder.path("b.img")
    try FileManager.default.moveItem(atPath: away, toPath: away + ".away")
    let missing = try pool.json("pool check tank")
    #expect(codes(missing).contains("member-missing"))
    #expect(try pool.run("pool check tank").status == 3)
    let blank = try pool.folder.sparseFile("blank.img", size: 8 << 20)
    let result = try pool.run("pool check --device \(blank)")
    #expect(result.status == 4, "\(result)")
    #expect(result.output.contains("the devices: could not be checked"))
    #expect(try pool.run("pool check none").status == 1)
    #expect(try pool.run("pool dump --device \(blank) segments").status == 1)
    #expect(try pool.run("pool dump --device \(blank) superblock").status == 0)
  }

  @Test(arguments: [
    "superblock", "members", "segments", "catalogue", "journal", "doomed", "volume disk",
    "counts 0",
  ])
  func `every structure is shown in both forms`(structure: String) throws {
    let pool = try RealPool()
    let before = try pool.contents()
    let text = try pool.run("pool dump tank \(structure)")
    #expect(text.status == 0 && !text.output.isEmpty, "\(text)")
    #expect(try pool.json("pool dump tank \(structure)")["outputVersion"] as? Int == 1)
    #expect(try pool.contents() == before)
  }
}
