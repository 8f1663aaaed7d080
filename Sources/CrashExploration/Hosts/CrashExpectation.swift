import BlockExport
public import DiskSimulation
public import StorageUnits
import VolumeEngine

/// What must be found after a crash, and how it is looked for.
public struct CrashExpectation {
  public var model = ReferenceModel()
  public var names: [VolumeID: String] = [:]
  /// Creations that were not answered, by token: the volume may be there.
  public var creationsInFlight: [UInt64: Creation] = [:]

  public struct Creation: Hashable, Sendable {
    public var name: String
    public var sizeBytes: UInt64
  }

  public init() {}

  /// The volumes that surely exist, in order.
  public var certainVolumes: [VolumeID] {
    model.volumeIDs.filter { model.existence(of: $0) == .certain }
  }

  /// The parts of a volume that histories touch, in sectors of 512 bytes.
  public static func windows(sizeBytes: UInt64, longest: UInt64 = 1000) -> [Range<UInt64>] {
    let sectors = sizeBytes / 512
    guard sectors > 4096 else { return [0..<sectors] }
    return [0, 168 * 128 - 40, 3000 * 128, sectors - 300].filter { $0 < sectors }.map {
      $0..<min($0 + longest, sectors)
    }
  }

  /// Compares a server that has recovered with what must be there, and takes what was found as
  /// what there is. Returns what is wrong.
  public mutating func compare(
    with server: SimulatedServer, after ending: ReferenceModel.Ending
  ) -> [String] {
    var problems: [String] = []
    for creation in creationsInFlight.values {
      guard let export = server.engine.export(named: creation.name) else { continue }
      model.volumeCreated(export.volume, sizeBytes: creation.sizeBytes)
      names[export.volume] = creation.name
    }
    creationsInFlight = [:]
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
      problems += compareContents(of: id, with: server, after: ending)
      model.settle(id, exists: true)
    }
    for name in server.engine.exportNames() where !found.contains(name) {
      problems.append("volume \(name) should not be there")
    }
    return problems
  }

  private mutating func compareContents(
    of id: VolumeID, with server: SimulatedServer, after ending: ReferenceModel.Ending
  ) -> [String] {
    var problems: [String] = []
    for window in Self.windows(sizeBytes: model.sizeBytes(of: id)) {
      guard let bytes = server.read(id, sectors: window) else {
        problems.append("volume \(id.number): cannot be read")
        continue
      }
      let violations = unsafe bytes.withUnsafeBytes {
        unsafe model.checkRecovered(id, firstSector: window.lowerBound, bytes: $0, after: ending)
      }
      problems += violations.prefix(3).map(\.description)
      unsafe bytes.withUnsafeBytes {
        unsafe model.settle(id, firstSector: window.lowerBound, bytes: $0)
      }
    }
    return problems
  }
}
