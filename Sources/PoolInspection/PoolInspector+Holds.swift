import DiskFormat
import StorageUnits

// Holds on volumes and snapshots.
extension PoolInspector {
  /// After the catalogue: each volume says how many there are of it.
  func walkHolds(_ superblock: Superblock) {
    var found: [VolumeID: UInt32] = [:]
    var tags: Set<String> = []
    var nextSlot: UInt64 = 0
    walk(superblock.holds, type: .holds, superblock) { key, node in
      for i in 0..<FormatConstants.holdsPerLeaf {
        guard let hold = try? HoldEntry.decode(from: node, index: i) else { continue }
        let slot = key * UInt64(FormatConstants.holdsPerLeaf) + UInt64(i)
        if slot != nextSlot { find(.holdListGap, at: .pool) }
        nextSlot = slot + 1
        holds.append(hold)
        found[hold.volume, default: 0] += 1
        if !tags.insert("\(hold.volume.number) \(hold.tag)").inserted {
          find(.holdTwice(hold.tag), at: .volume(hold.volume), volumes: [hold.volume])
        }
      }
    }
    for volume in volumes {
      let count = found.removeValue(forKey: volume.id) ?? 0
      if count != volume.holds {
        find(
          .holdCount(stored: volume.holds, found: count), at: .volume(volume.id),
          volumes: [volume.id])
      }
    }
    for id in found.keys.sorted() { find(.holdWithoutVolume(id), at: .pool) }
  }
}
