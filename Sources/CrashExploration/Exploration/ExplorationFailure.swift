/// A history and a crash after which something is wrong.
public struct ExplorationFailure: Error, Sendable, CustomStringConvertible {
  public var family: String
  /// The choice at each place of the history.
  public var history: [Int]
  public var operations: [String]
  /// Empty: it went wrong without a crash.
  public var path: [CrashStep]
  public var problems: [String]

  /// The command line that does exactly this again.
  public var rerun: String {
    let crash = path.map(\.description).joined(separator: "/")
    return "lamina-prove explore --family \(family) --history "
      + history.map(String.init).joined(separator: ",")
      + (path.isEmpty ? "" : " --crash '\(crash)'")
  }

  public var description: String {
    """
    family   \(family)
    history  \(operations.joined(separator: "; "))
    crash    \(path.map(\.description).joined(separator: ", then in recovery "))
    problems \(problems.joined(separator: "\n         "))
    again    \(rerun)
    """
  }
}
