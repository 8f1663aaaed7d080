import Glibc

/// Folders that only their owner may enter.
enum PrivateFolder {
  /// Creates the folder, and those above it, if they are missing (mode 0700). A folder that exists
  /// is left as it is.
  static func create(_ path: String) throws(ManagementError) {
    var soFar = ""
    for part in path.split(separator: "/") {
      soFar += "/" + part
      guard unsafe mkdir(soFar, 0o700) == 0 || errno == EEXIST else {
        // A folder above that may not be written to can still hold the one below.
        let problem = errno
        if isFolder(soFar) { continue }
        throw .system(
          "create the folder", file: soFar, errorNumber: problem, code: .stateFolderUnusable)
      }
    }
    guard isFolder(path) else {
      throw ManagementError(
        .stateFolderUnusable, "\(path) is not a folder",
        correction: "Name another state folder with --home or LAMINA_HOME.",
        objects: [ManagementObject(.file, path)])
    }
  }

  /// Creates the folder in a place where others may write too, and refuses one that somebody else
  /// has put there, or may change.
  static func createInSharedPlace(_ path: String, userID: UInt32) throws(ManagementError) {
    guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else {
      throw .system(
        "create the folder", file: path, errorNumber: errno, code: .stateFolderUnusable)
    }
    var status = stat()
    guard unsafe lstat(path, &status) == 0 else {
      throw .system("examine", file: path, errorNumber: errno, code: .stateFolderUnusable)
    }
    let isOurs =
      status.st_mode & S_IFMT == S_IFDIR && status.st_uid == userID && status.st_mode & 0o022 == 0
    guard isOurs else {
      throw ManagementError(
        .stateFolderUnusable, "\(path) is not a folder that only user \(userID) can change",
        cause: "Sockets and journal tails in it could be replaced by others.",
        correction: "Remove it, or set XDG_RUNTIME_DIR to a folder of your own.",
        objects: [ManagementObject(.file, path)])
    }
  }

  static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// The path without symbolic links; itself where there is no such file.
  static func resolvingLinks(_ path: String) -> String {
    guard let resolved = unsafe realpath(path, nil) else { return path }
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
  }
}
