import StorageUnits

/// What the engine knows of a volume beside the pool: indexed by volume slot.
struct VolumeActivity {
  var id = VolumeID(0)
  var logicalBlockBytes: UInt32 = 512
  var isReadOnly = false
  /// Being deleted, or in the trash: whatever is in work ends with `volumeGone`.
  var isGoing = false
  /// Requests in work.
  var requests = 0
  /// A snapshot, a rollback or a smaller size waits for decisions to end, or is under way: no
  /// mutation of this extent or a later one takes a new one. `.max`: nothing is held.
  var heldFrom = UInt64.max
  /// Decisions in force: its locks.
  var decisions = 0
}
