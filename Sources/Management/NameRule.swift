/// The one rule for the names of pools and volumes: 1 to 127 of the characters
/// `A-Z a-z 0-9 . _ -`, and neither `.` nor `..`, which file systems and URLs give a meaning of
/// their own.
public enum NameRule {
  public static let maximumLength = 127

  /// What keeps a text from being a name.
  public enum Problem: Hashable, Sendable {
    case empty
    case tooLong(length: Int)
    case forbiddenCharacter(Character)
    case relativePath
  }

  /// The first problem of the text as a name; nil if it is one.
  public static func problem(of text: String) -> Problem? {
    if text.isEmpty { return .empty }
    if let bad = text.first(where: { !isAllowed($0) }) { return .forbiddenCharacter(bad) }
    if text.utf8.count > maximumLength { return .tooLong(length: text.utf8.count) }
    if text == "." || text == ".." { return .relativePath }
    return nil
  }

  private static func isAllowed(_ character: Character) -> Bool {
    guard let c = character.asciiValue, character.utf8.count == 1 else { return false }
    switch c {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: return true
    case 0x2E, 0x5F, 0x2D: return true
    default: return false
    }
  }

  static func check(_ text: String, of kind: ManagementObject.Kind) throws(ManagementError) {
    guard let problem = problem(of: text) else { return }
    let cause =
      switch problem {
      case .empty: "It is empty."
      case .tooLong(let length): "It is \(length) characters long."
      case .forbiddenCharacter(let c): "It contains '\(c)'."
      case .relativePath: "'.' and '..' have a meaning of their own in paths."
      }
    throw ManagementError(
      .invalidName, "'\(text)' cannot be the name of a \(kind.rawValue)", cause: cause,
      correction: "Use 1 to \(maximumLength) of the characters A-Z a-z 0-9 . _ -",
      objects: [ManagementObject(kind, text)])
  }
}

/// The name of a pool, which keeps `NameRule`.
public struct PoolName: Hashable, Sendable, CustomStringConvertible {
  public let text: String

  /// Throws `invalidName`.
  public init(_ text: String) throws(ManagementError) {
    try NameRule.check(text, of: .pool)
    self.text = text
  }

  public var description: String { text }
}

extension PoolName {
  /// The pool of an object as a person names it, and what follows the one '/'. Throws
  /// `invalidName`.
  static func split(
    _ text: String, of kind: ManagementObject.Kind, form: String, example: String
  ) throws(ManagementError) -> (pool: PoolName, name: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2 else {
      throw ManagementError(
        .invalidName, "'\(text)' does not name a \(kind.rawValue)",
        cause: parts.count == 1 ? "The name of its pool is missing." : "It has more than one '/'.",
        correction: "Write \(form), as in '\(example)'.", objects: [ManagementObject(kind, text)])
    }
    return (try PoolName(String(parts[0])), String(parts[1]))
  }
}

/// The name of a volume inside its pool, which keeps `NameRule`.
public struct VolumeName: Hashable, Sendable, CustomStringConvertible {
  public let text: String

  /// Throws `invalidName`.
  public init(_ text: String) throws(ManagementError) {
    try NameRule.check(text, of: .volume)
    self.text = text
  }

  public var description: String { text }
}

extension PoolName: Codable {
  public init(from decoder: any Decoder) throws {
    try self.init(String(from: decoder))
  }

  public func encode(to encoder: any Encoder) throws {
    try text.encode(to: encoder)
  }
}

extension VolumeName: Codable {
  public init(from decoder: any Decoder) throws {
    try self.init(String(from: decoder))
  }

  public func encode(to encoder: any Encoder) throws {
    try text.encode(to: encoder)
  }
}
