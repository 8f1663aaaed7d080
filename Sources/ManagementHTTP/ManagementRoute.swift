public import FoundationEssentials
public import Management

/// One operation of the control API: where it is, and what it asks of the pool. It knows nothing of
/// sockets, so that a test, or a description of the API, can go through the table of all of them.
public struct ManagementRoute: Sendable {
  public enum Method: String, Hashable, Sendable, CaseIterable {
    case get = "GET"
    case post = "POST"
    case put = "PUT"
    case patch = "PATCH"
    case delete = "DELETE"
  }

  /// What a request brings, wholly read and bounded.
  public struct Input: Sendable {
    public var pathParameters: [String: String]
    public var body: Data

    public init(pathParameters: [String: String] = [:], body: Data = Data()) {
      self.pathParameters = pathParameters
      self.body = body
    }
  }

  /// What a request is answered with; errors are thrown.
  public struct Answer: Sendable {
    public var status: Int
    /// Nil: the answer has no body.
    public var body: Data?
    public var contentType: String
    /// The path of what was created.
    public var location: String?

    public init(
      status: Int, body: Data?, contentType: String = "application/json", location: String? = nil
    ) {
      self.contentType = contentType
      self.status = status
      self.body = body
      self.location = location
    }

    public static func json(
      _ value: some Encodable, status: Int = 200, location: String? = nil
    ) throws(ManagementError) -> Answer {
      Answer(status: status, body: try ManagementJSON.encode(value), location: location)
    }

    public static func text(_ text: String, contentType: String) -> Answer {
      Answer(status: 200, body: Data(text.utf8), contentType: contentType)
    }

    public static let noContent = Answer(status: 204, body: nil)
  }

  public typealias Action =
    @Sendable (Input, any PoolService) async throws(ManagementError) -> Answer

  public var method: Method
  /// Parts in braces are parameters: `/v1/volumes/{name}`.
  public var path: String
  /// One line that says what it does.
  public var summary: String
  public var action: Action

  public init(
    _ method: Method, _ path: String, summary: String, action: @escaping Action
  ) {
    self.method = method
    self.path = path
    self.summary = summary
    self.action = action
  }
}

extension ManagementRoute.Input {
  func volumeName() throws(ManagementError) -> VolumeName {
    try VolumeName(pathParameters["name"] ?? "")
  }

  func snapshotName() throws(ManagementError) -> SnapshotName {
    try SnapshotName(pathParameters["name"] ?? "")
  }

  func pinID() throws(ManagementError) -> UInt64 {
    let text = pathParameters["id"] ?? ""
    guard let id = UInt64(text) else {
      throw ManagementError(
        .invalidArgument, "'\(text)' is not the number of a pin",
        correction: "Use the number that POST /v1/pool/pin answered with.")
    }
    return id
  }

  func contentName() throws(ManagementError) -> ContentName {
    try ContentName(pathParameters["name"] ?? "")
  }

  func value<Value: Decodable>(_ type: Value.Type) throws(ManagementError) -> Value {
    try ManagementJSON.decode(type, from: body)
  }
}
