import Management
import Testing

struct ListenAddressTests {
  static let addresses: [(String, ListenAddress)] = [
    ("unix:/run/x.sock", .unix(path: "/run/x.sock")), ("unix:x", .unix(path: "x")),
    ("127.0.0.1:10810", .tcp(host: "127.0.0.1", port: 10810)),
    ("127.0.0.1", .tcp(host: "127.0.0.1", port: 10809)),
    ("localhost:0", .tcp(host: "localhost", port: 0)),
    ("[::1]:65535", .tcp(host: "::1", port: 65535)), ("[::1]", .tcp(host: "::1", port: 10809)),
    ("unix", .tcp(host: "unix", port: 10809)),
  ]

  @Test(arguments: addresses)
  func `an address is a socket or a host with a port`(
    text: String, address: ListenAddress
  ) throws {
    #expect(try ListenAddress(text) == address)
    #expect(try ListenAddress(address.description) == address)
  }

  @Test(arguments: [
    "", ":", ":10809", "unix:", "unix:\0", "::1", "::1:10809", "[::1", "[::1]10809", "[::1]:",
    "h:", "h:65536", "h:-1", "h:1:2", "h o", "h:1x", "/run/x.sock", "[]:1",
  ])
  func `anything else is refused`(text: String) {
    let error = #expect(throws: ManagementError.self) { try ListenAddress(text) }
    #expect(error?.code == .addressInvalid)
  }

  @Test func `a relative socket becomes absolute, a long one is refused`() throws {
    let here = StateFolderTests.environment(user: 0, directory: "/here")
    #expect(try ListenAddress("unix:x/../y").resolved(in: here) == .unix(path: "/here/y"))
    let long = ListenAddress.unix(path: String(repeating: "x", count: 105))
    let error = #expect(throws: ManagementError.self) { try long.resolved(in: here) }
    #expect(error?.code == .socketPathTooLong)
    #expect(try ListenAddress("h:1").resolved(in: here) == .tcp(host: "h", port: 1))
  }

  static let uris: [(String, String, String)] = [
    ("unix:/run/a b.sock", "disk", "nbd+unix:///disk?socket=/run/a%20b.sock"),
    ("unix:/ä&?", "", "nbd+unix:///?socket=/%C3%A4%26%3F"),
    ("127.0.0.1:10809", "disk", "nbd://127.0.0.1/disk"),
    ("[::1]:7", "d@s", "nbd://[::1]:7/d%40s"),
  ]

  @Test(arguments: uris)
  func `clients name an export by its URI`(text: String, export: String, uri: String) throws {
    #expect(try ListenAddress(text).nbdURI(export: export) == uri)
  }
}
