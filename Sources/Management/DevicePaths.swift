import FoundationEssentials
import Glibc

/// The devices that a person means by a path: itself, or the files of a folder.
public struct DevicePaths: Hashable, Sendable {
  /// Absolute, without symbolic links, in order.
  public var paths: [String]
  /// The path was a folder: not everything in it needs to be a device.
  public var isFolder: Bool

  /// Throws `deviceMissing` if nothing is there, `permissionDenied` if a folder cannot be read.
  public init(at path: String) throws(ManagementError) {
    guard Self.exists(path) else {
      throw ManagementError(
        .deviceMissing, "there is no \(path)",
        correction: "Name a device, or a folder that holds some.",
        objects: [ManagementObject(.device, path)])
    }
    isFolder = PrivateFolder.isFolder(path)
    guard isFolder else {
      paths = [PrivateFolder.resolvingLinks(path)]
      return
    }
    do {
      paths = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        .map { PrivateFolder.resolvingLinks("\(path)/\($0)") }
    } catch {
      throw ManagementError(
        .permissionDenied, "cannot list \(path)", cause: "\(error)",
        correction: "Name the devices themselves, or run this as a user who may read the folder.",
        objects: [ManagementObject(.file, path)])
    }
  }

  public static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }
}
