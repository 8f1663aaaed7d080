/// Why a command or query was refused or failed: what happened, to which objects, and what to do
/// next. The command line prints it and the control API sends it (RFC 9457 problem details) with
/// the same fields; a refused command has changed nothing.
public struct ManagementError: Error, Hashable, Sendable {
  /// What happened, for programs. Stable: documented in `Docs/CommandLine.md`.
  public var code: Code
  /// What happened, for a person: one sentence without a full stop.
  public var message: String
  /// Why, as far as it is known.
  public var cause: String?
  /// Facts that help to judge the case, one each.
  public var details: [String]
  /// What to do next.
  public var correction: String?
  /// What it happened to.
  public var objects: [ManagementObject]

  public init(
    _ code: Code, _ message: String, cause: String? = nil, details: [String] = [],
    correction: String? = nil, objects: [ManagementObject] = []
  ) {
    self.code = code
    self.message = message
    self.cause = cause
    self.details = details
    self.correction = correction
    self.objects = objects
  }
}

extension ManagementError {
  /// The stable, kebab-case names of what can happen.
  public enum Code: String, Codable, Hashable, Sendable, CaseIterable {
    // What was asked for is not well formed.
    case invalidName = "invalid-name"
    case invalidSize = "invalid-size"
    case invalidArgument = "invalid-argument"
    case invalidRequest = "invalid-request"
    case requestTooLarge = "request-too-large"
    case routeNotFound = "route-not-found"
    case methodNotAllowed = "method-not-allowed"

    // The objects are not as the command needs them.
    case poolNotFound = "pool-not-found"
    case poolExists = "pool-exists"
    case poolInUse = "pool-in-use"
    case poolReadOnly = "pool-read-only"
    case poolDamaged = "pool-damaged"
    case volumeNotFound = "volume-not-found"
    case volumeExists = "volume-exists"
    case volumeInUse = "volume-in-use"
    case snapshotNotFound = "snapshot-not-found"
    case snapshotExists = "snapshot-exists"
    case volumesNotRelated = "volumes-not-related"
    case volumeReceiving = "volume-receiving"
    case volumeChanged = "volume-changed"
    case baseNotFound = "base-not-found"
    case streamDamaged = "stream-damaged"
    case bookmarkNotFound = "bookmark-not-found"
    case bookmarkExists = "bookmark-exists"
    case bookmarkNotOnLine = "bookmark-not-on-line"
    case held
    case holdExists = "hold-exists"
    case holdNotFound = "hold-not-found"
    case trashItemNotFound = "trash-item-not-found"
    case wouldLoseData = "would-lose-data"
    case noSpace = "no-space"
    case limitReached = "limit-reached"
    case imagePinned = "image-pinned"
    case imagePinLost = "image-pin-lost"
    case notSupported = "not-supported"
    case formatNotSupported = "format-not-supported"

    // Devices and the machine underneath.
    case deviceMissing = "device-missing"
    case deviceForeign = "device-foreign"
    case deviceHasData = "device-has-data"
    case deviceUnsuitable = "device-unsuitable"
    case deviceDamaged = "device-damaged"
    case directIONotPossible = "direct-io-not-possible"
    case ringNotPermitted = "ring-not-permitted"
    case permissionDenied = "permission-denied"
    case addressInUse = "address-in-use"
    case addressInvalid = "address-invalid"
    case socketPathTooLong = "socket-path-too-long"
    case stateFolderUnusable = "state-folder-unusable"
    case inputOutput = "input-output"

    // The server, or the way to it.
    case serverNotRunning = "server-not-running"
    case serverUnreachable = "server-unreachable"
    case serverStopping = "server-stopping"
    case timedOut = "timed-out"
    case protocolViolation = "protocol-violation"
    case unrecognized = "unrecognized"
    case internalFailure = "internal-failure"
  }
}

extension ManagementError.Code {
  /// The status of an HTTP answer that reports it.
  public var httpStatus: Int {
    switch self {
    case .invalidName, .invalidSize, .invalidArgument, .invalidRequest, .streamDamaged,
      .addressInvalid, .socketPathTooLong:
      400
    case .permissionDenied, .ringNotPermitted: 403
    case .routeNotFound, .poolNotFound, .volumeNotFound, .snapshotNotFound, .bookmarkNotFound,
      .holdNotFound, .trashItemNotFound:
      404
    case .methodNotAllowed: 405
    case .poolExists, .poolInUse, .poolReadOnly, .volumeExists, .volumeInUse, .snapshotExists,
      .addressInUse, .volumesNotRelated, .bookmarkExists, .bookmarkNotOnLine, .wouldLoseData, .held,
      .holdExists,
      .volumeReceiving, .volumeChanged, .baseNotFound, .deviceMissing, .deviceForeign,
      .deviceHasData, .deviceUnsuitable, .directIONotPossible,
      .limitReached, .imagePinned, .imagePinLost:
      409
    case .requestTooLarge: 413
    case .poolDamaged, .deviceDamaged, .stateFolderUnusable, .inputOutput, .unrecognized,
      .internalFailure:
      500
    case .notSupported, .formatNotSupported: 501
    case .protocolViolation: 502
    case .serverNotRunning, .serverUnreachable, .serverStopping: 503
    case .timedOut: 504
    case .noSpace: 507
    }
  }

