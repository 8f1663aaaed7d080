package import Management

/// What the commands ask of the engine. `EnginePoolOperations` is the implementation that the
/// program has; tests have others.
package protocol PoolOperations: Sendable {
  /// Makes the files that are missing, formats the devices, and adds the pool to the state folder
  /// as the last step: what fails before leaves no pool behind. Answers when all of it is durable.
  func create(
    _ specification: PoolSpecification, in state: StateFolder
  ) async throws(ManagementError) -> PoolStatus

  /// Says which pools are on the devices at these absolute paths, and in these folders. Changes
  /// nothing, and works beside a server.
  func scan(_ paths: [String]) async throws(ManagementError) -> PoolScan

  /// Adds a pool that is on devices to the state folder, recovers it, and gives it its new name if
  /// it is to have one. What fails leaves the state folder as it was.
  func importPool(
    _ order: PoolImport, in state: StateFolder
  ) async throws(ManagementError) -> PoolStatus

  /// Stops the pool cleanly and takes it out of the state folder; answers what it was. Throws
  /// `poolInUse` if another process holds it.
  func exportPool(
    _ pool: PoolName, in state: StateFolder
  ) async throws(ManagementError) -> PoolStatus

  /// Opens the pool in this process, for a command that finds no server. Throws `poolInUse` with
  /// the holder if another process holds the devices.
  func open(
    _ pool: PoolName, in state: StateFolder
  ) async throws(ManagementError) -> any OpenPool

  /// Serves the pool until the process is told to stop (SIGTERM, SIGINT), and stops cleanly then.
  /// Calls `ready` once, when hosts and the control API are answered; what it is given beside the
  /// news asks for a clean stop.
  func serve(
    _ options: ServeOptions, in state: StateFolder,
    ready: @escaping @Sendable (ServerReady, _ stop: @escaping @Sendable () -> Void) -> Void
  ) async throws(ManagementError)
}

/// A pool that this process holds.
package protocol OpenPool: Sendable {
  var service: any PoolService { get }

  /// Makes a checkpoint, marks the pool clean and gives the devices up. To be called once, and
  /// nothing after it.
  func close() async throws(ManagementError)
}

/// How a pool is to be served. Every value is checked.
package struct ServeOptions: Hashable, Sendable {
  package var pool: PoolName
  /// Paths are absolute.
  package var listeners: [ListenAddress]
  /// Descriptors of listening sockets that this process was started with.
  package var inheritedSockets: [Int32]
  /// What hosts get that ask for the empty name; nil: the only volume, if there is just one.
  package var defaultExport: VolumeName?
  /// Nil: as the pool's record says.
  package var cacheMode: CacheMode?
  /// NBD connections at once; more are refused.
  package var maximumConnections: Int
  /// The bound of the cache of table nodes; nil: the engine's default.
  package var nodeCacheBytes: UInt64?
  /// How long a host may take from connecting to its first request.
  package var handshakeTimeoutSeconds: UInt32
  /// The server ends when no host has been connected for so long; nil: never.
  package var idleExitSeconds: UInt32?

  package init(
    pool: PoolName, listeners: [ListenAddress], inheritedSockets: [Int32] = [],
    defaultExport: VolumeName? = nil,
    cacheMode: CacheMode? = nil, maximumConnections: Int = 256, nodeCacheBytes: UInt64? = nil,
    handshakeTimeoutSeconds: UInt32 = 30, idleExitSeconds: UInt32? = nil
  ) {
    precondition(!listeners.isEmpty || !inheritedSockets.isEmpty)
    self.inheritedSockets = inheritedSockets
    self.idleExitSeconds = idleExitSeconds
    self.pool = pool
    self.listeners = listeners
    self.defaultExport = defaultExport
    self.cacheMode = cacheMode
    self.maximumConnections = maximumConnections
    self.nodeCacheBytes = nodeCacheBytes
    self.handshakeTimeoutSeconds = handshakeTimeoutSeconds
  }
}

/// What a server says when it is ready.
package struct ServerReady: Codable, Hashable, Sendable {
  package var pool: String
  /// The addresses as they are: with the port that the system chose.
  package var listeners: [String]
  /// URIs of the default export at these addresses, in the same order.
  package var uris: [String]
  package var controlSocketPath: String
  package var processID: Int32

  package init(
    pool: String, listeners: [String], uris: [String], controlSocketPath: String,
    processID: Int32
  ) {
    self.pool = pool
    self.listeners = listeners
    self.uris = uris
    self.controlSocketPath = controlSocketPath
    self.processID = processID
  }
}
