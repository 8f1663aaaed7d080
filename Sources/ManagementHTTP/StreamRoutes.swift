import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import Management
import NIOCore

/// The context of a request, with the connection that it came by.
struct ControlContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  let channel: any Channel

  init(source: ApplicationRequestContextSource) {
    coreContext = .init(source: source)
    channel = source.channel
  }
}

/// The two routes whose bodies are streams (`Docs/StreamFormat.md`) and not JSON.
enum StreamRoutes {
  static let contentType = "application/vnd.lamina.stream"
  /// A trailer that says what ended a stream early, as base64 of problem details.
  static let problemTrailer = "Lamina-Problem"

  static let all: [(method: ManagementRoute.Method, path: String)] = [
    (.get, "/v1/snapshots/{name}/stream"), (.post, "/v1/volumes/{name}/stream"),
  ]

  static func add(to router: Router<ControlContext>, serving service: any PoolService) {
    router.get("/v1/snapshots/{name}/stream") { request, context in
      let name = try SnapshotName(context.parameters.get("name") ?? "")
      let base = try request.uri.queryParameters["since"].map { (text) throws in
        try SendOrder.base(String(text), of: name)
      }
      let order = SendOrder(name, since: base)
      _ = try await service.checkSend(order)
      return Response(
        status: .ok, headers: [.contentType: contentType],
        body: ResponseBody { writer in try await send(order, by: service, to: &writer) })
    }
    router.post("/v1/volumes/{name}/stream") { request, context in
      let order = ReceiveOrder(
        try VolumeName(context.parameters.get("name") ?? ""),
        rollsBack: try flag("rollback", in: request),
        fullPolicy: try request.uri.queryParameters["full"].map { (text) throws in
          try FullPolicy(String(text))
        } ?? .standard)
      try await neverIdle(context.channel)
      let made = try await service.receive(order, from: BodySource(request.body))
      return Response(
        status: .created,
        headers: [.contentType: "application/json", .location: "/v1/snapshots/\(made.name)"],
        body: ResponseBody(byteBuffer: ByteBuffer(bytes: try ManagementJSON.encode(made))))
    }
  }

  private static func flag(_ name: Substring, in request: Request) throws -> Bool {
    switch request.uri.queryParameters[name] {
    case nil, "false": return false
    case "true": return true
    case let other?:
      throw ManagementError(
        .invalidRequest, "'\(other)' is not a value of '\(name)'",
        correction: "Use true or false.")
    }
  }

  /// A sender may pause for as long as it likes: what it sends can come from another pool's server
  /// that reads for minutes between two changes.
  private static func neverIdle(_ channel: any Channel) async throws {
    try await channel.eventLoop.submit {
      let pipeline = channel.pipeline.syncOperations
      guard let context = try? pipeline.context(handlerType: IdleStateHandler.self) else { return }
      _ = pipeline.removeHandler(context: context)
    }.get()
  }

  private static func send(
    _ order: SendOrder, by service: any PoolService, to writer: inout any ResponseBodyWriter
  ) async throws {
    let sink = BodySink(writer)
    do throws(ManagementError) {
      try await service.send(order, to: sink)
    } catch {
      // The head was sent: what there is to say follows the body, which lacks its end.
      guard let trailer = HTTPField.Name(problemTrailer) else { throw error }
      let problem = try ManagementJSON.encode(error).base64EncodedString()
      try await writer.finish([trailer: problem])
      return
    }
    try await writer.finish(nil)
  }
}

/// The body of a request, piece by piece.
private final class BodySource: ByteSource, @unchecked Sendable {
  // Sendable: one task draws from it.
  private var iterator: RequestBody.AsyncIterator

  init(_ body: RequestBody) { iterator = body.makeAsyncIterator() }

  func next() async throws(ManagementError) -> [UInt8]? {
    do {
      while let buffer = try await iterator.next() {
        if buffer.readableBytes > 0 { return Array(buffer.readableBytesView) }
      }
      return nil
    } catch {
      throw ManagementError(
        .streamDamaged, "the stream ended early", cause: "Whoever sent it has gone (\(error)).",
        correction: "Send it again. Nothing was received.")
    }
  }
}

/// The body of an answer, piece by piece.
private final class BodySink: ByteSink, @unchecked Sendable {
  // Sendable: one task writes to it.
  private var writer: any ResponseBodyWriter

  init(_ writer: any ResponseBodyWriter) { self.writer = writer }

  func write(_ bytes: [UInt8]) async throws(ManagementError) {
    do {
      try await writer.write(ByteBuffer(bytes: bytes))
    } catch {
      throw ManagementError(
        .serverUnreachable, "nobody takes the stream any more", cause: "\(error).")
    }
  }
}
