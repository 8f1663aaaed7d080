import NIOCore
import NIOHTTP1

/// One request and its answer on a connection that ends with it. It owns the promise of the answer
/// from the moment it is active, and keeps it in every case.
final class HTTPExchange: ChannelInboundHandler {
  typealias InboundIn = HTTPClientResponsePart
  typealias OutboundOut = HTTPClientRequestPart

  struct Request: Sendable {
    var method: HTTPMethod
    var path: String
    var body: ByteBuffer?
  }

  struct Answer: Sendable {
    var status: HTTPResponseStatus
    var body: ByteBuffer
  }

  enum Problem: Error {
    case closedEarly
    case answerTooLarge
    case timedOut
  }

  private enum State {
    case waiting
    case reading(HTTPResponseStatus)
    case done
  }

  private let request: Request
  private let answer: EventLoopPromise<Answer>
  private let timeout: TimeAmount
  private var state = State.waiting
  /// Beside the state, so that it grows in place.
  private var body = ByteBuffer()
  private var deadline: Scheduled<Void>?

  init(_ request: Request, answer: EventLoopPromise<Answer>, timeout: TimeAmount) {
    self.request = request
    self.answer = answer
    self.timeout = timeout
  }

  func channelActive(context: ChannelHandlerContext) {
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    deadline = context.eventLoop.scheduleTask(in: timeout) {
      let (exchange, context) = bound.value
      exchange.end(with: .failure(Problem.timedOut), context: context)
    }
    var head = HTTPRequestHead(version: .http1_1, method: request.method, uri: request.path)
    head.headers.add(name: "Host", value: "localhost")
    head.headers.add(name: "Connection", value: "close")
    head.headers.add(name: "Accept", value: "application/json")
    if let body = request.body {
      head.headers.add(name: "Content-Type", value: "application/json")
      head.headers.add(name: "Content-Length", value: "\(body.readableBytes)")
    }
    context.write(wrapOutboundOut(.head(head)), promise: nil)
    if let body = request.body {
      context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
    }
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    context.fireChannelActive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch (unwrapInboundIn(data), state) {
    case (.head(let head), .waiting):
      state = .reading(head.status)
    case (.body(var part), .reading):
      guard body.readableBytes + part.readableBytes <= ManagementClient.maximumAnswerBytes else {
        return end(with: .failure(Problem.answerTooLarge), context: context)
      }
      body.writeBuffer(&part)
    case (.end, .reading(let status)):
      end(with: .success(Answer(status: status, body: body)), context: context)
    default:
      break
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    end(with: .failure(error), context: context)
  }

  func channelInactive(context: ChannelHandlerContext) {
    end(with: .failure(Problem.closedEarly), context: context)
    context.fireChannelInactive()
  }

  private func end(with result: Result<Answer, any Error>, context: ChannelHandlerContext) {
    if case .done = state { return }
    state = .done
    deadline?.cancel()
    answer.completeWith(result)
    context.close(promise: nil)
  }
}
