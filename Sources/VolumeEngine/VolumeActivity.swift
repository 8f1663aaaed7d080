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
  /// A snapshot or rollback waits for its decisions to end: no mutation takes a new one.
  var isHeld = false
  /// Decisions in force: its locks.
  var decisions = 0
}
