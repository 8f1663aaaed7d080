public import DiskFormat
import StorageUnits

/// Another name or policy for a volume or snapshot, by a record of its attributes; nothing else
/// changes.
extension Pool {
  /// Checks that a volume may get another policy for a full pool.
  public func prepareFullPolicy(_ slot: VolumeSlot) throws(PoolError) {
    guard volumes.record(slot.index).origin == nil else {
      throw .isSnapshot(volumes.shownName(slot.index))
    }
    try prepareCatalogueChange(.essential)
  }

  public func applyFullPolicy(_ slot: VolumeSlot, _ policy: FullPoolPolicy) {
    var record = volumes.record(slot.index)
    record.fullPolicy = policy
    _ = applyNew(.alterVolume(record.withoutDerivedFields))
  }

  /// Checks a new name: of a volume in the pool, of a snapshot among those of its volume.
  public func prepareRename(_ slot: VolumeSlot, to name: String) throws(PoolError) {
    try checkName(name, of: volumes.record(slot.index), except: slot.index)
    try prepareCatalogueChange(.essential)
  }

  /// The name must be one, and free but for `slot`.
  func checkName(_ name: String, of record: VolumeRecord, except slot: Int?) throws(PoolError) {
    guard Self.isValidName(name) else { throw .invalidName(name) }
    let holder =
      if let origin = record.origin { volumes.slot(snapshot: name, of: origin) } else {
        volumes.slot(named: name)
      }
    if let holder, holder != slot { throw .volumeExists(volumes.shownName(holder)) }
  }

  public func applyRename(_ slot: VolumeSlot, to name: String) {
    var record = volumes.record(slot.index)
    record.name = name
    _ = applyNew(.alterVolume(record.withoutDerivedFields))
  }

  /// What a record of attributes may not change.
  func checkAltered(_ record: VolumeRecord) throws(FormatError) {
    guard let slot = volumes.slot(record.id) else { throw .badField(.record, "volume") }
    try record.validate()
    let old = volumes.record(slot)
    if record.isInTrash {
      guard record.holds == 0, Self.isValidName(record.name) else {
        throw .badField(.record, "isInTrash")
      }
    } else {
      do throws(PoolError) {
        try checkName(record.name, of: old, except: slot)
      } catch { throw .badField(.record, "name") }
    }
    // A size changes by a record of its own.
    guard record.sizeBytes == old.sizeBytes else { throw .badField(.record, "sizeBytes") }
    guard record.logicalBlockBytes == old.logicalBlockBytes else {
      throw .badField(.record, "logicalBlockBytes")
    }
    guard record.origin == old.origin, record.isReadOnly == old.isReadOnly else {
      throw .badField(.record, "origin")
    }
    guard !record.isReceiving || record.lineage == .zero || receiveBase(of: record) != nil else {
      throw .badField(.record, "lineage")
    }
    guard record.holds == old.holds else { throw .badField(.record, "holds") }
    guard record.family == old.family else { throw .badField(.record, "family") }
  }
}
