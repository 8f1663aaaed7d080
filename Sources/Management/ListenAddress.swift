/// Where a server waits for hosts: `unix:PATH`, `HOST:PORT`, `[IPV6]:PORT`, or `HOST` with NBD's
/// own port.
public enum ListenAddress: Hashable, Sendable {
  /// The path is as it was written.
  case unix(path: String)
  /// Port 0: the system chooses one.
  case tcp(host: String, port: UInt16)

  /// NBD's port (IANA).
  public static let defaultPort: UInt16 = 10809

  /// Throws `addressInvalid`.
  public init(_ text: String) throws(ManagementError) {
    if text.hasPrefix("unix:") {
      let path = String(text.dropFirst("unix:".count))
      guard !path.isEmpty, !path.utf8.contains(0) else {
        throw Self.refusal(text, "The path is empty.")
      }
      self = .unix(path: path)
    } else {
      self = try Self.tcp(text)
    }
  }

  private static func tcp(_ text: String) throws(ManagementError) -> ListenAddress {
    var host = text[...]
    var port: Substring?
    if host.first == "[" {
      guard let end = host.firstIndex(of: "]") else { throw refusal(text, "A ']' is missing.") }
      let rest = host[host.index(after: end)...]
      guard rest.isEmpty || rest.first == ":" else {
        throw refusal(text, "Behind the ']' comes ':' and a port.")
      }
      port = rest.isEmpty ? nil : rest.dropFirst()
      host = host[host.index(after: host.startIndex)..<end]
    } else if let colon = host.firstIndex(of: ":") {
      guard colon == host.lastIndex(of: ":") else {
        throw refusal(text, "An IPv6 address is written in brackets: [::1]:\(defaultPort).")
      }
      port = host[host.index(after: colon)...]
      host = host[..<colon]
    }
    let isHost =
      !host.isEmpty
      && host.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || ".:-_%".contains($0)) }
    guard isHost else { throw refusal(text, "'\(host)' is not a host.") }
    guard let port else { return .tcp(host: String(host), port: defaultPort) }
    guard !port.isEmpty, port.allSatisfy({ $0.isASCII && $0.isNumber }), let number = UInt16(port)
    else { throw refusal(text, "'\(port)' is not a port (0 to 65535).") }
    return .tcp(host: String(host), port: number)
  }

  /// The same address with an absolute path. Throws `socketPathTooLong`.
  public func resolved(
    in environment: HostEnvironment
  ) throws(ManagementError) -> ListenAddress {
    guard case .unix(let path) = self else { return self }
    let absolute = environment.absolutePath(path)
    guard absolute.utf8.count <= StateFolder.maximumSocketPathBytes else {
      throw ManagementError(
        .socketPathTooLong, "the socket \(absolute) cannot be made",
        cause: "A socket's path has at most \(StateFolder.maximumSocketPathBytes) bytes.",
        correction: "Choose a shorter path.", objects: [ManagementObject(.address, absolute)])
    }
    return .unix(path: absolute)
  }

  /// How NBD clients name an export that is served here; an empty name is the default export.
  public func nbdURI(export: String) -> String {
    switch self {
    case .unix(let path):
      "nbd+unix:///\(Self.escaped(export))?socket=\(Self.escaped(path))"
    case .tcp(let host, let port):
      "nbd://\(host.contains(":") ? "[\(host)]" : host)"
        + (port == Self.defaultPort ? "" : ":\(port)") + "/\(Self.escaped(export))"
    }
  }

  /// Percent-encodes all but the unreserved characters of RFC 3986 and '/'.
  private static func escaped(_ text: String) -> String {
    var result = ""
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E, 0x2F:
        result.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        let digits = String(byte, radix: 16, uppercase: true)
        result += byte < 16 ? "%0\(digits)" : "%\(digits)"
      }
    }
    return result
  }

  private static func refusal(_ text: String, _ cause: String) -> ManagementError {
    ManagementError(
      .addressInvalid, "'\(text)' is not an address to listen at", cause: cause,
      correction: "Write unix:PATH, HOST:PORT or [IPV6]:PORT.",
      objects: [ManagementObject(.address, text)])
  }
}

extension ListenAddress: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unix(let path): "unix:\(path)"
    // A host that is called "unix" would be read back as a path.
    case .tcp(let host, let port):
      host.contains(":") || host == "unix" ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
  }
}
