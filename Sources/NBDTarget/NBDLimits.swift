import BlockExport

/// The bounds of an NBD server: what a client can make it hold or wait for.
public struct NBDLimits: Hashable, Sendable {
  /// Connections at one time; a further one is closed at once.
  public var connections = 256
  /// Requests in flight, all connections together.
  public var requests = 2048
  /// Requests in flight on one connection. Never more than are free for others (see
  /// `TransferBuffers`).
  public var requestsPerConnection = 256
  /// What is received in one piece, per connection, in bytes.
  public var receiveBufferBytes = 256 << 10
  /// Buffers for requests within 8 KiB.
  public var smallBuffers = 1024
  /// Buffers for requests within 68 KiB.
  public var mediumBuffers = 256
  /// Buffers of one window, 1 MiB.
  public var windowBuffers = 64
  /// From the first byte that the server sends to the start of transmission.
  public var handshakeMilliseconds: UInt64 = 10_000
  /// How long a connection that holds buffers may neither take nor send a byte *while another
  /// waits for buffers*; then it is dropped. Without such a need it may rest for ever.
  public var stallMilliseconds: UInt64 = 10_000

  public init() {}

  /// The longest string of the protocol (proto.md, "String values").
  static let stringBytes = 4096
  /// The longest option that is looked at.
  static let optionBytes: UInt32 = 64 << 10
  /// The longest option that is read over and answered with `NBD_REP_ERR_TOO_BIG`; a longer one
  /// ends the session.
  static let skippedOptionBytes: UInt32 = 1 << 20
  /// Options of one session.
  static let options = 512
  /// What one step of the negotiation may put out.
  static let negotiationOutputBytes = 8 << 10
  /// The longest payload of a refused request that is read over; a longer one ends the session.
  static let skippedPayloadBytes: UInt64 = 2 * UInt64(ExportLimits.maximumTransferBytes)
}
