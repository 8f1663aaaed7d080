import Foundation

/// A loop device over a file, detached with its last user.
public final class LoopDevice {
  public let path: String
  private let folder: TemporaryFolder
  private var isAttached = true

  public init(_ file: String, sectorBytes: Int = 512) throws {
    folder = try TemporaryFolder()
    path = try folder.output(
      of: "losetup", ["--find", "--show", "--sector-size", "\(sectorBytes)", file]
    ).trimmingCharacters(in: .whitespacesAndNewlines)
  }

  deinit {
    try? detach()
  }

  public func detach() throws {
    guard isAttached else { return }
    try folder.output(of: "losetup", ["--detach", path])
    isAttached = false
  }
}

/// A volume with ext4, mounted by the kernel: nbdfuse makes the export a file, a loop device makes
/// the file a disk.
public final class MountedVolume {
  /// Where the file system is mounted.
  public let place: String
  private let folder: TemporaryFolder
  private let fuse: ChildProcess
  private let file: String
  private var loop: LoopDevice?
  private var isMounted = false

  public init(of server: LaminaServer, volume: String, format: Bool) throws {
    folder = try TemporaryFolder()
    file = try folder.sparseFile("disk", size: 0)
    place = folder.path("mounted")
    let ready = folder.path("ready")
    fuse = try ChildProcess(
      "nbdfuse", ["--pidfile", ready, file, server.uri(volume)], in: folder.url)
    let deadline = ContinuousClock.now + .seconds(20)
    while !FileManager.default.fileExists(atPath: ready) {
      guard fuse.isRunning, ContinuousClock.now < deadline else {
        throw HarnessFailure("nbdfuse is not ready: \(fuse.errorsSoFar)")
      }
      usleep(10_000)
    }
    let device = try LoopDevice(file)
    loop = device
    if format { try folder.output(of: "mke2fs", ["-q", "-t", "ext4", device.path]) }
    try folder.output(of: "mkdir", [place])
    try folder.output(of: "mount", ["-t", "ext4", device.path, place])
    isMounted = true
  }

  deinit {
    try? tearDown()
    fuse.send(signal: SIGKILL)
  }

  /// Unmounts and detaches, also where the server is dead and every access fails.
  public func tearDown() throws {
    if isMounted {
      let result = try folder.run("umount", [place])
      if !result.succeeded { try folder.output(of: "umount", ["--lazy", place]) }
      isMounted = false
    }
    try loop?.detach()
    loop = nil
    _ = try folder.run("umount", [file])
    _ = try fuse.wait(seconds: 20)
  }
}
