import BlockExport
public import DiskSimulation
public import StorageUnits
import VolumeEngine

/// What must be found after a crash, and how it is looked for.
public struct CrashExpectation {
  public var model = ReferenceModel()
  public var names: [VolumeID: String] = [:]
  /// The volume of each snapshot.
  public var origins: [VolumeID: VolumeID] = [:]
  /// Creations that were not answered, by token: what they create may be there, all of it or
  /// nothing.
  public var creationsInFlight: [UInt64: [Creation]] = [:]

  /// A volume, snapshot or clone that was asked for.
  public struct Creation: Hashable, Sendable {
    public var name: String
    public var sizeBytes: UInt64
    public var branch: Branch?

    public init(name: String, sizeBytes: UInt64, branch: Branch? = nil) {
      self.name = name
      self.sizeBytes = sizeBytes
      self.branch = branch
    }
  }

  /// What a snapshot or clone is made of.
  public struct Branch: Hashable, Sendable {
    public var source: VolumeID
    /// From the model.
    public var issued: UInt64
    public var isSnapshot: Bool
  }

  public init() {}

  /// The volumes that surely exist, in order; no snapshots.
  public var certainVolumes: [VolumeID] {
    model.volumeIDs.filter { model.existence(of: $0) == .certain && !model.isSnapshot($0) }
  }

  /// The snapshots that surely exist, in order.
  public var certainSnapshots: [VolumeID] {
    model.volumeIDs.filter { model.existence(of: $0) == .certain && model.isSnapshot($0) }
  }

  func isCertainSnapshot(_ id: VolumeID) -> Bool {
    model.existence(of: id) == .certain && model.isSnapshot(id)
  }

  /// The volume has a snapshot, or may have.
  public func hasSnapshots(_ volume: VolumeID) -> Bool {
    origins.contains { $0.value == volume && model.existence(of: $0.key) != .none }
      || creationsInFlight.values.contains {
        $0.contains { $0.branch?.isSnapshot == true && $0.branch?.source == volume }
      }
  }

  /// Takes down what was created.
  mutating func created(_ id: VolumeID, _ creation: Creation) {
    if let branch = creation.branch {
      model.branched(id, of: branch.source, issued: branch.issued, isSnapshot: branch.isSnapshot)
      if branch.isSnapshot { origins[id] = branch.source }
    } else {
      model.volumeCreated(id, sizeBytes: creation.sizeBytes)
    }
    names[id] = creation.name
  }

  /// The parts of a volume that histories touch, in sectors of 512 bytes.
  public static func windows(sizeBytes: UInt64, longest: UInt64 = 1000) -> [Range<UInt64>] {
    let sectors = sizeBytes / 512
    guard sectors > 4096 else { return [0..<sectors] }
    return [0, 168 * 128 - 40, 3000 * 128, sectors - 300].filter { $0 < sectors }.map {
      $0..<min($0 + longest, sectors)
    }
  }

  // MARK: Comparing

  /// Compares a server that has recovered with what must be there, and takes what was found as
  /// what there is. Returns what is wrong.
  public mutating func compare(
    with server: SimulatedServer, after ending: ReferenceModel.Ending
  ) -> [String] {
    var problems = takeCreations(of: server)
    var found: Set<String> = []
    for id in model.volumeIDs {
      guard let name = names[id] else { continue }
      guard let export = server.engine.export(named: name), export.volume == id else {
        if model.existence(of: id) == .certain { problems.append("volume \(name) is lost") }
        model.settle(id, exists: false)
        continue
      }
      found.insert(name)
      if export.sizeBytes != model.sizeBytes(of: id) { problems.append("\(name): wrong size") }
      if export.isReadOnly != model.isSnapshot(id) {
        problems.append("\(name): read-only is \(export.isReadOnly)")
      }
      problems += compareContents(of: id, with: server, after: ending)
      model.settle(id, exists: true)
    }
    for name in server.engine.exportNames() where !found.contains(name) {
      problems.append("volume \(name) should not be there")
    }
    return problems
  }

  /// Looks which creations that were not answered have taken place, before anything is settled.
  private mutating func takeCreations(of server: SimulatedServer) -> [String] {
    var problems: [String] = []
    for (_, group) in creationsInFlight.sorted(by: { $0.key < $1.key }) {
      let exports = group.map { server.engine.export(named: $0.name) }
      let count = exports.count { $0 != nil }
      if count > 0 && count < group.count {
        problems.append("of a group of \(group.count) snapshots \(count) are there")
      }
      for (creation, export) in zip(group, exports) {
        if let export { created(export.volume, creation) }
      }
    }
    creationsInFlight = [:]
    return problems
  }

  private mutating func compareContents(
    of id: VolumeID, with server: SimulatedServer, after ending: ReferenceModel.Ending
  ) -> [String] {
    var problems: [String] = []
    var read: [(window: Range<UInt64>, bytes: [UInt8])] = []
    for window in Self.windows(sizeBytes: model.sizeBytes(of: id)) {
      if let bytes = server.read(id, sectors: window) {
        read.append((window, bytes))
      } else {
        problems.append("volume \(id.number): cannot be read")
      }
    }
    let violations = model.fates(of: id).map { fate in
      read.flatMap { window, bytes in
        unsafe bytes.withUnsafeBytes {
          unsafe model.checkRecovered(
            id, firstSector: window.lowerBound, bytes: $0, after: ending, fate)
        }
      }
    }
    if let fewest = violations.min(by: { $0.count < $1.count }) {
      problems += fewest.prefix(3).map(\.description)
    }
    for (window, bytes) in read {
      unsafe bytes.withUnsafeBytes {
        unsafe model.settle(id, firstSector: window.lowerBound, bytes: $0)
      }
    }
    return problems
  }
}
