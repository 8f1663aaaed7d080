import DiskFormat
import StorageUnits

// Discards that are owed.
extension PoolInspector {
  /// After the catalogue: by volume and block, apart from each other, within volumes.
  func walkOwed(_ superblock: Superblock) {
    var nextSlot: UInt64 = 0
    walk(superblock.owed, type: .owed, superblock) { key, node in
      for i in 0..<FormatConstants.owedPerLeaf {
        guard let range = try? OwedRange.decode(from: node, index: i) else { continue }
        let slot = key * UInt64(FormatConstants.owedPerLeaf) + UInt64(i)
        if slot != nextSlot { find(.owedListGap, at: .pool) }
        nextSlot = slot + 1
        owed.append(range)
      }
    }
    checkOwed(owed)
  }

  func checkOwed(_ ranges: [OwedRange]) {
    for (last, range) in zip(ranges, ranges.dropFirst()) {
      let isBehind =
        last.volume < range.volume
        || last.volume == range.volume && last.firstBlock + last.blockCount < range.firstBlock
      if !isBehind {
        find(.owedOrder(range.firstBlock), at: .volume(range.volume), volumes: [range.volume])
      }
    }
    var known: [VolumeID: VolumeRecord] = [:]
    for volume in volumes { known[volume.id] = volume }
    var missing: Set<VolumeID> = []
    for range in ranges {
      guard let volume = known[range.volume] else {
        missing.insert(range.volume)
        continue
      }
      let here = InspectionPlace.volume(volume.id)
      if volume.origin != nil { find(.owedOnSnapshot, at: here, volumes: [volume.id]) }
      let blocks = ByteCount(volume.sizeBytes).blocksRoundingUp
      if range.firstBlock + range.blockCount > blocks {
        find(.owedBeyondEnd(range.firstBlock), at: here, volumes: [volume.id])
      }
    }
    for id in missing.sorted() { find(.owedWithoutVolume(id), at: .pool) }
  }
}
