import DiskFormat
import StorageUnits

// Volumes, and trees that are being dropped.
extension PoolInspector {
  func walkCatalogue(_ superblock: Superblock) {
    walk(superblock.catalogue, type: .catalogue, superblock) { key, node in
      for slot in 0..<FormatConstants.volumesPerLeaf {
        guard let volume = try? VolumeRecord.decode(from: node, slot: slot) else { continue }
        let number = key * UInt64(FormatConstants.volumesPerLeaf) + UInt64(slot)
        if volume.id.number != number {
          find(.volumeInWrongSlot, at: .volume(volume.id), volumes: [volume.id])
        }
        volumes.append(volume)
        report.volumeNames[volume.id] = volume.name
      }
    }
    report.totals.volumes = volumes.count
    checkNames()
    let origins = Set(volumes.filter { $0.origin == nil }.map(\.id))
    for volume in volumes {
      checkFields(of: volume, superblock)
      checkSnapshot(volume, of: origins)
      checkReceiving(volume)
      inspectMap(of: volume, superblock)
    }
  }

  private func checkNames() {
    // A snapshot's name is unique among those of its volume.
    var names: [String: VolumeID] = [:]
    var identifiers: [StorageUUID: VolumeID] = [:]
    for volume in volumes {
      let here = InspectionPlace.volume(volume.id)
      // What is in the trash has given its name up.
      if !volume.isInTrash, let other = names.updateValue(volume.id, forKey: volume.uniqueName) {
        find(.volumeNameTwice(other), at: here, volumes: [other, volume.id].sorted())
      }
      if let other = identifiers.updateValue(volume.id, forKey: volume.uuid) {
        find(.volumeUUIDTwice(other), at: here, volumes: [other, volume.id].sorted())
      }
      if !Self.isUsualName(volume.name) {
        find(.volumeNameUnusual, at: here, volumes: [volume.id])
      }
    }
  }

  /// What commands accept as a name (`Docs/CommandLine.md`).
  private static func isUsualName(_ name: String) -> Bool {
    name != "." && name != ".."
      && name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
          UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }

  private func checkFields(of volume: VolumeRecord, _ superblock: Superblock) {
    let here = InspectionPlace.volume(volume.id)
    let volumes = [volume.id]
    if volume.id.number >= superblock.nextVolumeID {
      find(.volumeNotBelowNextID(next: superblock.nextVolumeID), at: here, volumes: volumes)
    }
    // A family has the number of its first volume.
    if volume.family == 0 || volume.family > volume.id.number {
      find(.familyUnknown(volume.family), at: here, volumes: volumes)
    }
    if volume.shareEpoch >= superblock.shareEpoch {
      find(.shareEpochInFuture(volume.shareEpoch), at: here, volumes: volumes)
    }
    checkBranchPoint(volume.versionNode, at: here, volumes: volumes)
    if volume.isInTrash && volume.holds > 0 {
      find(.trashedWhileHeld, at: here, volumes: volumes)
    }
  }

  private func inspectMap(of volume: VolumeRecord, _ superblock: Superblock) {
    let here = InspectionPlace.volume(volume.id)
    let volumes = [volume.id]
    var summary = SubtreeSummary()
    if !volume.root.isNone {
      let needed = TreeShape.level(
        forCount: ByteCount(volume.sizeBytes).extentsRoundingUp,
        leafCapacity: FormatConstants.entriesPerLeaf)
      if volume.root.level < needed {
        find(.rootTooLow(level: volume.root.level, needed: needed), at: here, volumes: volumes)
      }
      let walk = MapWalk(
        family: volume.family, volumes: volumes,
        writer: volume.isReadOnly ? nil : volume.id, shareEpoch: volume.shareEpoch, cursor: nil)
      summary = self.walk(
        volume.root.pointer, level: volume.root.level, key: 0, walk, superblock, at: here)
    }
    let blocks = (volume.sizeBytes + 4095) / 4096
    if summary.endBlock > blocks
      || summary.endExtent > ByteCount(volume.sizeBytes).extentsRoundingUp
    {
      find(.mappedBeyondEnd, at: here, volumes: volumes)
    }
    // Below a node that cannot be read nothing was counted.
    guard !summary.isPartial else { return }
    if summary.allocatedExtents != volume.allocatedExtents {
      find(
        .allocatedExtents(
          stored: volume.allocatedExtents, recounted: summary.allocatedExtents), at: here,
        volumes: volumes)
    }
    if summary.mappedBlocks != volume.mappedBlocks {
      find(
        .mappedBlocks(stored: volume.mappedBlocks, recounted: summary.mappedBlocks), at: here,
        volumes: volumes)
    }
  }

  // MARK: Doomed list

  func walkDoomedList(_ superblock: Superblock) {
    var nextSlot: UInt64 = 0
    walk(superblock.doomed, type: .doomed, superblock) { key, node in
      for i in 0..<FormatConstants.doomedPerLeaf {
        guard let entry = try? DoomedEntry.decode(from: node, index: i) else { continue }
        let slot = key * UInt64(FormatConstants.doomedPerLeaf) + UInt64(i)
        if slot != nextSlot { find(.doomedListGap, at: .doomed(entry.id)) }
        nextSlot = slot + 1
        doomed.append(entry)
      }
    }
    report.totals.doomedTrees = doomed.count
    var ids: Set<RecordNumber> = []
    for entry in doomed {
      let here = InspectionPlace.doomed(entry.id)
      if !ids.insert(entry.id).inserted { find(.doomedTwice, at: here) }
      if entry.id > superblock.checkpointRecord { find(.doomedInFuture, at: here) }
      if entry.family == 0 || entry.family >= superblock.nextVolumeID {
        find(.familyUnknown(entry.family), at: here)
      }
      checkBranchPoint(UInt64(entry.versionNode.number), at: here, volumes: [])
      let cursor = DropCursor(end: entry.cursorEnd.index, level: entry.cursorLevel)
      if cursor.hasDropped(level: entry.root.level, key: 0) {
        find(.doomedAlreadyDropped, at: here)
        continue
      }
      if !cursor.isPair { find(.doomedCursorWrong, at: here) }
      let walk = MapWalk(
        family: entry.family, volumes: [], writer: nil, shareEpoch: .zero, cursor: cursor)
      _ = self.walk(
        entry.root.pointer, level: entry.root.level, key: 0, walk, superblock, at: here)
    }
  }
}

extension VolumeRecord {
  /// No two volumes of a pool, and no two snapshots of a volume, share one.
  var uniqueName: String { origin.map { "\($0.number)@\(name)" } ?? name }
}
