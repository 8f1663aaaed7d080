public import DiskSimulation
import VolumeEngine

/// A set of histories on one pool, all of which are explored, and the situation that they are to
/// reach. Each is a file under `Families/` and a line in `ExplorationFamily.all`.
public struct ExplorationFamily: Sendable {
  public var name: String
  /// In one line.
  public var summary: String
  public var media = SimulatedMedia.Options.tiny
  public var settings = ServerSettings.tiny
  /// Issued one after the other before every history; everything is durable afterwards.
  public var preparation: [any HostOperation] = []
  /// What can come at each place of a history; its first operation is always settled. The histories
  /// of all lengths up to the number of places are explored.
  public var places: [[HistoryStep]]
  public var order = SimulatedServer.CompletionOrder.oldestFirst
  public var endings: [CrashEnding] = CrashEnding.allCases
  /// It is about one device of several.
  public var needsTwoDevices = false
  /// Errors that hosts may see.
  public var toleratesNoSpace = false
  /// Changes the bounds to what the family needs.
  public var adjust: @Sendable (inout ExplorationBounds) -> Void = { _ in }
  /// What its histories must reach, each at least once.
  public var situations: [Situation] = []
  /// Makes the devices of a history's server unreliable: for showing that it is noticed.
  public var damage: (@Sendable (SimulatedDisks) -> Void)?
  /// What is tried at each moment beside crashes and starts.
  public var aftermath: Aftermath?

  public init(
    _ name: String, _ summary: String, preparation: [any HostOperation] = [],
    places: [[HistoryStep]]
  ) {
    self.name = name
    self.summary = summary
    self.preparation = preparation
    self.places = places
  }

  /// A family of `all`, or one of them on other devices (`on`).
  public static func named(_ name: String) -> ExplorationFamily? {
    if let family = all.first(where: { $0.name == name }) { return family }
    for geometry in DeviceGeometry.all where name.hasSuffix(geometry.suffix) {
      let base = name.dropLast(geometry.suffix.count)
      return all.first { $0.name == base }?.on(geometry)
    }
    return nil
  }
}

extension SimulatedMedia.Options {
  /// The smallest pool that serves: two devices, segments of 16 extents, the smallest ring.
  public static let tiny: SimulatedMedia.Options = {
    var options = SimulatedMedia.Options()
    options.deviceBytes = [18 << 20, 14 << 20]
    options.segmentBytes = 1 << 20
    options.journalBlocks = 8
    options.allocationRunExtents = 1
    options.recordBytes = 4320
    return options
  }()
}
