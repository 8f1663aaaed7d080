import Foundation
import StorageUnits
import Testing

@testable import Management

struct StateFolderTests {
  let folder: TemporaryFolder
  let state: StateFolder
  let pool: PoolName

  init() throws {
    folder = try TemporaryFolder()
    pool = try PoolName("demo")
    state = try StateFolder(option: folder.path + "/state", environment: Self.environment(user: 0))
  }

  static func environment(
    user: UInt32, _ variables: [String: String] = [:], directory: String = "/work"
  ) -> HostEnvironment {
    HostEnvironment(variables: variables, userID: user, currentDirectory: directory)
  }

  func record(_ name: PoolName) -> PoolRecord {
    PoolRecord(
      name: name, uuid: JSONShapeTests.uuid, cacheMode: .direct,
      devices: [.init(path: "/a.img", uuid: JSONShapeTests.uuid, index: 0, sizeBytes: 1 << 30)])
  }

  @Test(
    arguments: [
      (nil, 0, [:], "/var/lib/lamina"),
      (nil, 0, ["HOME": "/root"], "/var/lib/lamina"),
      (nil, 0, ["LAMINA_HOME": "/l"], "/l"),
      (nil, 0, ["LAMINA_HOME": ""], "/var/lib/lamina"),
      (nil, 7, ["HOME": "/users/u"], "/users/u/.local/state/lamina"),
      (nil, 7, ["HOME": "/users/u", "XDG_STATE_HOME": "/s"], "/s/lamina"),
      (nil, 7, ["HOME": "/users/u", "LAMINA_HOME": "rel/../x"], "/here/x"),
      ("./demo", 7, ["LAMINA_HOME": "/l"], "/here/demo"),
      ("/a//b/./c/..", 0, [:], "/a/b"),
    ] as [(String?, UInt32, [String: String], String)])
  func `the option comes first, then the variable, then the user`(
    option: String?, user: UInt32, variables: [String: String], expected: String
  ) throws {
    let state = try StateFolder(
      option: option, environment: Self.environment(user: user, variables, directory: "/here"))
    #expect(state.home == expected)
  }

  @Test func `without any place for the folder its use is refused`() {
    #expect(throws: ManagementError.self) {
      try StateFolder(option: nil, environment: Self.environment(user: 7))
    }
    #expect(throws: ManagementError.self) {
      try StateFolder(option: "", environment: Self.environment(user: 0))
    }
  }

  @Test func `a pool that was added is found, with private permissions`() throws {
    try state.add(record(pool))
    #expect(try state.record(of: pool) == record(pool))
    #expect(try state.pools() == [pool])
    #expect(try folder.mode(of: state.home) == 0o700)
    #expect(try folder.mode(of: state.recordPath(of: pool)) == 0o600)
  }

  @Test func `a pool that exists is not overwritten by an addition`() throws {
    try state.add(record(pool))
    var other = record(pool)
    other.devices[0].path = "/b.img"
    let error = #expect(throws: ManagementError.self) { try state.add(other) }
    #expect(error?.code == .poolExists)
    #expect(try state.record(of: pool) == record(pool))
  }

  @Test func `an update replaces the record and leaves nothing beside it`() throws {
    try state.add(record(pool))
    var other = record(pool)
    other.cacheMode = .buffered
    try state.update(other)
    #expect(try state.record(of: pool) == other)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: state.home) == ["demo.pool.json"])
  }

  @Test func `readers see the old or the new record while it is replaced`() async throws {
    let (state, pool) = (state, pool)
    let versions = [CacheMode.direct, .buffered].map { mode in
      var version = record(pool)
      version.cacheMode = mode
      return version
    }
    try state.add(versions[0])
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { for i in 0..<60 { try state.update(versions[i % 2]) } }
      group.addTask {
        for _ in 0..<600 {
          let seen = try state.record(of: pool)
          #expect(versions.contains(seen))
        }
      }
      try await group.waitForAll()
    }
  }

  @Test func `a pool that is not there is not found, one that was removed neither`() throws {
    #expect(try state.pools().isEmpty)
    let error = #expect(throws: ManagementError.self) { try state.record(of: pool) }
    #expect(error?.code == .poolNotFound)
    try state.add(record(pool))
    try state.remove(pool)
    #expect(throws: ManagementError.self) { try state.record(of: pool) }
    #expect(throws: Never.self) { try state.remove(pool) }
  }

  @Test(arguments: [
    "", "{", "{}", #"{"recordVersion":2}"#, String(repeating: " ", count: 2 << 20),
  ])
  func `a record that cannot be understood is refused by its path`(text: String) throws {
    try state.create()
    try Data(text.utf8).write(to: URL(fileURLWithPath: state.recordPath(of: pool)))
    let error = #expect(throws: ManagementError.self) { try state.record(of: pool) }
    #expect(error?.code == .stateFolderUnusable)
    #expect(error?.objects == [ManagementObject(.file, state.recordPath(of: pool))])
  }

  @Test func `a record under another pool's name is refused`() throws {
    let other = try PoolName("other")
    try state.add(record(other))
    try FileManager.default.moveItem(
      atPath: state.recordPath(of: other), toPath: state.recordPath(of: pool))
    let error = #expect(throws: ManagementError.self) { try state.record(of: pool) }
    #expect(error?.code == .stateFolderUnusable)
  }

  @Test func `a home that is a file is refused`() throws {
    let path = folder.path + "/file"
    try Data().write(to: URL(fileURLWithPath: path))
    let state = try StateFolder(option: path, environment: Self.environment(user: 0))
    let error = #expect(throws: ManagementError.self) { try state.add(record(pool)) }
    #expect(error?.code == .stateFolderUnusable)
    #expect(try state.pools().isEmpty)
  }

  @Test func `who holds a pool is told until it is taken back`() throws {
    try state.add(record(pool))
    #expect(state.holder(of: pool) == nil)
    let holder = PoolHolder(
      host: "h", processID: 12, process: "lamina serve demo",
      since: Timestamp(secondsSince1970: 1_769_847_300), controlSocketPath: "/s",
      listeners: ["unix:/x"])
    try state.setHolder(holder, of: pool)
    #expect(state.holder(of: pool) == holder)
    #expect(
      holder.description
        == "process 12 ('lamina serve demo') on host h since 2026-01-31T08:15:00Z")
    try state.removeHolder(of: pool)
    #expect(state.holder(of: pool) == nil)
  }

  @Test func `files of differently named pools never collide`() throws {
    var paths: Set<String> = []
    let names = ["a", "a.sock", "a.control", "a.pool.json", "a.holder.json", "a.pool", "a.json"]
    for name in try names.map({ try PoolName($0) }) {
      paths.formUnion([state.recordPath(of: name), state.holderPath(of: name)])
      paths.formUnion([try state.controlSocketPath(of: name), try state.nbdSocketPath(of: name)])
    }
    #expect(paths.count == 4 * names.count)
  }

  @Test func `temporary files are not taken for pools`() throws {
    try state.add(record(pool))
    for name in [".demo.pool.json.abc.tmp", "x y.pool.json", ".pool.json", "demo.json"] {
      try Data().write(to: URL(fileURLWithPath: "\(state.home)/\(name)"))
    }
    #expect(try state.pools() == [pool])
  }
}
