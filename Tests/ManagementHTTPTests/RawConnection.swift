import NIOCore
import NIOPosix

/// Sends bytes to a socket and reads what comes until the server closes, or until the time is up.
enum RawConnection {
  static func exchange(
    _ text: String, socketPath: String, milliseconds: Int64 = 5000
  ) async throws -> String {
    let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .connect(unixDomainSocketPath: socketPath) { channel in
        channel.eventLoop.makeCompletedFuture {
          try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
      }
    let deadline = channel.channel.eventLoop.scheduleTask(in: .milliseconds(milliseconds)) {
      channel.channel.close(promise: nil)
    }
    defer { deadline.cancel() }
    return try await channel.executeThenClose { inbound, outbound in
      // A server that has already answered and closed refuses the rest, which is no failure here.
      try? await outbound.write(ByteBuffer(string: text))
      var answer = ""
      do {
        for try await part in inbound { answer += String(buffer: part) }
      } catch {
        return answer
      }
      return answer
    }
  }

  static func request(
    _ method: String, _ path: String, body: String = "", headers: String = ""
  ) -> String {
    "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\(headers)"
      + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
  }
}
