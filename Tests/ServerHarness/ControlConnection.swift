import Foundation

/// The control API with nothing between: a command line that found no server would open the pool
/// itself, which a test that kills servers does not want.
public enum ControlConnection {
  public struct Answer: Sendable {
    public let status: Int
    public let body: [UInt8]
  }

  /// One request on a connection of its own. Throws if no whole answer comes.
  public static func request(
    _ method: String, _ path: String, body: String = "", socket: String
  ) throws -> Answer {
    let socket = try UnixSocket(path: socket, deadlineSeconds: 20)
    let head = """
      \(method) \(path) HTTP/1.1\r
      Host: localhost\r
      Connection: close\r
      Content-Type: application/json\r
      Content-Length: \(body.utf8.count)\r
      \r\n
      """
    try socket.send(Array((head + body).utf8))
    var text: [UInt8] = []
    while !text.suffix(4).elementsEqual("\r\n\r\n".utf8) { text += try socket.receive(1) }
    let lines = String(decoding: text, as: UTF8.self).split(separator: "\r\n")
    let words = lines.first?.split(separator: " ") ?? []
    guard words.count >= 2, let status = Int(words[1]) else {
      throw HarnessFailure("no HTTP: \(lines)")
    }
    var length = 0
    for line in lines.dropFirst() where line.lowercased().hasPrefix("content-length:") {
      length = Int(line.drop { $0 != ":" }.dropFirst().trimmingCharacters(in: .whitespaces)) ?? 0
    }
    return Answer(status: status, body: try socket.receive(length))
  }
}
