/// The tag of a hold: 1 to 63 of the characters of names.
public struct HoldTag: Hashable, Sendable, CustomStringConvertible {
  public static let maximumLength = 63
  public let text: String

  /// Throws `invalidName`.
  public init(_ text: String) throws(ManagementError) {
    guard NameRule.problem(of: text) == nil, text.utf8.count <= Self.maximumLength else {
      throw ManagementError(
        .invalidName, "'\(text)' cannot be the tag of a hold",
        correction: "Use 1 to \(Self.maximumLength) of the characters A-Z a-z 0-9 . _ -",
        objects: [ManagementObject(.option, "--tag")])
    }
    self.text = text
  }

  public var description: String { text }
}

extension HoldTag: Codable {
  public init(from decoder: any Decoder) throws {
    try self.init(String(from: decoder))
  }

  public func encode(to encoder: any Encoder) throws {
    try text.encode(to: encoder)
  }
}

/// The body of a request that places a hold: `name`, `tag`, optionally `reason`.
public struct HoldSpecification: Codable, Hashable, Sendable {
  public var name: ContentName
  public var tag: HoldTag
  /// At most 159 bytes.
  public var reason: String

  public static let maximumReasonBytes = 159

  /// Throws `invalidArgument`.
  public init(name: ContentName, tag: HoldTag, reason: String = "") throws(ManagementError) {
    guard reason.utf8.count <= Self.maximumReasonBytes, !reason.utf8.contains(0) else {
      throw ManagementError(
        .invalidArgument,
        "the reason of a hold has at most \(Self.maximumReasonBytes) bytes, none of them zero",
        cause: "This one has \(reason.utf8.count).", correction: "Write a shorter one.",
        objects: [ManagementObject(.option, "--reason")])
    }
    self.name = name
    self.tag = tag
    self.reason = reason
  }

  private enum CodingKeys: String, CodingKey, CaseIterable { case name, tag, reason }

  public init(from decoder: any Decoder) throws {
    try UnknownFields.refuse(in: decoder, known: CodingKeys.self)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    try self.init(
      name: fields.decode(ContentName.self, forKey: .name),
      tag: fields.decode(HoldTag.self, forKey: .tag),
      reason: fields.decodeIfPresent(String.self, forKey: .reason) ?? "")
  }
}

/// A hold, which refuses the deletion of a volume or snapshot. Its coding keys are the public
/// contract (`Docs/CommandLine.md`).
public struct HoldDescription: Codable, Hashable, Sendable {
  /// The volume, or the snapshot as `VOLUME@SNAPSHOT`.
  public var name: String
  public var tag: String
  /// May be empty.
  public var reason: String
  public var createdAt: Timestamp

  public init(name: String, tag: String, reason: String, createdAt: Timestamp) {
    self.name = name
    self.tag = tag
    self.reason = reason
    self.createdAt = createdAt
  }
}

/// The holds of a pool, in the order in which they were placed.
public struct HoldList: Codable, Hashable, Sendable {
  public var holds: [HoldDescription]

  public init(holds: [HoldDescription]) { self.holds = holds }
}