  /// The same short summary for every occurrence (RFC 9457, "title").
  public var title: String {
    switch self {
    case .invalidName: "Not a valid name"
    case .invalidSize: "Not a valid size"
    case .invalidArgument: "Not a valid argument"
    case .invalidRequest: "Not a valid request"
    case .requestTooLarge: "Request too large"
    case .routeNotFound: "No such route"
    case .methodNotAllowed: "Method not allowed on this route"
    case .poolNotFound: "No such pool"
    case .poolExists: "Pool exists already"
    case .poolInUse: "Pool is in use"
    case .poolReadOnly: "Pool is read-only"
    case .poolDamaged: "Pool is damaged"
    case .volumeNotFound: "No such volume"
    case .volumeExists: "Volume exists already"
    case .volumeInUse: "Volume is in use"
    case .snapshotNotFound: "No such snapshot"
    case .snapshotExists: "Snapshot exists already"
    case .volumesNotRelated: "Volumes share no history"
    case .volumeReceiving: "Volume is being received"
    case .volumeChanged: "Volume has changed since the base"
    case .baseNotFound: "Base of the stream not found"
    case .streamDamaged: "Stream is damaged"
    case .bookmarkNotFound: "No such bookmark"
    case .bookmarkExists: "Bookmark exists already"
    case .bookmarkNotOnLine: "Bookmark is not on the volume's line"
    case .held: "Held"
    case .holdExists: "Hold exists already"
    case .holdNotFound: "No such hold"
    case .trashItemNotFound: "Not in the trash"
    case .wouldLoseData: "Data would be lost"
    case .noSpace: "No space"
    case .limitReached: "Limit reached"
    case .imagePinned: "Pool is being checked"
    case .imagePinLost: "Pinned image is gone"
    case .notSupported: "Not supported"
    case .formatNotSupported: "On-disk format not supported"
    case .deviceMissing: "Device missing"
    case .deviceForeign: "Device belongs elsewhere"
    case .deviceHasData: "Device carries data"
    case .deviceUnsuitable: "Device not suitable"
    case .deviceDamaged: "Device is damaged"
    case .directIONotPossible: "O_DIRECT not possible"
    case .ringNotPermitted: "io_uring not permitted"
    case .permissionDenied: "Permission denied"
    case .addressInUse: "Address in use"
    case .addressInvalid: "Not a valid address"
    case .socketPathTooLong: "Socket path too long"
    case .stateFolderUnusable: "State folder not usable"
    case .inputOutput: "Input or output failed"
    case .serverNotRunning: "No server runs"
    case .serverUnreachable: "Server not reachable"
    case .serverStopping: "Server is stopping"
    case .timedOut: "Timed out"
    case .protocolViolation: "Answer not understood"
    case .unrecognized: "Problem of a kind that this version does not know"
    case .internalFailure: "Internal failure"
    }
  }
}

/// RFC 9457 problem details with the members `code`, `message`, `cause`, `details`, `correction`
/// and `objects` beside the standard ones.
extension ManagementError: Codable {
  private enum CodingKeys: String, CodingKey {
    case type, title, status, code, message, cause, details, correction, objects
  }

  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode("/problems/\(code.rawValue)", forKey: .type)
    try fields.encode(code.title, forKey: .title)
    try fields.encode(code.httpStatus, forKey: .status)
    try fields.encode(code, forKey: .code)
    try fields.encode(message, forKey: .message)
    try fields.encodeIfPresent(cause, forKey: .cause)
    try fields.encode(details, forKey: .details)
    try fields.encodeIfPresent(correction, forKey: .correction)
    try fields.encode(objects, forKey: .objects)
  }

  /// A code of a newer server is kept as `unrecognized`, with its name among the details.
  public init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    let name = try fields.decode(String.self, forKey: .code)
    self.init(
      Code(rawValue: name) ?? .unrecognized, try fields.decode(String.self, forKey: .message),
      cause: try fields.decodeIfPresent(String.self, forKey: .cause),
      details: try fields.decodeIfPresent([String].self, forKey: .details) ?? [],
      correction: try fields.decodeIfPresent(String.self, forKey: .correction),
      objects: (try? fields.decodeIfPresent([ManagementObject].self, forKey: .objects)) ?? [])
    if Code(rawValue: name) == nil { details.append("The server's code is \(name).") }
  }
}
