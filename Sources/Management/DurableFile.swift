import FoundationEssentials
import Glibc

/// Small files that are either wholly the old or wholly the new one, also after a power cut.
enum DurableFile {
  static let maximumBytes = 1 << 20

  /// The file's bytes; nil if there is none.
  static func read(_ path: String) throws(ManagementError) -> Data? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      if errno == ENOENT { return nil }
      throw .system("open", file: path, errorNumber: errno)
    }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16384)
    while true {
      let count = unsafe Glibc.read(descriptor, &chunk, chunk.count)
      if count == 0 { return Data(bytes) }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw .system("read", file: path, errorNumber: errno) }
      bytes += chunk[..<count]
      guard bytes.count <= maximumBytes else {
        throw ManagementError(
          .stateFolderUnusable, "\(path) is larger than any file of a state folder",
          objects: [ManagementObject(.file, path)])
      }
    }
  }

  /// Replaces the file, or creates it. Durable when it returns.
  static func replace(_ path: String, with data: Data) throws(ManagementError) {
    let temporary = try writeTemporary(beside: path, data)
    guard unsafe rename(temporary, path) == 0 else {
      let problem = errno
      _ = unsafe unlink(temporary)
      throw .system("write", file: path, errorNumber: problem)
    }
    try synchronizeFolder(of: path)
  }

  /// Creates the file; false, and nothing is changed, if there is one. Durable when it returns.
  static func create(_ path: String, with data: Data) throws(ManagementError) -> Bool {
    let temporary = try writeTemporary(beside: path, data)
    defer { _ = unsafe unlink(temporary) }
    // A link, unlike a rename, fails if the name is taken, however many try at once.
    guard unsafe link(temporary, path) == 0 else {
      if errno == EEXIST { return false }
      throw .system("create", file: path, errorNumber: errno)
    }
    try synchronizeFolder(of: path)
    return true
  }

  /// Removes the file if there is one. Durable when it returns.
  static func remove(_ path: String) throws(ManagementError) {
    guard unsafe unlink(path) == 0 else {
      if errno == ENOENT { return }
      throw .system("remove", file: path, errorNumber: errno)
    }
    try synchronizeFolder(of: path)
  }

  private static func writeTemporary(
    beside path: String, _ data: Data
  ) throws(ManagementError) -> String {
    let (folder, name) = split(path)
    let unique = String(UInt64.random(in: .min ... .max), radix: 36)
    let temporary = "\(folder)/.\(name).\(unique).tmp"
    let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw .system("create", file: temporary, errorNumber: errno) }
    do throws(ManagementError) {
      try write(data, to: descriptor, file: path)
      guard fsync(descriptor) == 0 else {
        throw ManagementError.system("write", file: path, errorNumber: errno)
      }
    } catch {
      close(descriptor)
      _ = unsafe unlink(temporary)
      throw error
    }
    guard close(descriptor) == 0 else {
      let problem = errno
      _ = unsafe unlink(temporary)
      throw .system("write", file: path, errorNumber: problem)
    }
    return temporary
  }

  private static func write(
    _ data: Data, to descriptor: Int32, file: String
  ) throws(ManagementError) {
    var rest = [UInt8](data)[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes {
        unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
      }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw .system("write", file: file, errorNumber: errno) }
      rest = rest.dropFirst(count)
    }
  }

  private static func synchronizeFolder(of path: String) throws(ManagementError) {
    let (folder, _) = split(path)
    let descriptor = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system("open", file: folder, errorNumber: errno) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else {
      throw .system("synchronize", file: folder, errorNumber: errno)
    }
  }

  private static func split(_ path: String) -> (folder: String, name: String) {
    guard let slash = path.lastIndex(of: "/") else { return (".", path) }
    let folder = String(path[..<slash])
    return (folder.isEmpty ? "/" : folder, String(path[path.index(after: slash)...]))
  }
}
