import Foundation

/// What the machine that runs the tests has and permits.
public enum Machine {
  /// The environment of every program that a test starts: the system's folders first, nothing of
  /// the caller's own pools.
  static let environment: [String: String] = {
    var values = ProcessInfo.processInfo.environment
    let path = values["PATH"] ?? ""
    values["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin:\(path)"
    values["LC_ALL"] = "C.UTF-8"
    values["LAMINA_HOME"] = nil
    return values
  }()

  /// The program as built beside the tests that run.
  public static let lamina = beside("lamina")

  /// A program that was built with the tests that run.
  static func beside(_ name: String) -> String {
    let tests = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    return tests.deletingLastPathComponent().appending(path: name).path
  }

  static func locate(_ program: String) throws -> URL {
    if program.contains("/") { return URL(fileURLWithPath: program) }
    for folder in (environment["PATH"] ?? "").split(separator: ":") {
      let file = URL(fileURLWithPath: String(folder)).appending(path: program)
      if FileManager.default.isExecutableFile(atPath: file.path) { return file }
    }
    throw HarnessFailure("\(program) is not installed; `make test` installs what is missing")
  }

  /// A program that `Scripts/fetch-test-tools.sh` fetches: a QEMU whose NBD client knows extended
  /// headers, and promtool.
  public static func tool(_ name: String) -> String {
    let source = URL(fileURLWithPath: #filePath)
    let root = source.deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return root.appending(path: ".build/tools/usr/bin/\(name)").path
  }

  /// Whether that QEMU, or promtool, is there and runs.
  public static let hasNewerQemu = runs(tool("qemu-img"))
  public static let hasPromtool = runs(tool("promtool"))

  private static func runs(_ program: String) -> Bool {
    guard let folder = try? TemporaryFolder() else { return false }
    return (try? folder.run(program, ["--version"]))?.succeeded == true
  }

  static func has(_ program: String) -> Bool { (try? locate(program)) != nil }

  /// Whether this process may set up loop devices and mount what is on them.
  public static let hasLoopDevices: Bool = {
    guard geteuid() == 0, has("losetup"),
      FileManager.default.fileExists(atPath: "/dev/loop-control")
    else { return false }
    guard let folder = try? TemporaryFolder(), let free = try? folder.run("losetup", ["--find"])
    else { return false }
    return free.succeeded
  }()

  /// Whether a served volume can be mounted here: loop devices, FUSE, and permission to mount.
  public static let canMountVolumes: Bool = {
    guard hasLoopDevices, has("nbdfuse"), FileManager.default.fileExists(atPath: "/dev/fuse")
    else { return false }
    guard let folder = try? TemporaryFolder() else { return false }
    let place = folder.path("mounted")
    guard (try? folder.run("mkdir", [place])) != nil,
      let mounted = try? folder.run("mount", ["-t", "tmpfs", "none", place])
    else { return false }
    _ = try? folder.run("umount", [place])
    return mounted.succeeded
  }()
}
