/// What an NBD server has done since its start.
public struct NBDStatistics: Hashable, Sendable {
  /// Connections that are open, the ones in negotiation included.
  public var connections = 0
  public var connectionsTotal: UInt64 = 0
  /// Turned away because the cap was reached.
  public var connectionsRefused: UInt64 = 0
  /// Ended by the server: a broken protocol, a deadline, an error after the header of a reply.
  public var connectionsDropped: UInt64 = 0
  /// Requests whose header was read, by command.
  public var reads: UInt64 = 0
  public var writes: UInt64 = 0
  public var flushes: UInt64 = 0
  public var trims: UInt64 = 0
  public var caches: UInt64 = 0
  public var writeZeroes: UInt64 = 0
  public var blockStatuses: UInt64 = 0
  /// Requests that were answered with an error.
  public var errors: UInt64 = 0
  /// Data of requests that were accepted, in bytes.
  public var bytesRead: UInt64 = 0
  public var bytesWritten: UInt64 = 0

  public init() {}
}
