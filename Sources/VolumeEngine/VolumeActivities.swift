import StorageUnits

/// What the engine knows of a volume beside the pool: indexed by volume slot.
struct VolumeActivity {
  var id = VolumeID(0)
  var logicalBlockBytes: UInt32 = 512
  var isReadOnly = false
  /// Requests in work.
  var requests = 0
  /// Being deleted: whatever is in work ends with `volumeGone`.
  var isGoing = false
}

/// What the engine knows of each volume, by its slot, in plain memory: every request looks here
/// several times, and an array in a class would be checked for exclusive access each time.
@safe final class VolumeActivities {
  // Owned from init to deinit; the subscript checks every index.
  private var base: UnsafeMutablePointer<VolumeActivity>
  private var capacity = 16
  private(set) var count = 0

  init() { unsafe base = .allocate(capacity: 16) }

  deinit { unsafe base.deallocate() }

  subscript(slot: Int) -> VolumeActivity {
    @inline(__always) _read {
      precondition(slot >= 0 && slot < count)
      yield unsafe base[slot]
    }
    @inline(__always) _modify {
      precondition(slot >= 0 && slot < count)
      yield unsafe &base[slot]
    }
  }

  func append(_ activity: VolumeActivity) {
    if count == capacity {
      let more = UnsafeMutablePointer<VolumeActivity>.allocate(capacity: capacity * 2)
      unsafe more.moveInitialize(from: base, count: count)
      unsafe base.deallocate()
      unsafe base = more
      capacity *= 2
    }
    unsafe (base + count).initialize(to: activity)
    count += 1
  }
}
