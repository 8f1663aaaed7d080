import FoundationEssentials
public import Management
import NIOCore
import NIOHTTP1
import NIOPosix

/// Streams of any length: no deadline, for a server may read or write for hours.
extension ManagementClient {
  public func checkSend(_ order: SendOrder) async throws(ManagementError) -> VolumeDescription {
    let snapshots = try await listSnapshots()
    guard let found = snapshots.first(where: { $0.name == order.snapshot.description }) else {
      throw .snapshotNotFound(order.snapshot, pool: try await status().name)
    }
    return found
  }

  public func send(_ order: SendOrder, to sink: any ByteSink) async throws(ManagementError) {
    let since = order.base.map { "?since=\($0.queryText)" } ?? ""
    let head = Self.head(.GET, "/v1/snapshots/\(order.snapshot)/stream" + since)
    try await connected { inbound, outbound in
      try await outbound.write(.head(head))
      try await outbound.write(.end(nil))
      try await self.readStream(inbound, to: sink)
    }
  }

  public func receive(
    _ order: ReceiveOrder, from source: any ByteSource
  ) async throws(ManagementError) -> VolumeDescription {
    var head = Self.head(
      .POST,
      "/v1/volumes/\(order.volume)/stream?rollback=\(order.rollsBack)&full=\(order.fullPolicy)")
    head.headers.add(name: "Content-Type", value: StreamRoutes.contentType)
    head.headers.add(name: "Transfer-Encoding", value: "chunked")
    let answer = try await connected { [head] inbound, outbound in
      try await outbound.write(.head(head))
      return try await self.sendBody(source, by: outbound, until: inbound)
    }
    return try value(in: answer)
  }

  private static func head(_ method: HTTPMethod, _ path: String) -> HTTPRequestHead {
    var head = HTTPRequestHead(version: .http1_1, method: method, uri: path)
    head.headers.add(name: "Host", value: "localhost")
    head.headers.add(name: "Accept", value: "application/json")
    return head
  }

  private typealias Inbound = NIOAsyncChannelInboundStream<HTTPClientResponsePart>
  private typealias Outbound = NIOAsyncChannelOutboundWriter<HTTPClientRequestPart>

  /// Runs `body` with a connection of its own.
  private func connected<Value: Sendable>(
    _ body: @escaping @Sendable (Inbound, Outbound) async throws -> Value
  ) async throws(ManagementError) -> Value {
    do {
      let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton.any())
        .connectTimeout(.milliseconds(Self.connectTimeoutMilliseconds))
        .connect(unixDomainSocketPath: socketPath) { channel in
          channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHTTPClientHandlers()
            return try NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>(
              wrappingChannelSynchronously: channel)
          }
        }
      return try await channel.executeThenClose { inbound, outbound in
        try await body(inbound, outbound)
      }
    } catch {
      throw ManagementClientProblem.of(
        error, socketPath: socketPath, timeoutMilliseconds: timeoutMilliseconds)
    }
  }

  // MARK: Sending

  private func readStream(_ inbound: Inbound, to sink: any ByteSink) async throws {
    var status: HTTPResponseStatus?
    var refusal = ByteBuffer()
    for try await part in inbound {
      switch part {
      case .head(let head): status = head.status
      case .body(var bytes):
        if status == .ok {
          try await sink.write(Array(bytes.readableBytesView))
        } else if refusal.readableBytes + bytes.readableBytes <= Self.maximumAnswerBytes {
          refusal.writeBuffer(&bytes)
        }
      case .end(let trailers):
        guard let status else { throw HTTPExchange.Problem.closedEarly }
        guard status == .ok else {
          throw problem(in: HTTPExchange.Answer(status: status, body: refusal))
        }
        if let text = trailers?.first(name: StreamRoutes.problemTrailer) {
          throw problem(in: HTTPExchange.Answer(status: status, body: Self.decoded(text)))
        }
        return
      }
    }
    throw HTTPExchange.Problem.closedEarly
  }

  private static func decoded(_ text: String) -> ByteBuffer {
    ByteBuffer(bytes: Data(base64Encoded: text) ?? Data())
  }

  // MARK: Receiving

  /// Sends the body while the answer is awaited: a server that refuses says so in the middle of it,
  /// and goes on reading, to no effect, until the connection is closed.
  private func sendBody(
    _ source: any ByteSource, by outbound: Outbound, until inbound: Inbound
  ) async throws -> HTTPExchange.Answer {
    try await withThrowingTaskGroup(of: HTTPExchange.Answer?.self) { group in
      group.addTask { try await Self.readAnswer(inbound) }
      group.addTask {
        while !Task.isCancelled, let bytes = try await source.next() {
          guard await Self.write(.body(.byteBuffer(ByteBuffer(bytes: bytes))), to: outbound) else {
            return nil
          }
        }
        if !Task.isCancelled { _ = await Self.write(.end(nil), to: outbound) }
        return nil
      }
      defer { group.cancelAll() }
      while let answer = try await group.next() {
        if let answer { return answer }
      }
      throw HTTPExchange.Problem.closedEarly
    }
  }

  /// False: the server takes no more. Why is for its answer to say, or for the lack of one.
  private static func write(
    _ part: HTTPClientRequestPart, to outbound: Outbound
  ) async -> Bool {
    do {
      try await outbound.write(part)
      return true
    } catch { return false }
  }

  private static func readAnswer(_ inbound: Inbound) async throws -> HTTPExchange.Answer {
    var status: HTTPResponseStatus?
    var body = ByteBuffer()
    for try await part in inbound {
      switch part {
      case .head(let head): status = head.status
      case .body(var bytes):
        guard body.readableBytes + bytes.readableBytes <= maximumAnswerBytes else {
          throw HTTPExchange.Problem.answerTooLarge
        }
        body.writeBuffer(&bytes)
      case .end:
        guard let status else { throw HTTPExchange.Problem.closedEarly }
        return HTTPExchange.Answer(status: status, body: body)
      }
    }
    throw HTTPExchange.Problem.closedEarly
  }
}
