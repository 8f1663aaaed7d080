/// What this program is and understands; also the answer to `GET /v1/version`.
public struct LaminaVersion: Codable, Hashable, Sendable {
  public var version: String
  /// The version of the control API: the first part of its paths.
  public var apiVersion: Int
  /// The version of the command line's JSON.
  public var outputVersion: Int
  /// The versions of the on-disk format that can be opened.
  public var formatVersions: [Int]

  public init(version: String, apiVersion: Int, outputVersion: Int, formatVersions: [Int]) {
    self.version = version
    self.apiVersion = apiVersion
    self.outputVersion = outputVersion
    self.formatVersions = formatVersions
  }

  /// This program.
  public static let current = LaminaVersion(
    version: "0.1.0", apiVersion: 1, outputVersion: 1, formatVersions: [1])
}
