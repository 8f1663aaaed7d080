import Foundation
import StorageUnits
import Testing

@testable import Management

struct RuntimePathTests {
  let folder: TemporaryFolder
  let pool: PoolName

  init() throws {
    folder = try TemporaryFolder()
    pool = try PoolName("demo")
  }

  private func state(_ home: String, user: UInt32 = 4242) throws -> StateFolder {
    try StateFolder(option: home, environment: StateFolderTests.environment(user: user))
  }

  @Test func `a socket lies in the home while its path is short enough`() throws {
    #expect(try state("/h").controlSocketPath(of: pool) == "/h/demo.control")
    #expect(try state("/h").nbdSocketPath(of: pool) == "/h/demo.sock")
    let longest = "/" + String(repeating: "h", count: 107 - 1 - "/demo.control".count)
    #expect(try state(longest).controlSocketPath(of: pool) == longest + "/demo.control")
  }

  @Test func `a longer one gets a short name of its own, the same every time`() throws {
    let home = "/" + String(repeating: "h", count: 200)
    let path = try state(home).controlSocketPath(of: pool)
    #expect(path.hasPrefix("/dev/shm/lamina-4242/"))
    #expect(path.utf8.count <= 107)
    #expect(try state(home).controlSocketPath(of: pool) == path)
    #expect(try state(home).nbdSocketPath(of: pool) != path)
    #expect(try state(home + "i").controlSocketPath(of: pool) != path)
  }

  @Test func `a runtime folder that others can change is refused`() throws {
    let path = folder.path + "/shared"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: path)
    let user = HostEnvironment.current.userID
    #expect(throws: ManagementError.self) {
      try PrivateFolder.createInSharedPlace(path, userID: user)
    }
    #expect(throws: ManagementError.self) {
      try PrivateFolder.createInSharedPlace(folder.path + "/mine", userID: user + 1)
    }
    let link = folder.path + "/link"
    try FileManager.default.createSymbolicLink(
      atPath: link, withDestinationPath: folder.path + "/mine")
    #expect(throws: ManagementError.self) {
      try PrivateFolder.createInSharedPlace(link, userID: user)
    }
    #expect(throws: Never.self) {
      try PrivateFolder.createInSharedPlace(folder.path + "/mine", userID: user)
    }
  }

  @Test func `the tail stays where the last holder put it`() throws {
    let state = try state("/h")
    let uuid = JSONShapeTests.uuid
    let usual = "/dev/shm/lamina-4242/\(uuid).tail"
    #expect(try state.tailPath(poolUUID: uuid, lastHolder: nil) == usual)
    var holder = PoolHolder(
      host: "h", processID: 1, process: "p", since: Timestamp(secondsSince1970: 0),
      tailPath: "/run/lamina/\(uuid).tail")
    #expect(try state.tailPath(poolUUID: uuid, lastHolder: holder) == holder.tailPath)
    holder.tailPath = "/etc/passwd"
    #expect(try state.tailPath(poolUUID: uuid, lastHolder: holder) == usual)
  }

  @Test(arguments: [
    ("/run/x", "tmpfs"), ("/run", "tmpfs"), ("/running", "ext4"), ("/", "ext4"),
    ("/run/user/7/y", "fuse"),
  ])
  func `the file system of a folder is that of its nearest mount`(path: String, type: String) {
    let mounts = """
      /dev/vda / ext4 rw 0 0
      tmpfs /run tmpfs rw 0 0
      tmpfs /run/user/7 tmpfs rw 0 0
      x /run/user/7 fuse rw 0 0
      """
    #expect(MountTable.fileSystem(of: path, mounts: mounts) == type)
  }
}
