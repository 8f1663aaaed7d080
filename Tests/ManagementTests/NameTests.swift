import Management
import Testing

struct NameTests {
  static let longest = String(repeating: "n", count: 127)

  @Test(arguments: ["a", "A-Z_0.9", "-", "_", "...", ".hidden", longest])
  func `names of the allowed characters are taken as they are`(text: String) throws {
    #expect(try PoolName(text).text == text)
    #expect(try VolumeName(text).text == text)
  }

  @Test(arguments: [
    ("", NameRule.Problem.empty), (longest + "n", .tooLong(length: 128)), (".", .relativePath),
    ("..", .relativePath), ("a b", .forbiddenCharacter(" ")), ("a/b", .forbiddenCharacter("/")),
    ("a@b", .forbiddenCharacter("@")), ("a#b", .forbiddenCharacter("#")),
    ("a\nb", .forbiddenCharacter("\n")), ("a\0", .forbiddenCharacter("\0")),
    ("ä", .forbiddenCharacter("ä")), ("e\u{301}", .forbiddenCharacter("e\u{301}")),
    ("\r\n", .forbiddenCharacter("\r\n")),
  ])
  func `other names are refused with the reason`(text: String, problem: NameRule.Problem) {
    #expect(NameRule.problem(of: text) == problem)
    #expect(throws: ManagementError.self) { try PoolName(text) }
    let error = #expect(throws: ManagementError.self) { try VolumeName(text) }
    #expect(error?.code == .invalidName)
    #expect(error?.objects == [ManagementObject(.volume, text)])
  }

  @Test func `a volume reference is a pool, a slash and a volume`() throws {
    let reference = try VolumeReference("demo/disk.1")
    #expect(reference.pool.text == "demo")
    #expect(reference.volume.text == "disk.1")
    #expect(reference.description == "demo/disk.1")
  }

  @Test(arguments: ["", "demo", "demo/", "/disk", "a/b/c", "demo//disk", "demo/d k", "./disk"])
  func `what is no volume reference is refused`(text: String) {
    let error = #expect(throws: ManagementError.self) { try VolumeReference(text) }
    #expect(error?.code == .invalidName)
  }

  @Test(arguments: ["demo/disk@monday", "demo/disk#mark", "demo/disk@a#b"])
  func `the spelling of snapshots and marks is reserved`(text: String) {
    let error = #expect(throws: ManagementError.self) { try VolumeReference(text) }
    #expect(error?.code == .notSupported)
  }
}
