public import StorageUnits

/// A place for what must not outlive the boot: sockets with long paths, tails of journals.
struct RuntimeCandidate: Hashable, Sendable {
  /// Must exist already, and be in memory for the candidate to be taken.
  var parent: String
  var name: String
  var path: String { "\(parent)/\(name)" }

  static func all(in environment: HostEnvironment) -> [RuntimeCandidate] {
    let shared = RuntimeCandidate(parent: "/dev/shm", name: "lamina-\(environment.userID)")
    if environment.userID == 0 {
      return [RuntimeCandidate(parent: "/run", name: "lamina"), shared]
    }
    guard let runtime = environment.value(of: "XDG_RUNTIME_DIR"), runtime.hasPrefix("/") else {
      return [shared]
    }
    return [
      RuntimeCandidate(parent: environment.absolutePath(runtime), name: "lamina"), shared,
    ]
  }
}

extension StateFolder {
  /// The longest path of a unix socket, in bytes: `sun_path` less its closing zero.
  public static let maximumSocketPathBytes = 107

  /// The folder in memory for what must not outlive the boot: `/run/lamina` for root,
  /// `$XDG_RUNTIME_DIR/lamina` for others, and `/dev/shm/lamina-UID` where that is not in memory.
  /// Creates nothing. Throws `stateFolderUnusable` if no candidate is in memory.
  public func runtimeFolder() throws(ManagementError) -> String {
    if let found = runtimeCandidates.first(where: { MountTable.isInMemory($0.parent) }) {
      return found.path
    }
    throw ManagementError(
      .stateFolderUnusable, "there is no folder in memory for the state of a running server",
      cause: "No tmpfs at \(runtimeCandidates.map(\.parent).joined(separator: ", ")).",
      correction: "Mount a tmpfs on /dev/shm.",
      objects: runtimeCandidates.map { ManagementObject(.file, $0.parent) })
  }

  /// Creates the runtime folder if it is missing, and refuses one that others can change.
  public func createRuntimeFolder() throws(ManagementError) -> String {
    let path = try runtimeFolder()
    try PrivateFolder.createInSharedPlace(path, userID: userID)
    return path
  }

  /// The socket of the pool's control API: `HOME/POOL.control`, or a name derived from it in the
  /// runtime folder where that is longer than a socket's path can be. Throws `socketPathTooLong`.
  public func controlSocketPath(of pool: PoolName) throws(ManagementError) -> String {
    try socketPath("\(home)/\(pool).control")
  }

  /// The socket of the server's default NBD listener: `HOME/POOL.sock`, or as above.
  public func nbdSocketPath(of pool: PoolName) throws(ManagementError) -> String {
    try socketPath("\(home)/\(pool).sock")
  }

  private func socketPath(_ wanted: String) throws(ManagementError) -> String {
    if wanted.utf8.count <= Self.maximumSocketPathBytes { return wanted }
    let short = "\(try runtimeFolder())/\(Self.digest(of: wanted)).sock"
    guard short.utf8.count <= Self.maximumSocketPathBytes else {
      throw ManagementError(
        .socketPathTooLong, "the socket \(wanted) cannot be made",
        cause: "A socket's path has at most \(Self.maximumSocketPathBytes) bytes.",
        correction: "Use a state folder with a shorter path (--home).",
        objects: [ManagementObject(.file, wanted)])
    }
    return short
  }

  /// The file for the tail of the pool's journal. The one that the last holder recorded comes
  /// first, so that a start under other circumstances (another user, a new session) still finds it.
  public func tailPath(
    poolUUID: StorageUUID, lastHolder: PoolHolder?
  ) throws(ManagementError) -> String {
    if let recorded = lastHolder?.tailPath, recorded.hasSuffix("/\(poolUUID).tail") {
      return recorded
    }
    return "\(try runtimeFolder())/\(poolUUID).tail"
  }

  /// FNV-1a over 64 bits: the same in every process, unlike `Hasher`.
  private static func digest(of text: String) -> String {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in text.utf8 {
      hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
    }
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
