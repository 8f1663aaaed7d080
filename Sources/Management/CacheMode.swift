/// How the server reads and writes its devices; what a flush guarantees is the same in both.
public enum CacheMode: String, Codable, Hashable, Sendable, CaseIterable {
  /// O_DIRECT.
  case direct
  /// Through the host's page cache.
  case buffered
}
