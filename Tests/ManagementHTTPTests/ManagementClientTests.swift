import Foundation
import Management
import ManagementHTTP
import NIOCore
import NIOPosix
import Testing

struct ManagementClientTests {
  @Test func `without a socket no server runs`() async {
    let client = ManagementClient(socketPath: "/nonexistent/x.sock")
    let error = await #expect(throws: ManagementError.self) { try await client.status() }
    #expect(error?.code == .serverNotRunning)
    #expect(error?.objects == [ManagementObject(.file, "/nonexistent/x.sock")])
  }

  struct PeerAnswer: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var text: String
    var code: ManagementError.Code

    init(_ description: String, _ text: String, _ code: ManagementError.Code) {
      self.testDescription = description
      self.text = text
      self.code = code
    }
  }

  static let peerAnswers = [
    PeerAnswer("nothing", "", .serverUnreachable),
    PeerAnswer(
      "half a body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{", .serverUnreachable),
    PeerAnswer(
      "another object", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", .protocolViolation),
    PeerAnswer("no body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", .protocolViolation),
    PeerAnswer(
      "a bare error", "HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno", .protocolViolation),
    PeerAnswer(
      "a redirection", "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", .protocolViolation),
    PeerAnswer("no HTTP", "I am no web server\r\n\r\n", .protocolViolation),
    PeerAnswer(
      "too much",
      "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
        + String(repeating: " ", count: ManagementClient.maximumAnswerBytes + 1),
      .protocolViolation),
    PeerAnswer(
      "a problem",
      "HTTP/1.1 503 x\r\nContent-Length: 41\r\n\r\n"
        + #"{"code":"server-stopping","message":"mm"}"#, .serverStopping),
  ]

  @Test(arguments: peerAnswers)
  func `whatever a server answers is an answer or an error`(answer: PeerAnswer) async throws {
    try await withPeer(answering: answer.text) { client in
      let error = await #expect(throws: ManagementError.self) { try await client.status() }
      #expect(error?.code == answer.code, "\(String(describing: error))")
    }
  }

  /// A peer that answers every connection with the same bytes and closes it.
  private func withPeer(
    answering text: String, _ body: (ManagementClient) async throws -> Void
  ) async throws {
    let path = "/tmp/lamina-test-\(UInt64.random(in: .min ... .max)).sock"
    let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .childChannelInitializer { channel in
        channel.pipeline.addHandler(OneAnswer(text))
      }
      .bind(unixDomainSocketPath: path).get()
    defer { try? FileManager.default.removeItem(atPath: path) }
    try await body(ManagementClient(socketPath: path, timeoutMilliseconds: 10_000))
    try await listener.close()
  }
}

/// Answers the first bytes of a connection with a text and closes it.
private final class OneAnswer: ChannelInboundHandler, Sendable {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer
  private let text: String

  init(_ text: String) { self.text = text }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
    context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)))
      .whenComplete { _ in bound.value.close(promise: nil) }
  }
}
