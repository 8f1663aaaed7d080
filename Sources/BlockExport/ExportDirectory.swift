public import StorageUnits

/// Where a target looks up what it may serve. Called while a connection is set up or ends, never
/// per request; on the thread that owns the data path.
public protocol ExportDirectory {
  /// The volume of this name, if it is ready to serve.
  func export(named name: String) -> ExportDescription?
  /// The names of all volumes that are ready to serve.
  func exportNames() -> [String]
  /// What changes of a volume can be counted from, newest first, at most so many.
  func changeBases(of volume: VolumeID, atMost: Int) -> [NamedExportBase]
  /// The base of this name, as `NamedExportBase` spells it.
  func changeBase(named name: String, of volume: VolumeID) -> ExportBase?
  /// A host began to use the volume.
  func opened(_ volume: VolumeID)
  /// A host that used the volume has gone, and no request of it is in the engine any more.
  func closed(_ volume: VolumeID)
}

extension ExportDirectory {
  public func changeBases(of volume: VolumeID, atMost: Int) -> [NamedExportBase] { [] }
  public func changeBase(named name: String, of volume: VolumeID) -> ExportBase? { nil }
  public func opened(_ volume: VolumeID) {}
  public func closed(_ volume: VolumeID) {}
}
