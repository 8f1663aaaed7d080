import Glibc
import Management
import NIOCore
import NIOHTTP1

/// What a failed exchange with a server means to the person who asked.
enum ManagementClientProblem {
  static func of(
    _ error: any Error, socketPath: String, timeoutMilliseconds: Int64
  ) -> ManagementError {
    let socket = [ManagementObject(.file, socketPath)]
    if let error = error as? ManagementError { return error }
    if let error = error as? IOError { return connection(error, socketPath: socketPath) }
    if error as? HTTPParserError == .invalidEOFState {
      return of(
        HTTPExchange.Problem.closedEarly, socketPath: socketPath,
        timeoutMilliseconds: timeoutMilliseconds)
    }
    if error is ChannelError {
      return ManagementError(
        .serverUnreachable, "the server at \(socketPath) cannot be reached", cause: "\(error).",
        correction: "See whether its process is stopped or overloaded.", objects: socket)
    }
    switch error as? HTTPExchange.Problem {
    case .timedOut?:
      return ManagementError(
        .timedOut, "the server at \(socketPath) did not answer in time",
        cause: "It was given \(timeoutMilliseconds) ms; it may still carry the command out.",
        correction: "Look at what has become of it before you try again.", objects: socket)
    case .closedEarly?:
      return ManagementError(
        .serverUnreachable, "the server at \(socketPath) ended before it had answered",
        cause: "It may have carried the command out.",
        correction: "Start it again, and look at what has become of the command.",
        objects: socket)
    case .answerTooLarge?, nil:
      return ManagementError(
        .protocolViolation, "the answer of the server cannot be understood",
        cause: "\(error).", correction: "Use the 'lamina' of the server's own version.",
        objects: socket)
    }
  }

  private static func connection(_ error: IOError, socketPath: String) -> ManagementError {
    let socket = [ManagementObject(.file, socketPath)]
    switch error.errnoCode {
    case ENOENT:
      return ManagementError(
        .serverNotRunning, "no server answers at \(socketPath)", cause: "There is no such socket.",
        correction: "Start one with 'lamina serve POOL'.", objects: socket)
    case ECONNREFUSED:
      return ManagementError(
        .serverNotRunning, "no server answers at \(socketPath)",
        cause: "The socket was left over by a server that was killed.",
        correction: "Start one with 'lamina serve POOL'; it replaces the socket.",
        objects: socket)
    case EPIPE, ECONNRESET:
      return of(
        HTTPExchange.Problem.closedEarly, socketPath: socketPath, timeoutMilliseconds: 0)
    case EAGAIN:
      return ManagementError(
        .serverUnreachable, "the server at \(socketPath) takes no more connections",
        correction: "Try again.", objects: socket)
    case let problem:
      return .system(
        "reach the server at", file: socketPath, errorNumber: problem, code: .serverUnreachable)
    }
  }
}
