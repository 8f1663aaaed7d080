import Hummingbird
import HummingbirdCore
import Logging
import Management
import NIOCore
import NIOHTTP1

/// Answers every error with problem details (RFC 9457), those of the HTTP library too.
struct ProblemMiddleware<Context: RequestContext>: RouterMiddleware {
  func handle(
    _ request: Request, context: Context,
    next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    do {
      return try await next(request, context)
    } catch let error as HTTPParserError {
      // Not a request at all: the channel answers and closes.
      throw error
    } catch {
      return Self.answer(problem(of: error, request: request, logger: context.logger))
    }
  }

  private func problem(
    of error: any Error, request: Request, logger: Logger
  ) -> ManagementError {
    if let error = error as? ManagementError { return error }
    let route = ManagementObject(.route, "\(request.method.rawValue) \(request.uri.path)")
    if error is NIOTooManyBytesError {
      return ManagementError(
        .requestTooLarge, "the body of the request is too large",
        cause: "It has more than \(ManagementServer.maximumBodyBytes) bytes.", objects: [route])
    }
    if let error = error as? HTTPError, error.status == .notFound {
      return ManagementError(
        .routeNotFound, "there is nothing at \(request.uri.path)",
        correction: "Docs/CommandLine.md lists the routes.", objects: [route])
    }
    logger.error("a request failed: \(error)", metadata: ["route": "\(route.name)"])
    return ManagementError(
      .internalFailure, "the server failed to answer", cause: "\(error)", objects: [route])
  }

  static func answer(_ problem: ManagementError) -> Response {
    let body = (try? ManagementJSON.encode(problem)).map { ByteBuffer(bytes: $0) }
    return Response(
      status: .init(code: problem.code.httpStatus),
      headers: [.contentType: "application/problem+json"],
      body: ResponseBody(byteBuffer: body ?? ByteBuffer()))
  }
}
