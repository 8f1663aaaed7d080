/// A device as a person names it for a new pool: `PATH`, or `PATH:SIZE` for a file that is to be
/// created.
///
/// What follows the last colon is a size if it starts with a digit and holds only letters, digits
/// and dots; such a text that is no size is refused rather than taken for a path. A path that
/// itself ends in such a text is written with a colon behind it (`/dev/disk/by-path/…-0:0:`).
public struct DeviceArgument: Hashable, Sendable, CustomStringConvertible {
  public var path: String
  /// Nil: what the device has.
  public var sizeBytes: UInt64?

  public init(path: String, sizeBytes: UInt64?) {
    self.path = path
    self.sizeBytes = sizeBytes
  }

  /// Throws `invalidArgument` or `invalidSize`.
  public init(_ text: String) throws(ManagementError) {
    self.init(path: text, sizeBytes: nil)
    if let colon = text.lastIndex(of: ":") {
      let tail = text[text.index(after: colon)...]
      if tail.isEmpty {
        path = String(text[..<colon])
      } else if Self.looksLikeSize(tail) {
        path = String(text[..<colon])
        sizeBytes = try SizeText.parse(String(tail))
      }
    }
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw ManagementError(
        .invalidArgument, "'\(text)' does not name a device", cause: "The path is empty.",
        correction: "Write PATH, or PATH:SIZE for a new file.",
        objects: [ManagementObject(.option, "--device")])
    }
    guard sizeBytes != 0 else {
      throw ManagementError(
        .invalidSize, "the device '\(path)' cannot have a size of 0",
        cause: "What follows the last ':' of '\(text)' is taken as the size.",
        correction: "If it belongs to the path, put another ':' behind it: '\(text):'.",
        objects: [ManagementObject(.device, path)])
    }
  }

  private static func looksLikeSize(_ text: Substring) -> Bool {
    guard let first = text.first, first.isASCII, first.isNumber else { return false }
    return text.allSatisfy { $0.isASCII && ($0.isNumber || $0.isLetter || $0 == ".") }
  }

  /// What is read back as the same device.
  public var description: String {
    if let sizeBytes { return "\(path):\(SizeText.exact(sizeBytes))" }
    guard let colon = path.lastIndex(of: ":") else { return path }
    let tail = path[path.index(after: colon)...]
    return tail.isEmpty || Self.looksLikeSize(tail) ? "\(path):" : path
  }
}
