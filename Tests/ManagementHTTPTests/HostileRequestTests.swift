import DiskSimulation
import Foundation
import Management
import ManagementHTTP
import Testing

struct HostileRequestTests {
  private func answer(_ text: String, from server: RunningServer) async throws -> String {
    try await RawConnection.exchange(text, socketPath: server.socketPath)
  }

  @Test(arguments: [
    ("GET", "/", 404, "route-not-found"), ("GET", "/v1/nothing", 404, "route-not-found"),
    ("GET", "/v1/volumes/a/b", 404, "route-not-found"), ("PUT", "/v1/pool", 405, "method-not"),
    ("DELETE", "/v1/volumes", 405, "method-not-allowed"),
    ("GET", "/v1/volumes/nope", 404, "volume-not-found"),
    ("GET", "/v1/volumes/a%20b", 400, "invalid-name"),
    ("DELETE", "/v1/volumes/%2e%2e", 400, "invalid-name"),
    ("POST", "/v1/volumes", 400, "invalid-request"),
  ])
  func `a request that is wrong is answered with problem details`(
    method: String, path: String, status: Int, code: String
  ) async throws {
    try await RunningServer.use { server in
      let text = try await answer(RawConnection.request(method, path), from: server)
      #expect(text.hasPrefix("HTTP/1.1 \(status) "), "\(text)")
      #expect(text.lowercased().contains("content-type: application/problem+json"))
      #expect(text.contains("\"code\":\"\(code)"))
      if status == 405 { #expect(text.lowercased().contains("\r\nallow: ")) }
    }
  }

  @Test func `an answer says where the new volume is`() async throws {
    try await RunningServer.use { server in
      let body = #"{"name":"disk","sizeBytes":1024}"#
      let text = try await answer(
        RawConnection.request("POST", "/v1/volumes", body: body), from: server)
      #expect(text.hasPrefix("HTTP/1.1 201 "), "\(text)")
      #expect(text.lowercased().contains("\r\nlocation: /v1/volumes/disk\r\n"))
      let head = try await answer(RawConnection.request("HEAD", "/v1/pool"), from: server)
      #expect(head.hasPrefix("HTTP/1.1 200 "), "\(head)")
    }
  }

  @Test func `a body beyond the bound is refused and changes nothing`() async throws {
    try await RunningServer.use { server in
      let padding = String(repeating: " ", count: ManagementServer.maximumBodyBytes)
      let body = #"{"name":"disk","sizeBytes":1024}"# + padding
      let text = try await answer(
        RawConnection.request("POST", "/v1/volumes", body: body), from: server)
      #expect(text.hasPrefix("HTTP/1.1 413 "), "\(text)")
      #expect(text.contains("request-too-large"))
      #expect(try await server.client.listVolumes().isEmpty)
    }
  }

  @Test func `a body at the bound is taken`() async throws {
    try await RunningServer.use { server in
      var body = #"{"name":"disk","sizeBytes":1024}"#
      body += String(repeating: " ", count: ManagementServer.maximumBodyBytes - body.utf8.count)
      let text = try await answer(
        RawConnection.request("POST", "/v1/volumes", body: body), from: server)
      #expect(text.hasPrefix("HTTP/1.1 201 "), "\(text)")
    }
  }

  static let noRequests = [
    "zeros": "\0\0\0\0\0\0\0\0\r\n\r\n", "NBD": "NBDMAGIC", "no path": "GET\r\n\r\n",
    "version 9.9": "GET / HTTP/9.9\r\n\r\n",
    "negative length": "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "half a head": "POST /v1/volumes HTTP/1.1\r\n",
    "long header": "GET / HTTP/1.1\r\nX: " + String(repeating: "x", count: 200_000) + "\r\n\r\n",
    "long path": "GET /" + String(repeating: "x", count: 200_000) + " HTTP/1.1\r\n\r\n",
    "half a body": "POST /v1/volumes HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{",
    "huge chunk":
      "POST /v1/volumes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n{",
  ]

  @Test(arguments: noRequests.keys.sorted())
  func `bytes that are no request do not disturb others`(name: String) async throws {
    let text = try #require(Self.noRequests[name])
    try await RunningServer.use { server in
      _ = try await RawConnection.exchange(
        text, socketPath: server.socketPath, milliseconds: 200)
      #expect(try await server.client.status().name == "demo")
      #expect(try await server.client.listVolumes().isEmpty)
    }
  }

  private static let requests = [
    RawConnection.request("GET", "/v1/volumes"),
    RawConnection.request(
      "POST", "/v1/volumes", body: #"{"name":"disk","sizeBytes":1024,"fullPolicy":"wait:60s"}"#),
    RawConnection.request("DELETE", "/v1/volumes/disk"),
    RawConnection.request("POST", "/v1/snapshots", body: #"{"snapshots":["disk@a","disk@b"]}"#),
    RawConnection.request("POST", "/v1/snapshots/disk@a/clone", body: #"{"name":"copy"}"#),
    RawConnection.request("PUT", "/v1/pool/pin/7", body: #"{"thaw":true}"#),
    RawConnection.request("GET", "/v1/pool", headers: "Transfer-Encoding: chunked\r\n"),
  ]

  /// One request with some of its bytes changed, cut, doubled or moved.
  private static func mutated(_ random: inout SeededRandom) -> String {
    var bytes = Array(requests[Int.random(in: 0..<requests.count, using: &random)].utf8)
    for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
      let at = Int.random(in: 0..<bytes.count, using: &random)
      let end = min(bytes.count, at + Int.random(in: 1...24, using: &random))
      switch Int.random(in: 0..<6, using: &random) {
      case 0: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 1: bytes[at] = UInt8(truncatingIfNeeded: random.next())
      case 2: bytes.removeSubrange(at..<end)
      case 3: bytes.insert(contentsOf: bytes[at..<end], at: at)
      case 4: bytes.append(contentsOf: bytes[at..<end])
      default: bytes.removeSubrange(at...)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  @Test func `mutated requests get an answer or a closed door, and never a failure`() async throws {
    try await RunningServer.use { server in
      var random = SeededRandom(seed: 21)
      let texts = (0..<600).map { _ in Self.mutated(&random) }
      var statuses: [String: Int] = [:]
      for batch in stride(from: 0, to: texts.count, by: 30) {
        try await withThrowingTaskGroup(of: (String, String).self) { group in
          for text in texts[batch..<batch + 30] {
            group.addTask {
              let answer = try await RawConnection.exchange(
                text, socketPath: server.socketPath, milliseconds: 400)
              return (text, answer)
            }
          }
          for try await (text, answer) in group {
            guard !answer.isEmpty else { continue }
            #expect(answer.hasPrefix("HTTP/1.1 "), "\(text): \(answer)")
            let status = String(answer.dropFirst(9).prefix(3))
            #expect(!status.hasPrefix("5") || status == "501", "\(text): \(answer)")
            statuses[status, default: 0] += 1
          }
        }
      }
      // Both what was accepted and what was refused is among them.
      #expect(statuses["200", default: 0] > 0 && statuses["400", default: 0] > 0, "\(statuses)")
      #expect(try await server.client.status().name == "demo")
    }
  }
}
