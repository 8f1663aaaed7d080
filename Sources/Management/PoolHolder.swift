/// What the process that holds a pool wrote about itself right after it had locked the devices. The
/// lock alone says whether the pool is held; this says by whom, and where to reach it.
public struct PoolHolder: Codable, Hashable, Sendable, CustomStringConvertible {
  public var host: String
  public var processID: Int32
  /// What the process is doing: `lamina serve demo`.
  public var process: String
  public var since: Timestamp
  /// Where it answers the control API; nil if it does not.
  public var controlSocketPath: String?
  /// Where it keeps the tail of the journal.
  public var tailPath: String?
  /// The addresses at which it serves volumes, as NBD URIs or `unix:PATH`, `HOST:PORT`.
  public var listeners: [String]

  public init(
    host: String, processID: Int32, process: String, since: Timestamp,
    controlSocketPath: String? = nil, tailPath: String? = nil, listeners: [String] = []
  ) {
    self.host = host
    self.processID = processID
    self.process = process
    self.since = since
    self.controlSocketPath = controlSocketPath
    self.tailPath = tailPath
    self.listeners = listeners
  }

  public var description: String {
    "process \(processID) ('\(process)') on host \(host) since \(since)"
  }
}
