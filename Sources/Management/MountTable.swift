import FoundationEssentials

/// What the kernel says about mounted file systems.
enum MountTable {
  /// Whether what is stored in the folder stays in memory, and is gone after a power cut.
  static func isInMemory(_ folder: String) -> Bool {
    guard PrivateFolder.isFolder(folder),
      let mounts = FileManager.default.contents(atPath: "/proc/self/mounts")
    else { return false }
    let text = String(decoding: mounts, as: UTF8.self)
    return fileSystem(of: PrivateFolder.resolvingLinks(folder), mounts: text) == "tmpfs"
  }

  /// The type of the file system that holds the folder, by a text in the form of
  /// `/proc/self/mounts`. Of mounts on the same folder the last one counts: it hides the others.
  static func fileSystem(of folder: String, mounts: String) -> String? {
    var best: (length: Int, type: String)?
    for line in mounts.split(separator: "\n") {
      let fields = line.split(separator: " ")
      guard fields.count >= 3 else { continue }
      let point = String(fields[1])
      let holds = point == "/" || folder == point || folder.hasPrefix(point + "/")
      if holds, point.utf8.count >= best?.length ?? 0 {
        best = (point.utf8.count, String(fields[2]))
      }
    }
    return best?.type
  }
}
