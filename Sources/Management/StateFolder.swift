import FoundationEssentials

/// The folder with one small file per pool that lists its devices, and with the sockets of running
/// servers. Folders are created with mode 0700 and files with mode 0600.
///
/// | path | what |
/// |---|---|
/// | `POOL.pool.json` | `PoolRecord` |
/// | `POOL.holder.json` | `PoolHolder` of the process that holds the pool, or held it last |
/// | `POOL.control` | the socket of the running server's control API |
/// | `POOL.sock` | the socket of its default NBD listener |
///
/// No name of a pool makes one of these endings into another, so pools never collide.
public struct StateFolder: Hashable, Sendable {
  /// Absolute.
  public let home: String
  let runtimeCandidates: [RuntimeCandidate]
  let userID: UInt32

  /// `option` is `--home`; without it `LAMINA_HOME` decides, then the user: `/var/lib/lamina` for
  /// root, `$XDG_STATE_HOME/lamina` or `~/.local/state/lamina` for others. Creates nothing.
  /// Throws `stateFolderUnusable` if nothing says where it is.
  public init(
    option: String?, environment: HostEnvironment
  ) throws(ManagementError) {
    let path = try Self.homePath(option: option, environment: environment)
    self.home = PrivateFolder.resolvingLinks(environment.absolutePath(path))
    self.runtimeCandidates = RuntimeCandidate.all(in: environment)
    self.userID = environment.userID
  }

  private static func homePath(
    option: String?, environment: HostEnvironment
  ) throws(ManagementError) -> String {
    if let option {
      guard !option.isEmpty else {
        throw ManagementError(
          .invalidArgument, "the state folder has an empty path",
          correction: "Name a folder with --home, or leave it out.",
          objects: [ManagementObject(.option, "--home")])
      }
      return option
    }
    if let home = environment.value(of: "LAMINA_HOME") { return home }
    if environment.userID == 0 { return "/var/lib/lamina" }
    if let state = environment.value(of: "XDG_STATE_HOME") { return state + "/lamina" }
    if let home = environment.value(of: "HOME") { return home + "/.local/state/lamina" }
    throw ManagementError(
      .stateFolderUnusable, "nothing says where the state folder is",
      cause: "Neither LAMINA_HOME, XDG_STATE_HOME nor HOME is set.",
      correction: "Name it with --home.")
  }

  /// Creates the folder if it is missing.
  public func create() throws(ManagementError) {
    try PrivateFolder.create(home)
  }

  /// The pools that the folder lists, in the order of their names.
  public func pools() throws(ManagementError) -> [PoolName] {
    guard PrivateFolder.isFolder(home) else { return [] }
    let entries: [String]
    do {
      entries = try FileManager.default.contentsOfDirectory(atPath: home)
    } catch {
      throw ManagementError(
        .stateFolderUnusable, "cannot list \(home)", cause: "\(error)",
        correction: "Name another state folder with --home or LAMINA_HOME.",
        objects: [ManagementObject(.file, home)])
    }
    let ending = ".pool.json"
    return entries.filter { $0.hasSuffix(ending) }
      .compactMap { try? PoolName(String($0.dropLast(ending.count))) }
      .sorted { $0.text < $1.text }
  }
}

// MARK: - Pools

extension StateFolder {
  public func recordPath(of pool: PoolName) -> String { "\(home)/\(pool).pool.json" }

  /// Throws `poolNotFound`; `stateFolderUnusable` if the file cannot be understood.
  public func record(of pool: PoolName) throws(ManagementError) -> PoolRecord {
    let path = recordPath(of: pool)
    guard let data = try DurableFile.read(path) else {
      throw .poolNotFound(pool, home: home)
    }
    let record = try Self.decode(PoolRecord.self, from: data, path: path)
    guard record.recordVersion == 1, record.name == pool else {
      throw ManagementError(
        .stateFolderUnusable, "\(path) does not describe pool '\(pool)'",
        cause: record.recordVersion == 1
          ? "It describes '\(record.name)'." : "Its version is \(record.recordVersion).",
        correction: "Move it away; what is stored on the devices is not affected.",
        objects: [ManagementObject(.file, path)])
    }
    return record
  }

  /// Adds a pool; creates the folder if it is missing. Throws `poolExists`. Durable.
  public func add(_ record: PoolRecord) throws(ManagementError) {
    try create()
    let path = recordPath(of: record.name)
    let created = try DurableFile.create(
      path, with: ManagementJSON.encode(record, forPeople: true))
    guard created else { throw .poolExists(record.name, home: home) }
  }

  /// Replaces what is known of a pool. Durable.
  public func update(_ record: PoolRecord) throws(ManagementError) {
    try DurableFile.replace(
      recordPath(of: record.name), with: ManagementJSON.encode(record, forPeople: true))
  }

  /// Forgets a pool; its devices keep what they hold. Durable.
  public func remove(_ pool: PoolName) throws(ManagementError) {
    try DurableFile.remove(recordPath(of: pool))
    try DurableFile.remove(holderPath(of: pool))
  }

  static func decode<Value: Decodable>(
    _ type: Value.Type, from data: Data, path: String
  ) throws(ManagementError) -> Value {
    do {
      return try ManagementJSON.decode(type, from: data)
    } catch {
      throw ManagementError(
        .stateFolderUnusable, "\(path) cannot be understood", cause: "\(error.message).",
        correction: "Move it away; what is stored on the devices is not affected.",
        objects: [ManagementObject(.file, path)])
    }
  }
}

// MARK: - Holders

extension StateFolder {
  public func holderPath(of pool: PoolName) -> String { "\(home)/\(pool).holder.json" }

  /// Who holds the pool or held it last; nil if nothing (readable) tells. Whether the pool is held
  /// at all, only the lock on its devices says.
  public func holder(of pool: PoolName) -> PoolHolder? {
    let path = holderPath(of: pool)
    guard let data = try? DurableFile.read(path) else { return nil }
    return try? Self.decode(PoolHolder.self, from: data, path: path)
  }

  /// Call right after the devices are locked.
  public func setHolder(_ holder: PoolHolder, of pool: PoolName) throws(ManagementError) {
    try DurableFile.replace(
      holderPath(of: pool), with: ManagementJSON.encode(holder, forPeople: true))
  }

  /// Call after a clean stop, before the devices are unlocked.
  public func removeHolder(of pool: PoolName) throws(ManagementError) {
    try DurableFile.remove(holderPath(of: pool))
  }
}
