/// Something that is tried at each moment of a family's histories beside crashes and starts.
public struct Aftermath: Sendable {
  /// What it reaches.
  public var name: String
  /// Whether it was reached, and what is wrong then. It may not change the server.
  var run: @Sendable (AftermathMoment) -> (isReached: Bool, problems: [String])

  public init(
    _ name: String,
    run: @escaping @Sendable (AftermathMoment) -> (isReached: Bool, problems: [String])
  ) {
    self.name = name
    self.run = run
  }
}

/// What an aftermath starts from.
public struct AftermathMoment {
  public let session: HostSession
  /// The media before the history's server was started.
  public let before: SimulatedMedia
  /// The media when the last operation was about to be issued.
  public let earlier: SimulatedMedia
  public let settings: ServerSettings

  public var server: SimulatedServer { session.server }
}
