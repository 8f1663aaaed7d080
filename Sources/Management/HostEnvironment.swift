import FoundationEssentials
import Glibc

/// What the places of the state folder depend on; handed in, so that a test has its own.
public struct HostEnvironment: Sendable {
  public var variables: [String: String]
  public var userID: UInt32
  /// Absolute.
  public var currentDirectory: String

  public init(variables: [String: String], userID: UInt32, currentDirectory: String) {
    self.variables = variables
    self.userID = userID
    self.currentDirectory = currentDirectory
  }

  /// This process.
  public static var current: HostEnvironment {
    HostEnvironment(
      variables: ProcessInfo.processInfo.environment, userID: geteuid(),
      currentDirectory: FileManager.default.currentDirectoryPath)
  }

  /// The variable's value, nil if it is not set or empty.
  func value(of variable: String) -> String? {
    variables[variable].flatMap { $0.isEmpty ? nil : $0 }
  }

  /// The path made absolute, without `.`, `..` and repeated slashes. Symbolic links are left alone.
  public func absolutePath(_ path: String) -> String {
    var parts: [Substring] = []
    for part in (path.hasPrefix("/") ? path : currentDirectory + "/" + path).split(separator: "/") {
      switch part {
      case ".": break
      case "..": _ = parts.popLast()
      default: parts.append(part)
      }
    }
    return "/" + parts.joined(separator: "/")
  }
}
