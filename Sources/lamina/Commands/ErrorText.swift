import Management

/// How a refusal or failure is told.
enum ErrorText {
  /// `lamina: what happened (code)`, then the cause, the details and what to do next, each on a
  /// line of its own.
  static func text(_ error: ManagementError) -> String {
    var lines = ["lamina: \(error.message) [\(error.code.rawValue)]"]
    if let cause = error.cause { lines.append("  \(cause)") }
    lines += error.details.map { "  \($0)" }
    if let correction = error.correction { lines.append("  Next: \(correction)") }
    return lines.joined(separator: "\n")
  }

  /// One JSON object with the fields of the control API's problem details.
  static func json(_ error: ManagementError) -> String {
    let data = try? ManagementJSON.encode(VersionedOutput(error), forPeople: true)
    return data.map { String(decoding: $0, as: UTF8.self) } ?? text(error)
  }
}

extension ManagementError.Code {
  /// What the program exits with: 64 where the command line itself is wrong (like every other wrong
  /// use of it), 1 where the command was refused or failed.
  var exitCode: Int32 {
    switch self {
    case .invalidName, .invalidSize, .invalidArgument, .addressInvalid: 64
    case .invalidRequest, .requestTooLarge, .routeNotFound, .methodNotAllowed, .poolNotFound,
      .poolExists, .poolInUse, .poolReadOnly, .poolDamaged, .volumeNotFound, .volumeExists,
      .volumeInUse, .snapshotNotFound, .snapshotExists, .volumesNotRelated, .volumeReceiving,
      .volumeChanged, .baseNotFound, .streamDamaged, .bookmarkNotFound, .bookmarkExists,
      .bookmarkNotOnLine, .held, .holdExists, .holdNotFound, .trashItemNotFound, .wouldLoseData,
      .noSpace, .limitReached, .imagePinned, .imagePinLost, .notSupported, .formatNotSupported,
      .deviceMissing, .deviceForeign, .deviceHasData, .deviceUnsuitable, .deviceDamaged,
      .directIONotPossible, .ringNotPermitted, .permissionDenied, .addressInUse,
      .socketPathTooLong, .stateFolderUnusable, .inputOutput, .serverNotRunning,
      .serverUnreachable, .serverStopping, .timedOut, .protocolViolation, .unrecognized,
      .internalFailure:
      1
    }
  }
}
