import Testing

@testable import BlockIO

@Suite struct SocketAddressTests {
  @Test(arguments: [
    ("unix:/run/l.sock", SocketAddress.unix(path: "/run/l.sock")),
    ("unix:l.sock", .unix(path: "l.sock")),
    ("/run/a:b", .unix(path: "/run/a:b")),
    ("./l.sock", .unix(path: "./l.sock")),
    ("127.0.0.1:10809", .internet(host: "127.0.0.1", port: 10809)),
    ("localhost:0", .internet(host: "localhost", port: 0)),
    ("[::1]:65535", .internet(host: "::1", port: 65535)),
  ])
  func whatPeopleTypeIsUnderstood(_ text: String, _ address: SocketAddress) {
    #expect(SocketAddress(text) == address)
    #expect(SocketAddress(address.description) == address)
  }

  @Test(arguments: [
    "", "unix:", "l.sock", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:+1",
    "127.0.0.1:-1", "::1:10809", "[::1]", "[127.0.0.1]:1", "[::1:1", "example.org:1", "1.2.3:1",
    ":10809", "[zz::]:1",
  ])
  func anythingElseIsRefused(_ text: String) {
    #expect(SocketAddress(text) == nil)
  }
}
