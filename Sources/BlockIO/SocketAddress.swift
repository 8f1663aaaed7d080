import Glibc

/// Where a server listens, as the command line spells it.
public enum SocketAddress: Hashable, Sendable, CustomStringConvertible {
  /// A socket file.
  case unix(path: String)
  /// A numeric IPv4 or IPv6 address (IPv6 without brackets) or `localhost`, which is both loopback
  /// addresses; port 0 takes any free port.
  case internet(host: String, port: UInt16)

  /// Parses `unix:PATH`, `/PATH`, `./PATH`, `HOST:PORT` and `[IPV6]:PORT`; nil for anything else.
  public init?(_ text: String) {
    if text.hasPrefix("unix:") {
      let path = String(text.dropFirst(5))
      guard !path.isEmpty else { return nil }
      self = .unix(path: path)
      return
    }
    if text.hasPrefix("/") || text.hasPrefix("./") || text.hasPrefix("../") {
      self = .unix(path: text)
      return
    }
    guard let colon = text.lastIndex(of: ":"),
      let port = Self.port(text[text.index(after: colon)...])
    else { return nil }
    var host = text[..<colon]
    if host.hasPrefix("[") {
      guard host.hasSuffix("]") else { return nil }
      host = host.dropFirst().dropLast()
      guard host.contains(":") else { return nil }
    } else if host.contains(":") {
      return nil
    }
    guard host == "localhost" || Self.isNumeric(String(host)) else { return nil }
    self = .internet(host: String(host), port: port)
  }

  public var description: String {
    switch self {
    case .unix(let path): "unix:\(path)"
    case .internet(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
  }

  private static func port(_ text: Substring) -> UInt16? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return UInt16(text)
  }
}

extension SocketAddress {
  /// Would `inet_pton` take it?
  private static func isNumeric(_ host: String) -> Bool {
    var storage = (UInt64(0), UInt64(0))
    return unsafe withUnsafeMutableBytes(of: &storage) { bytes in
      let isV4 = unsafe inet_pton(AF_INET, host, bytes.baseAddress) == 1
      let isV6 = unsafe inet_pton(AF_INET6, host, bytes.baseAddress) == 1
      return isV4 || isV6
    }
  }
}
